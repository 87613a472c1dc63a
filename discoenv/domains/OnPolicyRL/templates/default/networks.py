"""The policy and the value function."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.linen.initializers import constant, orthogonal
from rl_jax.distributions import Categorical, DiagonalNormal


class ActorCritic(nn.Module):
    """Policy π(a | s) and value function V(s).

    Attributes:
        action_dim: number of discrete actions, or length of the action vector if CONTINUOUS.
        config: the run's configuration (immutable mapping); HSIZE is the width of hidden layers, CONTINUOUS says which
            kind of action space it is.
        activation: the nonlinearity, as returned by ``get_activation(config)``.
    """

    action_dim: int
    config: Mapping[str, Any]
    activation: Callable

    @nn.compact
    def __call__(self, x):
        """Evaluate both.

        Args:
            x: float32[..., D], observations; any number of leading axes.

        Returns:
            (pi, value). ``pi`` is a distribution over actions with the methods ``sample(seed)``, ``log_prob(action)``,
            ``entropy()`` and ``mode()`` (see rl_jax/distributions.py): Categorical with action_dim logits, or
            DiagonalNormal of action_dim dimensions if CONTINUOUS. ``value`` is float32[...]: a number per observation.
        """

        # <solution>
        def mlp(x, output_dim, output_scale):
            for _ in range(2):
                x = nn.Dense(self.config["HSIZE"], kernel_init=orthogonal(np.sqrt(2)), bias_init=constant(0.0))(x)
                x = self.activation(x)
            return nn.Dense(output_dim, kernel_init=orthogonal(output_scale), bias_init=constant(0.0))(x)

        actor = mlp(x, self.action_dim, 0.01)
        if self.config["CONTINUOUS"]:
            log_std = self.param("log_std", nn.initializers.zeros, (self.action_dim,))
            pi = DiagonalNormal(actor, log_std)
        else:
            pi = Categorical(actor)

        critic = mlp(x, 1, 1.0)
        return pi, jnp.squeeze(critic, axis=-1)
        # </solution>
