"""A learned convolution of all channels. Gilpin 2019, Cellular automata as convolutional neural networks."""

import flax.linen as nn
import jax.numpy as jnp


class Perceive(nn.Module):
    """A dense layer on the nine states, and a rectifier."""

    config: dict

    @nn.compact
    def __call__(self, states):
        """Perception float32[N, H, W, HIDDEN]."""
        shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        nine = jnp.concatenate([jnp.roll(states, shift, axis=(1, 2)) for shift in shifts], axis=-1)
        return nn.relu(nn.Dense(self.config["HIDDEN"])(nine))


def create_perceive(config):
    """A flax.linen module that maps states to perceptions."""
    return Perceive(config)
