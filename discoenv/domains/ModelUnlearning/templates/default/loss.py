"""The loss that makes a model forget some texts and keep others."""

from network import text_losses

#: Weight of the texts to forget, and the loss (nats per token) above which a text counts as forgotten.
FORGET, ENOUGH = 0.5, 2.5


def unlearn_loss(model, reference, forget, retain, step, total):
    """Loss of a training step.

    Args:
        model: maps tokens int64[B, L] to logits float32[B, L, VOCABULARY]; ``model.features(tokens)`` gives what the
            embedding and each block give, a list of float32[B, L, WIDTH].
        reference: the model as it was in the beginning, frozen.
        forget: Batch (see network.py) of texts to forget: ``tokens`` int64[B, L] and ``answer`` bool[B, L].
        retain: Batch of texts to retain.
        step: number of this step, from 0.
        total: number of all steps.

    Returns:
        float32[], differentiable with respect to the parameters of ``model``.
    """
    # <solution>
    forgotten = text_losses(model, forget).clamp(max=ENOUGH).mean()
    return text_losses(model, retain).mean() - FORGET * forgotten
    # </solution>
