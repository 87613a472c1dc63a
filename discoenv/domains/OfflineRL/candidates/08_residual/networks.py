"""Residual blocks with normalisation (Lee et al. 2025, SimBa: simplicity bias for scaling up parameters)."""

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
        for _ in range(self.config["LAYERS"]):
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
            x = nn.Dense(self.config["HIDDEN"] // 2)(x)
            for _ in range(self.config["LAYERS"]):
                inner = nn.relu(nn.Dense(self.config["HIDDEN"])(nn.LayerNorm()(x)))
                x = x + nn.Dense(self.config["HIDDEN"] // 2)(inner)
            x = nn.LayerNorm()(x)
            values.append(nn.Dense(1)(x)[:, 0])
        return jnp.stack(values)
