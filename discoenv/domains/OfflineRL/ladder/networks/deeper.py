"""One layer more (Tarasov et al. 2023, ReBRAC: depth matters)."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp


class Actor(nn.Module):
    """The policy, which is deterministic.

    Attributes:
        action_dim: length A of an action.
        config: the run's configuration (immutable mapping), with HIDDEN, units of a hidden layer, and LAYERS, how many.
    """

    action_dim: int
    config: Mapping[str, Any]

    @nn.compact
    def __call__(self, observations):
        """Actions of normalised observations.

        Args:
            observations: float32[B, D].

        Returns:
            float32[B, A], from -1 to 1.
        """
        x = observations
        for _ in range(self.config["LAYERS"] + 1):
            x = nn.relu(nn.Dense(self.config["HIDDEN"])(x))
        return jnp.tanh(nn.Dense(self.action_dim, kernel_init=nn.initializers.uniform(1e-2))(x))


class Critic(nn.Module):
    """An ensemble of action values.

    Attributes:
        config: the run's configuration (immutable mapping), with HIDDEN, LAYERS, and ENSEMBLE, the number E of critics.
    """

    config: Mapping[str, Any]

    @nn.compact
    def __call__(self, observations, actions):
        """Values of actions in normalised observations.

        Args:
            observations: float32[B, D].
            actions: float32[B, A], from -1 to 1.

        Returns:
            float32[E, B].
        """
        values = []
        for _ in range(self.config["ENSEMBLE"]):
            x = jnp.concatenate([observations, actions], axis=-1)
            for _ in range(self.config["LAYERS"] + 1):
                x = nn.LayerNorm()(nn.relu(nn.Dense(self.config["HIDDEN"])(x)))
            values.append(nn.Dense(1)(x)[:, 0])
        return jnp.stack(values)
