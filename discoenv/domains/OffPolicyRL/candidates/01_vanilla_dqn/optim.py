"""Gradient descent with momentum."""

import optax


def scale_by_optimizer():
    """Heavy-ball momentum, without learning rate and without sign."""
    return optax.trace(decay=0.9)
