"""Residual blocks of normalised layers, and a last normalisation. Lee et al. 2025."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.linen.initializers import constant, orthogonal
from rl_jax.distributions import Categorical, DiagonalNormal

BLOCKS, EXPANSION = 1, 4


class ActorCritic(nn.Module):
    """Two networks that can stay close to linear ones."""

    action_dim: int
    config: Mapping[str, Any]
    activation: Callable

    @nn.compact
    def __call__(self, x):
        """(pi, value) of observations float32[..., D]; value is float32[...]."""

        def dense(x, size, scale):
            return nn.Dense(size, kernel_init=orthogonal(scale), bias_init=constant(0.0))(x)

        width = self.config["HSIZE"]

        def network(x, output_dim, output_scale):
            x = dense(x, width, 1.0)
            for _ in range(BLOCKS):
                hidden = self.activation(dense(nn.LayerNorm()(x), EXPANSION * width, np.sqrt(2)))
                x = x + dense(hidden, width, np.sqrt(2))
            return dense(nn.LayerNorm()(x), output_dim, output_scale)

        actor, critic = network(x, self.action_dim, 0.01), network(x, 1, 1.0)
        if self.config["CONTINUOUS"]:
            pi = DiagonalNormal(actor, self.param("log_std", nn.initializers.zeros, (self.action_dim,)))
        else:
            pi = Categorical(actor)
        return pi, jnp.squeeze(critic, axis=-1)
