"""A stream for the state's value and one for advantages of actions. Wang et al. 2016, eq. 9."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn


class QNetwork(nn.Module):
    """The state's value plus each action's advantage over the mean."""

    action_dim: int
    config: Mapping[str, Any]

    @nn.compact
    def __call__(self, x):
        """Values float32[..., action_dim] of observations float32[..., D]."""
        for _ in range(self.config["DEPTH"] - 1):
            x = nn.relu(nn.Dense(self.config["WIDTH"])(x))
        value = nn.Dense(1)(nn.relu(nn.Dense(self.config["WIDTH"])(x)))
        advantage = nn.Dense(self.action_dim)(nn.relu(nn.Dense(self.config["WIDTH"])(x)))
        return value + advantage - advantage.mean(axis=-1, keepdims=True)
