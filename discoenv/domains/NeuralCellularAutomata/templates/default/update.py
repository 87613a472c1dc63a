"""How a cell changes, given what it perceives."""

import flax.linen as nn
import jax.numpy as jnp


def alive(states, config):
    """Which cells are alive, bool[N, H, W, 1]: the largest alpha (channel 3) of the nine cells is above 0.1."""
    # <solution>
    alpha = states[..., 3:4]
    alpha = jnp.maximum(jnp.maximum(jnp.roll(alpha, 1, axis=1), alpha), jnp.roll(alpha, -1, axis=1))
    return jnp.maximum(jnp.maximum(jnp.roll(alpha, 1, axis=2), alpha), jnp.roll(alpha, -1, axis=2)) > 0.1
    # </solution>


class Update(nn.Module):
    """A residual update by a small network, in a random subset of the cells.

    Attributes:
        config: the run's configuration (immutable mapping): CHANNELS, HIDDEN, FIRE_RATE, ALIVE.
    """

    config: dict

    @nn.compact
    def __call__(self, states, perception, noise):
        """States after one step.

        Args:
            states: float32[N, H, W, CHANNELS].
            perception: float32[N, H, W, P], as from perceive.py.
            noise: float32[N, H, W, 1], uniform in [0, 1), independent between cells and steps.

        Returns:
            float32[N, H, W, CHANNELS]; the last PRESERVE channels are ignored.
        """
        # <solution>
        config = self.config
        hidden = nn.relu(nn.Dense(config["HIDDEN"])(perception))
        # Zero at first, so that an untrained automaton keeps its state.
        change = nn.Dense(config["CHANNELS"], use_bias=False, kernel_init=nn.initializers.zeros)(hidden)
        new = states + change * (noise < config["FIRE_RATE"])
        if config["ALIVE"]:
            new = new * (alive(states, config) & alive(new, config))
        return new
        # </solution>


def create_update(config):
    """A flax.linen module that maps states, perceptions and noise to the next states.

    Args:
        config: the run's configuration (immutable mapping).
    """
    return Update(config)
