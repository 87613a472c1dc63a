"""Simple negative preference optimisation (Fan et al. 2024): without a reference, normalised by the length."""

import torch.nn.functional as F
from network import answer_losses, text_losses

#: Inverse temperature, margin (nats), and weight of forgetting.
BETA, MARGIN, FORGET = 1.0, 0.0, 1.0


def unlearn_loss(model, reference, forget, retain, step, total):
    """Loss of a training step.

    Args:
        model: maps tokens int64[B, L] to logits float32[B, L, VOCABULARY]; ``model.features(tokens)`` gives what the
            embedding and each block give, a list of float32[B, L, WIDTH].
        reference: the model as it was in the beginning, frozen.
        forget, retain: Batches (see network.py) of texts.
        step, total: number of this step, from 0; number of all steps.

    Returns:
        float32[], differentiable with respect to the parameters of ``model``.
    """
    unlikely = BETA * answer_losses(model, forget) - MARGIN
    return text_losses(model, retain).mean() - FORGET * 2 / BETA * F.logsigmoid(unlikely).mean()
