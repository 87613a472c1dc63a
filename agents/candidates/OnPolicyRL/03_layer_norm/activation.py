"""The nonlinearity of the actor's and the critic's hidden layers."""

import jax
import jax.numpy as jnp


def get_activation(config):
    """The activation function of the networks.

    Args:
        config: the run's configuration (immutable mapping); CONTINUOUS says which kind of action space it is.

    Returns:
        A differentiable function of one array, float32[...], that returns an array of the same shape and dtype.
    """
    return jnp.tanh if config["CONTINUOUS"] else jax.nn.relu
