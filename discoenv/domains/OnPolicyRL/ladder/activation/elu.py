"""The exponential linear unit, x above 0 and exp(x) − 1 below. Clevert, Unterthiner and Hochreiter 2016."""

import jax


def get_activation(config):
    """The activation function of the networks."""
    return jax.nn.elu
