"""The sigmoid-weighted linear unit, x σ(x). Elfwing, Uchibe and Doya 2018."""

import jax


def get_activation(config):
    """The activation function of the networks."""
    return jax.nn.silu
