"""x times its sigmoid. Elfwing, Uchibe and Doya 2018."""

import jax


def activation(x):
    """float32[...] of x float32[...]."""
    return jax.nn.silu(x)
