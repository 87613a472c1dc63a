"""A small convolutional network for games, and a perceptron elsewhere. Young and Tian 2019."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.linen.initializers import constant, orthogonal
from rl_jax.distributions import Categorical, DiagonalNormal

SIDE, FILTERS = 10, 16


class ActorCritic(nn.Module):
    """A convolution and a dense layer where observations are images of 10 by 10 cells."""

    action_dim: int
    config: Mapping[str, Any]
    activation: Callable

    @nn.compact
    def __call__(self, x):
        """(pi, value) of observations float32[..., D]; value is float32[...]."""

        def dense(x, size, scale):
            return nn.Dense(size, kernel_init=orthogonal(scale), bias_init=constant(0.0))(x)

        def network(x, output_dim, output_scale):
            if not self.config["CONTINUOUS"] and x.shape[-1] % SIDE**2 == 0:
                image = x.reshape(*x.shape[:-1], SIDE, SIDE, -1)
                x = self.activation(
                    nn.Conv(FILTERS, (3, 3), padding="VALID", kernel_init=orthogonal(np.sqrt(2)))(image)
                )
                x = x.reshape(*x.shape[:-3], -1)
            else:
                x = self.activation(dense(x, self.config["HSIZE"], np.sqrt(2)))
            x = self.activation(dense(x, 2 * self.config["HSIZE"], np.sqrt(2)))
            return dense(x, output_dim, output_scale)

        actor, critic = network(x, self.action_dim, 0.01), network(x, 1, 1.0)
        if self.config["CONTINUOUS"]:
            pi = DiagonalNormal(actor, self.param("log_std", nn.initializers.zeros, (self.action_dim,)))
        else:
            pi = Categorical(actor)
        return pi, jnp.squeeze(critic, axis=-1)
