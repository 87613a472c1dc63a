"""The Gaussian error linear unit, x Φ(x). Hendrycks and Gimpel 2016."""

import jax


def get_activation(config):
    """The activation function of the networks."""
    return jax.nn.gelu
