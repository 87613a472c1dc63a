"""Trained agents as the examiner sees them."""

import jax
import numpy as np
from make_env import standardise


class GreedyPolicy:
    """NUM_SEEDS trained agents, which share the examiner's environments between them.

    Args:
        network: an ``ActorCritic``.
        params, env_state: as ``train`` returned them, with a leading axis [NUM_SEEDS].
    """

    def __init__(self, network, params, env_state):
        def act(params, env_state, obs):
            return network.apply(params, standardise(env_state, obs))[0].mode()

        self._agents = (params, env_state)
        self._count = len(jax.tree.leaves(params)[0])
        self._act = jax.jit(jax.vmap(act))

    def act(self, obs, done):
        """Actions of N environments: int[N], or float[N, A] for continuous action spaces.

        The first N / NUM_SEEDS environments are the first agent's, and so on.

        Args:
            obs: float32[N, D], the environments' observations.
            done: bool[N], whether ``obs`` is the first observation of an episode. Policies without memory ignore it.
        """
        del done
        obs = np.asarray(obs).reshape(self._count, -1, *obs.shape[1:])
        actions = np.asarray(self._act(*self._agents, obs))
        return actions.reshape(-1, *actions.shape[2:])
