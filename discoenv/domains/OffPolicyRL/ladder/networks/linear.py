"""Values that are linear in the observation. Liang et al. 2016."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn


class QNetwork(nn.Module):
    """Linear action values."""

    action_dim: int
    config: Mapping[str, Any]

    @nn.compact
    def __call__(self, x):
        """Values float32[..., action_dim] of observations float32[..., D]."""
        return nn.Dense(self.action_dim)(x)
