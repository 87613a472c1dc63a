"""Trained agents as the examiner sees them."""

import jax
import jax.numpy as jnp
import numpy as np
from make_env import standardise


class GreedyPolicy:
    """NUM_SEEDS trained agents, which share the examiner's environments between them and remember each one's episode.

    Args:
        network: an ``ActorCritic``.
        params, env_state: as ``train`` returned them, with a leading axis [NUM_SEEDS].
    """

    def __init__(self, network, params, env_state):
        def act(params, env_state, memory, obs, first):
            obs = standardise(env_state, obs)
            memory, pi, _ = network.apply(params, memory, obs[None], first[None])
            return memory, pi.mode()[0]

        self._network = network
        self._agents = (params, env_state)
        self._count = len(jax.tree.leaves(params)[0])
        self._act = jax.jit(jax.vmap(act))
        self._memory = None

    def act(self, obs, done):
        """Actions of N environments: int[N], or float[N, A] for continuous action spaces.

        The first N / NUM_SEEDS environments are the first agent's, and so on.

        Args:
            obs: float32[N, D], the environments' observations.
            done: bool[N], whether ``obs`` is the first observation of an episode.
        """
        obs, first = (np.asarray(x).reshape(self._count, -1, *x.shape[1:]) for x in (obs, done))
        if self._memory is None:
            memory = self._network.initial_memory(obs.shape[1])
            self._memory = jax.tree.map(lambda x: jnp.stack([x] * self._count), memory)
        self._memory, actions = self._act(*self._agents, self._memory, obs, first)
        return np.asarray(actions).reshape(-1, *actions.shape[2:])
