"""A small convolutional network for games, and a perceptron elsewhere. Young and Tian 2019."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn

SIDE, FILTERS = 10, 16


class QNetwork(nn.Module):
    """A convolution and a dense layer where observations are images of 10 by 10 cells."""

    action_dim: int
    config: Mapping[str, Any]

    @nn.compact
    def __call__(self, x):
        """Values float32[..., action_dim] of observations float32[..., D]."""
        width = self.config["WIDTH"]
        if x.shape[-1] % SIDE**2 == 0:
            x = nn.relu(nn.Conv(FILTERS, (3, 3), padding="VALID")(x.reshape(*x.shape[:-1], SIDE, SIDE, -1)))
            x = x.reshape(*x.shape[:-3], -1)
        else:
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(self.action_dim)(nn.relu(nn.Dense(2 * width)(x)))
