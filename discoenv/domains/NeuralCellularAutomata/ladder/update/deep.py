"""A network with two hidden layers. Gilpin 2019, Cellular automata as convolutional neural networks."""

import flax.linen as nn
import jax.numpy as jnp


def alive(states, config):
    """Which cells are alive, bool[N, H, W, 1]: the largest alpha (channel 3) of the nine cells is above 0.1."""
    alpha = states[..., 3:4]
    alpha = jnp.maximum(jnp.maximum(jnp.roll(alpha, 1, axis=1), alpha), jnp.roll(alpha, -1, axis=1))
    return jnp.maximum(jnp.maximum(jnp.roll(alpha, 1, axis=2), alpha), jnp.roll(alpha, -1, axis=2)) > 0.1


class Update(nn.Module):
    """A residual update by a deeper network."""

    config: dict

    @nn.compact
    def __call__(self, states, perception, noise):
        """States after one step, float32[N, H, W, CHANNELS]."""
        config = self.config
        hidden = nn.relu(nn.Dense(config["HIDDEN"])(perception))
        hidden = nn.relu(nn.Dense(config["HIDDEN"])(hidden))
        change = nn.Dense(config["CHANNELS"], use_bias=False, kernel_init=nn.initializers.zeros)(hidden)
        new = states + change * (noise < config["FIRE_RATE"])
        if config["ALIVE"]:
            new = new * (alive(states, config) & alive(new, config))
        return new


def create_update(config):
    """A flax.linen module that maps states, perceptions and noise to the next states."""
    return Update(config)
