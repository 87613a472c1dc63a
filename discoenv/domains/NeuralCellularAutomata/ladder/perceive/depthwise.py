"""The cell itself, and two learned filters of each channel. Faldor and Cully 2025, CAX."""

import flax.linen as nn
import jax.numpy as jnp

#: Filters of a channel.
FILTERS = 2


class Perceive(nn.Module):
    """A depthwise convolution, as a sum of shifted states."""

    config: dict

    @nn.compact
    def __call__(self, states):
        """Perception float32[N, H, W, (1 + FILTERS) CHANNELS]."""
        kernel = self.param("kernel", nn.initializers.normal(1 / 3), (9, FILTERS, states.shape[-1]))
        shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        shifted = [jnp.roll(states, shift, axis=(1, 2)) for shift in shifts]
        found = [sum(each * kernel[n, k] for n, each in enumerate(shifted)) for k in range(FILTERS)]
        return jnp.concatenate([states, *found], axis=-1)


def create_perceive(config):
    """A flax.linen module that maps states to perceptions."""
    return Perceive(config)
