"""The policy and the value function, with a recurrent memory; all agents share both, and each remembers by itself."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.initializers import constant, orthogonal
from rl_jax.distributions import Categorical, DiagonalNormal


class ActorCritic(nn.Module):
    """Policy π(a | observations of the episode so far) and value function of the same, of one agent alone.

    Attributes:
        action_dim: number K of discrete actions, or length of the action vector if CONTINUOUS.
        config: the run's configuration (immutable mapping); HSIZE is the width of hidden layers, CONTINUOUS says which
            kind of action space it is.
        activation: the nonlinearity, of activation.py.
    """

    action_dim: int
    config: Mapping[str, Any]
    activation: Callable

    def initial_memory(self, shape):
        """The memory before the first observation: a pytree of arrays with the leading axes ``shape``, a tuple."""
        # <solution>
        return jnp.zeros((*shape, self.config["HSIZE"]))
        # </solution>

    @nn.compact
    def __call__(self, memory, obs, first):
        """Read T observations of each of some agents, in order of time.

        Args:
            memory: what they remember from before; of the structure, shapes and dtypes of ``initial_memory(shape)``.
            obs: Observation (see marl_jax/teams.py) with the leading axes [T, *shape]: ``own`` float32[..., D],
                ``available`` bool[..., K], ``active`` bool[...]; ``world`` is zero. T is 1 when acting and NUM_STEPS in
                the loss. What is said of an agent may depend on its own row alone.
            first: bool[T, *shape], whether an observation is the first of an episode, at which what came before it must
                be forgotten.

        Returns:
            (memory, pi, value). ``memory`` is that after the last observation. ``pi`` is a distribution over actions
            with the methods ``sample(seed)``, ``log_prob(action)``, ``entropy()`` and ``mode()`` (see
            rl_jax/distributions.py), its parameters having the leading axes [T, *shape]: Categorical with action_dim
            logits, those of actions that are not available so low that they are never drawn; or DiagonalNormal of
            action_dim dimensions if CONTINUOUS. ``value`` is float32[T, *shape].
        """
        # <solution>
        size = self.config["HSIZE"]

        def dense(x, output_dim, scale):
            return nn.Dense(output_dim, kernel_init=orthogonal(scale), bias_init=constant(0.0))(x)

        x = self.activation(dense(obs.own, size, np.sqrt(2)))

        # A gated recurrent unit (Cho et al. 2014), its reset gate applied after the matrix product as in cuDNN. What
        # does not depend on the memory is computed for all times at once.
        inputs = dense(x, 3 * size, 1.0)
        recurrent_kernel = self.param("recurrent_kernel", orthogonal(), (size, 3 * size))
        candidate_bias = self.param("candidate_bias", nn.initializers.zeros, (size,))

        def step(h, now):
            inputs, first = now
            h = jnp.where(first[..., None], 0.0, h)
            reset_x, update_x, candidate_x = jnp.split(inputs, 3, axis=-1)
            reset_h, update_h, candidate_h = jnp.split(h @ recurrent_kernel, 3, axis=-1)
            reset, update = nn.sigmoid(reset_x + reset_h), nn.sigmoid(update_x + update_h)
            candidate = jnp.tanh(candidate_x + reset * (candidate_h + candidate_bias))
            h = (1 - update) * candidate + update * h
            return h, h

        memory, x = jax.lax.scan(step, memory, (inputs, first))

        actor = dense(self.activation(dense(x, size, np.sqrt(2))), self.action_dim, 0.01)
        if self.config["CONTINUOUS"]:
            log_std = self.param("log_std", nn.initializers.zeros, (self.action_dim,))
            pi = DiagonalNormal(actor, log_std)
        else:
            pi = Categorical(jnp.where(obs.available, actor, -1e10))

        critic = dense(self.activation(dense(x, size, np.sqrt(2))), 1, 1.0)
        return memory, pi, jnp.squeeze(critic, axis=-1)
        # </solution>
