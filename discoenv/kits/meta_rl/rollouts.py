"""Agents in environments: pieces of experience to learn from, and whole episodes to be judged by.

An environment has the methods of :class:`~.gridworld.GridWorld`: ``reset``, ``step`` and ``observe`` for W workers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .networks import forward
from .rule_net import Params


class Rollout(NamedTuple):
    """Experience of W workers over T steps.

    Attributes:
        observations: ``[W, T + 1, ...]``; after an end, the first of the next episode.
        actions, rewards, done: ``[W, T]``.
    """

    observations: Any
    actions: jax.Array
    rewards: jax.Array
    done: jax.Array


def collect(key: jax.Array, world: Any, actor: Params, states: Any, level: Any, steps: int) -> tuple[Any, Rollout]:
    """Go on from ``states`` for some steps; returns the states after them, and what was experienced.

    No gradient flows from it to the actor.
    """

    actor = jax.lax.stop_gradient(actor)

    def step(states: Any, keys: jax.Array) -> tuple[Any, Any]:
        act, go_on = keys
        observations = world.observe(states, level)
        actions = jax.random.categorical(act, forward(actor, observations))
        states, rewards, done = world.step(go_on, states, actions, level)
        return states, (observations, actions, rewards, done)

    states, (observations, *rest) = jax.lax.scan(step, states, jax.random.split(key, (steps, 2)))
    last = world.observe(states, level)
    observations = jax.tree.map(lambda x, end: jnp.concatenate([x, end[None]]), observations, last)
    return states, Rollout(*jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), (observations, *rest)))


def episode_returns(key: jax.Array, world: Any, actor: Params, level: Any, episodes: int, max_steps: int) -> jax.Array:
    """Returns of whole episodes, ``[episodes]``, without discount.

    Episodes are cut off after ``max_steps``; what the level cuts off earlier ends there. It ends with the last episode.
    """
    first, rest = jax.random.split(key)

    def step(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        time, states, running, total = carry
        act, go_on = jax.random.split(jax.random.fold_in(rest, time))
        actions = jax.random.categorical(act, forward(actor, world.observe(states, level)))
        states, rewards, done = world.step(go_on, states, actions, level)
        return time + 1, states, running & ~done, total + jnp.where(running, rewards, 0)

    start = (jnp.int32(0), world.reset(first, level, episodes), jnp.ones(episodes, bool), jnp.zeros(episodes))
    return jax.lax.while_loop(lambda carry: (carry[0] < max_steps) & carry[2].any(), step, start)[-1]
