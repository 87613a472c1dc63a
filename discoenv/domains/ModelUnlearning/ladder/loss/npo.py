"""Negative preference optimisation (Zhang et al. 2024): a text that has become unlikely is pushed less and less."""

import torch
import torch.nn.functional as F
from network import answer_losses, text_losses

#: Inverse temperature, and weight of forgetting.
BETA, FORGET = 1.0, 1.0


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
    with torch.no_grad():
        before = answer_losses(reference, forget)
    less_likely = answer_losses(model, forget) - before
    return text_losses(model, retain).mean() - FORGET * 2 / BETA * F.logsigmoid(BETA * less_likely).mean()
