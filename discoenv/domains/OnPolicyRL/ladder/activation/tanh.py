"""The hyperbolic tangent, whatever the action space. LeCun et al. 1998."""

import jax.numpy as jnp


def get_activation(config):
    """The activation function of the networks."""
    return jnp.tanh
