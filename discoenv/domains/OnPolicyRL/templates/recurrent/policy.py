"""Trained agents as the examiner sees them."""

import jax
import jax.numpy as jnp
import numpy as np
from make_env import standardise


class TrainedPolicy:
    """NUM_SEEDS trained agents, which share the examiner's environments between them and remember each one's episode.

    Args:
        network: an ``ActorCritic``.
        params, env_state: as ``train`` returned them, with a leading axis [NUM_SEEDS].
        key: JAX key that actions are drawn with; None: each is the mode of its distribution.
    """

    def __init__(self, network, params, env_state, key=None):
        def act(params, env_state, key, memory, obs, first, time):
            obs = standardise(env_state, obs)
            memory, pi, _ = network.apply(params, memory, obs[None], first[None])
            action = pi.mode() if key is None else pi.sample(jax.random.fold_in(key, time))
            return memory, action[0]

        self._network = network
        self._count = len(jax.tree.leaves(params)[0])
        self._agents = (params, env_state, None if key is None else jax.random.split(key, self._count))
        self._time = 0
        self._act = jax.jit(jax.vmap(act, in_axes=(0, 0, 0, 0, 0, 0, None)))
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
        self._memory, actions = self._act(*self._agents, self._memory, obs, first, np.int32(self._time))
        self._time += 1
        return np.asarray(actions).reshape(-1, *actions.shape[2:])
