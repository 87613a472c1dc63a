"""Representation misdirection (Li et al. 2024): what a block gives goes to a random direction, or stays as it was."""

import torch
from network import PAD

#: Length of the random direction, in units of the usual length; weight of what is kept.
LENGTH, RETAIN = 3.0, 20.0


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
    after = model.features(forget.tokens)[-1]
    with torch.no_grad():
        before = reference.features(forget.tokens)[-1]
        kept_before = reference.features(retain.tokens)[-1]
        generator = torch.Generator().manual_seed(0)
        direction = torch.rand(after.shape[-1], generator=generator).to(after.device)
        target = LENGTH * before.norm(dim=-1).mean() * direction / direction.norm()
    kept_after = model.features(retain.tokens)[-1]
    answers, known = forget.answer, retain.tokens != PAD
    places = answers[:, 1:]  # what is said of an answer's token stands one place before it
    pushed = ((after[:, :-1] - target) ** 2).mean(dim=-1)[places].mean()
    kept = ((kept_after - kept_before) ** 2).mean(dim=-1)[known].mean()
    return pushed + RETAIN * kept
