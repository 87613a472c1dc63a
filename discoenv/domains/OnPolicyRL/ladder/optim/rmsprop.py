"""Gradients over a running root mean square of theirs. Tieleman and Hinton 2012."""

import optax


def scale_by_optimizer():
    """RMSProp with the constants that are usual for actor-critic methods."""
    return optax.scale_by_rms(decay=0.99, eps=1e-5)
