"""The policy and the value function. They are the same in every task."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.initializers import constant, orthogonal
from worlds import environments


class ActorCritic(nn.Module):
    """Policy π(a | o) and value function V(o): separate perceptrons with two hidden layers.

    Attributes:
        num_actions: number of actions K.
        width: of hidden layers.
    """

    num_actions: int
    width: int

    @nn.compact
    def __call__(self, obs):
        """Evaluate both.

        Args:
            obs: float32[..., D], any number of leading axes.

        Returns:
            (logits float32[..., K], value float32[...]).
        """

        def mlp(x, outputs, scale):
            for _ in range(2):
                x = nn.tanh(nn.Dense(self.width, kernel_init=orthogonal(np.sqrt(2)), bias_init=constant(0.0))(x))
            return nn.Dense(outputs, kernel_init=orthogonal(scale), bias_init=constant(0.0))(x)

        return mlp(obs, self.num_actions, 0.01), jnp.squeeze(mlp(obs, 1, 1.0), axis=-1)


def make_network(config: Any):
    """The network of a configuration, and its observation: (ActorCritic, float32[D] zeros)."""
    env = environments.make(config)
    return ActorCritic(env.num_actions, config["HSIZE"]), jnp.zeros(env.obs_dim)


def initial_params(config: Any, key: Any):
    """Parameters of an untrained network."""
    network, obs = make_network(config)
    return jax.jit(network.init)(key, obs)
