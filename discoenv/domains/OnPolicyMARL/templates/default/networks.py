"""The policy and the value function, which all agents share."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.linen.initializers import constant, orthogonal
from rl_jax.distributions import Categorical, DiagonalNormal


class ActorCritic(nn.Module):
    """Policy π(a | o) and value function V(o) of one agent, applied to each agent alone.

    Attributes:
        action_dim: number K of discrete actions, or length of the action vector if CONTINUOUS.
        config: the run's configuration (immutable mapping); HSIZE is the width of hidden layers, CONTINUOUS says which
            kind of action space it is.
        activation: the nonlinearity of activation.py.
    """

    action_dim: int
    config: Mapping[str, Any]
    activation: Callable

    @nn.compact
    def __call__(self, obs):
        """Evaluate both.

        Args:
            obs: Observation (see marl_jax/teams.py) with any number of leading axes: ``own`` float32[..., D],
                ``available`` bool[..., K], ``active`` bool[...]; ``world`` is zero. What is said of an agent may
                depend on its own row alone.

        Returns:
            (pi, value). ``pi`` is a distribution over actions with the methods ``sample(seed)``, ``log_prob(action)``,
            ``entropy()`` and ``mode()`` (see rl_jax/distributions.py): Categorical with action_dim logits, those of
            actions that are not available so low that they are never drawn; or DiagonalNormal of action_dim dimensions
            if CONTINUOUS. ``value`` is float32[...]: a number per agent.
        """

        # <solution>
        def mlp(x, output_dim, output_scale):
            for _ in range(2):
                x = nn.Dense(self.config["HSIZE"], kernel_init=orthogonal(np.sqrt(2)), bias_init=constant(0.0))(x)
                x = self.activation(x)
            return nn.Dense(output_dim, kernel_init=orthogonal(output_scale), bias_init=constant(0.0))(x)

        actor = mlp(obs.own, self.action_dim, 0.01)
        if self.config["CONTINUOUS"]:
            log_std = self.param("log_std", nn.initializers.zeros, (self.action_dim,))
            pi = DiagonalNormal(actor, log_std)
        else:
            pi = Categorical(jnp.where(obs.available, actor, -1e10))

        critic = mlp(obs.own, 1, 1.0)
        return pi, jnp.squeeze(critic, axis=-1)
        # </solution>
