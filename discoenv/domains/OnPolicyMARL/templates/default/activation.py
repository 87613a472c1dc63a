"""The nonlinearity of the actor's and the critic's hidden layers."""

import jax.numpy as jnp


def activation(x):
    """The activation function of the networks.

    Args:
        x: float32[...].

    Returns:
        float32[...], of the same shape and dtype, differentiable.
    """
    # <solution>
    return jnp.tanh(x)
    # </solution>
