"""Gradient descent with heavy-ball momentum. Polyak 1964."""

import optax


def scale_by_optimizer():
    """A decaying sum of gradients."""
    return optax.trace(decay=0.9)
