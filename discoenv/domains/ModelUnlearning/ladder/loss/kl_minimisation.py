"""Gradient ascent, and the old distribution of the next token on the texts to retain (Maini et al. 2024)."""

import torch
import torch.nn.functional as F
from network import PAD, text_losses

#: Weight of the ascent.
FORGET = 0.1


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
        before = F.log_softmax(reference(retain.tokens[:, :-1]), dim=-1)
    now = F.log_softmax(model(retain.tokens[:, :-1]), dim=-1)
    kept = retain.tokens[:, 1:] != PAD
    divergence = F.kl_div(now, before, reduction="none", log_target=True).sum(dim=-1)
    return (divergence * kept).sum() / kept.sum() - FORGET * text_losses(model, forget).mean()
