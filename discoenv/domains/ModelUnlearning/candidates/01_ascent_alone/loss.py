"""Gradient ascent: the loss of the texts to forget, upwards (Jang et al. 2023). Nothing keeps the rest."""

from network import text_losses


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
    return -text_losses(model, forget).mean()
