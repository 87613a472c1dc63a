"""A dueling network (Wang et al. 2016) with layer normalisation."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn


class QNetwork(nn.Module):
    """Action values: the state's value plus each action's advantage, which is centred."""

    action_dim: int
    config: Mapping[str, Any]

    @nn.compact
    def __call__(self, x):
        """Values float32[..., action_dim] of observations float32[..., D]."""
        for _ in range(self.config["DEPTH"]):
            x = nn.relu(nn.LayerNorm()(nn.Dense(self.config["WIDTH"])(x)))
        value, advantage = nn.Dense(1)(x), nn.Dense(self.action_dim)(x)
        return value + advantage - advantage.mean(axis=-1, keepdims=True)
