"""Uses trained agents with a memory: what the examiner asks for."""

import exam
import jax
import jax.numpy as jnp
import numpy as np
from activation import activation
from marl_jax.teams import Observation
from networks import ActorCritic
from run_config import get_config


def make_policy(config):
    """The policies of NUM_SEEDS trained teams, each with n rows, as pure functions. A row is one agent of one episode.

    Args:
        config: the run's configuration, ACTION_DIM, and WORLD_DIM, the length of ``world`` in training.

    Returns:
        ``start(n) -> memory``, a tree of arrays [NUM_SEEDS, n, ...]; and ``act(state, memory, obs,
        first, available, key) -> (action, memory)``, where

        * state is what training handed over: "params", with a leading axis [NUM_SEEDS];
        * obs is float32[NUM_SEEDS, n, D], what each agent sees itself; first is bool[NUM_SEEDS, n], whether that is
          the first of an episode; available is bool[NUM_SEEDS, n, K], which actions it may take;
        * key is uint32[NUM_SEEDS, n, 2], the random numbers of each, if actions are drawn and not the modes;
        * action is int[NUM_SEEDS, n], or float[NUM_SEEDS, n, K] for continuous action spaces.
    """
    network = ActorCritic(config["ACTION_DIM"], config, activation)

    def act_one(params, memory, obs, first, available, key):
        active, world = jnp.ones(first.shape, bool), jnp.zeros((*first.shape, 1))
        obs = jax.tree.map(lambda x: x[None], Observation(obs, available, active, world))
        memory, pi, _ = network.apply(params, memory, obs, first[None])
        if config["EVALUATION_GREEDY"]:
            return pi.mode()[0], memory
        pi = jax.tree.map(lambda x: jnp.broadcast_to(x, (1, *first.shape, x.shape[-1]))[0], pi)
        return jax.vmap(lambda pi, key: pi.sample(seed=jax.random.wrap_key_data(key)))(pi, key), memory

    def start(n):
        return jax.tree.map(lambda x: jnp.stack([x] * config["NUM_SEEDS"]), network.initial_memory((n,)))

    def act(state, memory, obs, first, available, key):
        return jax.vmap(act_one)(state["params"], memory, obs, first, available, key)

    return start, act


class Policy:
    """A policy as the examiner questions it, with the state that training handed over."""

    def __init__(self, config, state):
        self._start, act = make_policy(get_config(config))
        self._state = {"params": state["params"]}
        self._act = jax.jit(act)

    def start(self, n):
        """The memory before the first observations of n agents of each team."""
        return jax.tree.map(np.asarray, self._start(n))

    def act(self, memory, obs, first, available, key):
        """Actions, and the memory after them; see ``make_policy``."""
        action, memory = self._act(self._state, memory, obs, first, available, key)
        return np.asarray(action), jax.tree.map(np.asarray, memory)


make = Policy

if __name__ == "__main__":
    exam.answer(make)
