"""UNDIAL (Dong et al. 2024): learn what the old model says when the right token of an answer is held down."""

import torch
import torch.nn.functional as F
from network import text_losses

#: How far the logit of the right token is lowered, and weight of forgetting.
LOWERED, FORGET = 10.0, 1.0


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
    right = forget.tokens[:, 1:]
    with torch.no_grad():
        wanted = reference(forget.tokens[:, :-1])
        wanted = wanted - LOWERED * F.one_hot(right, wanted.shape[-1])
        wanted = F.softmax(wanted, dim=-1)
    said = F.log_softmax(model(forget.tokens[:, :-1]), dim=-1)
    distance = -(wanted * said).sum(dim=-1)
    return text_losses(model, retain).mean() + FORGET * distance[forget.answer[:, 1:]].mean()
