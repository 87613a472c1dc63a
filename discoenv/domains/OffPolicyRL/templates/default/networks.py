"""The action-value function."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn


class QNetwork(nn.Module):
    """Action values Q(s, a) of all actions.

    Attributes:
        action_dim: number of actions A.
        config: the run's configuration (immutable mapping); config.py sets WIDTH and DEPTH.
    """

    action_dim: int
    config: Mapping[str, Any]

    @nn.compact
    def __call__(self, x):
        """Evaluate it.

        Args:
            x: float32[..., D], observations; any number of leading axes.

        Returns:
            float32[..., A], the value of each action.
        """
        # <solution>
        for _ in range(self.config["DEPTH"]):
            x = nn.relu(nn.Dense(self.config["WIDTH"])(x))
        return nn.Dense(self.action_dim)(x)
        # </solution>
