"""Layer normalisation before each nonlinearity. Ba, Kiros and Hinton 2016."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.linen.initializers import constant, orthogonal
from rl_jax.distributions import Categorical, DiagonalNormal


class ActorCritic(nn.Module):
    """Two multi-layer perceptrons, normalised."""

    action_dim: int
    config: Mapping[str, Any]
    activation: Callable

    @nn.compact
    def __call__(self, x):
        """(pi, value) of observations float32[..., D]; value is float32[...]."""

        def dense(x, size, scale):
            return nn.Dense(size, kernel_init=orthogonal(scale), bias_init=constant(0.0))(x)

        def mlp(x, output_dim, output_scale):
            for _ in range(2):
                x = self.activation(nn.LayerNorm()(dense(x, self.config["HSIZE"], np.sqrt(2))))
            return dense(x, output_dim, output_scale)

        actor, critic = mlp(x, self.action_dim, 0.01), mlp(x, 1, 1.0)
        if self.config["CONTINUOUS"]:
            pi = DiagonalNormal(actor, self.param("log_std", nn.initializers.zeros, (self.action_dim,)))
        else:
            pi = Categorical(actor)
        return pi, jnp.squeeze(critic, axis=-1)
