"""The training loss."""

import torch.nn.functional as F


def compute_loss(logits, targets, config):
    """Loss of a training batch.

    Args:
        logits: float32[B, T, VOCABULARY], as the model gave them.
        targets: int64[B, T], the tokens that follow.
        config: the run's configuration (dict): VOCABULARY, and STEP, the number of the step, 0 to STEPS - 1.

    Returns:
        float32[], differentiable with respect to the logits.
    """
    # <solution>
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    # </solution>
