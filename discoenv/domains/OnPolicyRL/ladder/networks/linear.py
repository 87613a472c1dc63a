"""Linear functions of the observation. Rajeswaran et al. 2017."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.initializers import constant, orthogonal
from rl_jax.distributions import Categorical, DiagonalNormal


class ActorCritic(nn.Module):
    """A linear policy and a linear value function."""

    action_dim: int
    config: Mapping[str, Any]
    activation: Callable

    @nn.compact
    def __call__(self, x):
        """(pi, value) of observations float32[..., D]; value is float32[...]."""

        def dense(x, size, scale):
            return nn.Dense(size, kernel_init=orthogonal(scale), bias_init=constant(0.0))(x)

        actor, critic = dense(x, self.action_dim, 0.01), dense(x, 1, 1.0)
        if self.config["CONTINUOUS"]:
            pi = DiagonalNormal(actor, self.param("log_std", nn.initializers.zeros, (self.action_dim,)))
        else:
            pi = Categorical(actor)
        return pi, jnp.squeeze(critic, axis=-1)
