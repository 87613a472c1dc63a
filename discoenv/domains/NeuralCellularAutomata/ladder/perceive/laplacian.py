"""The cell itself, gradients and the Laplacian of every channel. Niklasson et al. 2021, Self-organising textures."""

import flax.linen as nn
import jax.numpy as jnp


class Perceive(nn.Module):
    """Four filters that are fixed."""

    config: dict

    @nn.compact
    def __call__(self, states):
        """Perception float32[N, H, W, 4 CHANNELS]; the Laplacian is that of the paper, over 16."""
        above, below = jnp.roll(states, 1, axis=1), jnp.roll(states, -1, axis=1)
        smooth, slope = above + 2 * states + below, below - above
        left, right = jnp.roll(smooth, 1, axis=2), jnp.roll(smooth, -1, axis=2)
        dx = (right - left) / 8
        dy = (jnp.roll(slope, 1, axis=2) + 2 * slope + jnp.roll(slope, -1, axis=2)) / 8
        laplacian = (left + 2 * smooth + right) / 16 - states
        return jnp.concatenate([states, dx, dy, laplacian], axis=-1)


def create_perceive(config):
    """A flax.linen module that maps states to perceptions."""
    return Perceive(config)
