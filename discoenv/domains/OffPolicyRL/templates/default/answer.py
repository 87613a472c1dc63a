"""Uses trained agents: what the examiner asks for."""

import exam
import jax
import jax.numpy as jnp
import numpy as np
from networks import QNetwork
from policy import exploit
from run_config import get_config


def make_policy(config):
    """The policy of NUM_SEEDS trained agents, each in n environments, as pure functions.

    Args:
        config: the run's configuration, and ACTION_DIM.

    Returns:
        ``start(n) -> memory``, a tree of arrays [NUM_SEEDS, n, ...], here an empty one; and ``act(state, memory, obs,
        first, key) -> (action, memory)``, where

        * state is what training handed over: "params", those of ``QNetwork``, with a leading axis [NUM_SEEDS];
        * obs is float32[NUM_SEEDS, n, D]; first is bool[NUM_SEEDS, n], whether obs is the first of an episode;
        * key is uint32[2], the random numbers of this step, which ``exploit`` gets;
        * action is int[NUM_SEEDS, n].
    """
    network = QNetwork(config["ACTION_DIM"], config)

    def start(n):
        del n
        return {}

    def act(state, memory, obs, first, key):
        del first
        q_vals = jax.vmap(network.apply)(state["params"], obs)
        flat = q_vals.reshape(-1, q_vals.shape[-1])
        action = exploit(jax.random.wrap_key_data(key), flat, jnp.int32(config["TOTAL_TIMESTEPS"]), config)
        return action.reshape(q_vals.shape[:-1]), memory

    return start, act


class Policy:
    """A policy as the examiner questions it, with the state that training handed over."""

    def __init__(self, config, state):
        self._start, act = make_policy(get_config(config))
        self._state = {"params": state["params"]}
        self._act = jax.jit(act)

    def start(self, n):
        """The memory before the first observations of n environments per agent."""
        return self._start(n)

    def act(self, memory, obs, first, key):
        """Actions, and the memory after them; see ``make_policy``."""
        action, memory = self._act(self._state, memory, obs, first, key)
        return np.asarray(action), memory


make = Policy

if __name__ == "__main__":
    exam.answer(make)
