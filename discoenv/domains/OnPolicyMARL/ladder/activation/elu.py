"""Exponential linear units. Clevert, Unterthiner and Hochreiter 2016."""

import jax


def activation(x):
    """float32[...] of x float32[...]."""
    return jax.nn.elu(x)
