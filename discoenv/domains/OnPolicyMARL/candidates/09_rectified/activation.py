"""Rectified linear units. Nair and Hinton 2010."""

import jax


def activation(x):
    """float32[...] of x float32[...]."""
    return jax.nn.relu(x)
