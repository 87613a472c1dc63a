"""Uses trained agents: what the examiner asks for."""

import exam
import jax
import numpy as np
from activation import get_activation
from networks import ActorCritic
from rl_jax.wrappers import RunningMoments
from run_config import get_config


def make_policy(config):
    """The policy of NUM_SEEDS trained agents, each in n environments, as pure functions.

    Args:
        config: the run's configuration, and ACTION_DIM.

    Returns:
        ``start(n) -> memory``, a tree of arrays [NUM_SEEDS, n, ...], here an empty one; and ``act(state, memory, obs,
        first, key) -> (action, memory)``, where

        * state is what training handed over: "params", those of ``ActorCritic``, and "moments" of the observations,
          empty unless NORMALIZE; all arrays have a leading axis [NUM_SEEDS];
        * obs is float32[NUM_SEEDS, n, D]; first is bool[NUM_SEEDS, n], whether obs is the first of an episode;
        * key is uint32[2], the random numbers of this step, if actions are drawn and not the modes of distributions;
        * action is int[NUM_SEEDS, n], or float[NUM_SEEDS, n, A] for continuous action spaces.
    """
    network = ActorCritic(config["ACTION_DIM"], config, get_activation(config))

    def act_one(params, moments, obs, key):
        if moments:
            obs = RunningMoments(**moments).standardise(obs)
        pi, _ = network.apply(params, obs)
        return pi.mode() if config["EVALUATION_GREEDY"] else pi.sample(jax.random.wrap_key_data(key))

    def start(n):
        del n
        return {}

    def act(state, memory, obs, first, key):
        del first
        keys = jax.vmap(lambda i: jax.random.key_data(jax.random.fold_in(jax.random.wrap_key_data(key), i)))(
            np.arange(len(obs))
        )
        return jax.vmap(act_one)(state["params"], state["moments"], obs, keys), memory

    return start, act


class Policy:
    """A policy as the examiner questions it, with the state that training handed over."""

    def __init__(self, config, state):
        self._start, act = make_policy(get_config(config))
        self._state = {name: state[name] for name in ("params", "moments")}
        self._act = jax.jit(act)

    def start(self, n):
        """The memory before the first observations of n environments per agent."""
        return jax.tree.map(np.asarray, self._start(n))

    def act(self, memory, obs, first, key):
        """Actions, and the memory after them; see ``make_policy``."""
        action, memory = self._act(self._state, memory, obs, first, key)
        return np.asarray(action), jax.tree.map(np.asarray, memory)


make = Policy

if __name__ == "__main__":
    exam.answer(make)
