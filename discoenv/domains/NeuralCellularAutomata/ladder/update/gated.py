"""States are replaced to a learned extent. Srivastava, Greff and Schmidhuber 2015, Highway networks."""

import flax.linen as nn
import jax.numpy as jnp


def alive(states, config):
    """Which cells are alive, bool[N, H, W, 1]: the largest alpha (channel 3) of the nine cells is above 0.1."""
    alpha = states[..., 3:4]
    alpha = jnp.maximum(jnp.maximum(jnp.roll(alpha, 1, axis=1), alpha), jnp.roll(alpha, -1, axis=1))
    return jnp.maximum(jnp.maximum(jnp.roll(alpha, 1, axis=2), alpha), jnp.roll(alpha, -1, axis=2)) > 0.1


class Update(nn.Module):
    """A gate for each channel, nearly shut at first, between the state and a candidate."""

    config: dict

    @nn.compact
    def __call__(self, states, perception, noise):
        """States after one step, float32[N, H, W, CHANNELS]."""
        config = self.config
        hidden = nn.relu(nn.Dense(config["HIDDEN"])(perception))
        candidate = nn.Dense(config["CHANNELS"])(hidden)
        gate = nn.sigmoid(nn.Dense(config["CHANNELS"], bias_init=nn.initializers.constant(-3.0))(hidden))
        new = states + gate * (candidate - states) * (noise < config["FIRE_RATE"])
        if config["ALIVE"]:
            new = new * (alive(states, config) & alive(new, config))
        return new


def create_update(config):
    """A flax.linen module that maps states, perceptions and noise to the next states."""
    return Update(config)
