"""The cell itself and the Laplacian, which know no direction. Mordvintsev, Randazzo and Fouts 2022."""

import flax.linen as nn
import jax.numpy as jnp


class Perceive(nn.Module):
    """Two filters that are fixed, and the same for all directions."""

    config: dict

    @nn.compact
    def __call__(self, states):
        """Perception float32[N, H, W, 2 CHANNELS]."""
        columns = jnp.roll(states, 1, axis=1) + 2 * states + jnp.roll(states, -1, axis=1)
        blurred = (jnp.roll(columns, 1, axis=2) + 2 * columns + jnp.roll(columns, -1, axis=2)) / 16
        return jnp.concatenate([states, blurred - states], axis=-1)


def create_perceive(config):
    """A flax.linen module that maps states to perceptions."""
    return Perceive(config)
