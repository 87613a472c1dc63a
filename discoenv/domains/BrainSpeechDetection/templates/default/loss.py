"""The training loss."""

import torch.nn.functional as F


def compute_loss(logits, labels, config):
    """Loss of a training batch.

    Args:
        logits: float32[B], as the model gave them.
        labels: float32[B], 1 for speech, 0 for none, as augment.py returned them: it may return values between.
        config: the run's configuration (dict): SPEECH_SHARE, the share of the training windows that is speech.

    Returns:
        float32[], differentiable with respect to the logits.
    """
    # <solution>
    return F.binary_cross_entropy_with_logits(logits, labels)
    # </solution>
