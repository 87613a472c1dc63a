"""Layer normalisation before each nonlinearity. Gallici et al. 2025."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn


class QNetwork(nn.Module):
    """A normalised multi-layer perceptron."""

    action_dim: int
    config: Mapping[str, Any]

    @nn.compact
    def __call__(self, x):
        """Values float32[..., action_dim] of observations float32[..., D]."""
        for _ in range(self.config["DEPTH"]):
            x = nn.relu(nn.LayerNorm()(nn.Dense(self.config["WIDTH"])(x)))
        return nn.Dense(self.action_dim)(x)
