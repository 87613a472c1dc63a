"""The population: each agent with the level it lives on, and what happens to many of them at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .agents import Agent, init_agent, policy_gradient_loss, value_update
from .modes import Mode
from .networks import init_network
from .optimisers import Trained
from .rollouts import collect, episode_returns
from .settings import Settings


class Life(NamedTuple):
    """An agent and where it lives; in a population all arrays have ``[A, ...]``.

    Attributes:
        agent: it learns by the rule.
        value: value function for the outer loss.
        states: of its W copies of the environment.
        level: of the environment.
        lifetime: updates, ``[]``.
        slot: place of the level in the buffer, ``[]``.
    """

    agent: Agent
    value: Trained
    states: Any
    level: Any
    lifetime: jax.Array
    slot: jax.Array


def begin_life(
    key: jax.Array, settings: Settings, mode: Mode, level: Any, lifetime: jax.Array, slot: jax.Array
) -> Life:
    """A new agent on a level."""
    body, worth, world = jax.random.split(key, 3)
    inputs, targets = mode.world.observation_size, settings.rule.targets
    return Life(
        init_agent(body, mode.agent, inputs, mode.world.num_actions, targets),
        mode.agent.value.init(init_network(worth, inputs, mode.agent.hidden, 1)),
        mode.world.reset(world, level, settings.env_workers),
        level,
        lifetime,
        slot,
    )


def judged(key: jax.Array, settings: Settings, mode: Mode, actor: Any, level: Any) -> jax.Array:
    """Mean return of ``env_workers`` fresh episodes, ``[]``."""
    return episode_returns(key, mode.world, actor, level, settings.env_workers, mode.max_steps).mean()


def a2c_actor(key: jax.Array, settings: Settings, mode: Mode, level: Any) -> Any:
    """The actor of an A2C agent that was trained on a level for the longest lifetime of the mode.

    It has the same networks and optimisers as agents that learn by the rule.
    """
    first, rest = jax.random.split(key)
    design, world = mode.agent, mode.world
    life = begin_life(first, settings, mode, level, jnp.int32(0), jnp.int32(0))

    def update(carry: tuple[Any, ...], key: jax.Array) -> tuple[tuple[Any, ...], None]:
        actor, value, states = carry
        states, rollout = collect(key, world, actor.params, states, level, settings.rollout_steps)
        value, advantages = value_update(value, rollout, design, settings.discount, settings.lambda_)

        def loss(params: Any) -> jax.Array:
            policy_loss, entropy = policy_gradient_loss(params, rollout, advantages)
            return policy_loss - settings.a2c_entropy * entropy

        return (design.actor.step(actor, jax.grad(loss)(actor.params)), value, states), None

    start = (life.agent.actor, life.value, life.states)
    (actor, *_), _ = jax.lax.scan(update, start, jax.random.split(rest, mode.lifetime[1]))
    return actor.params


def regret(key: jax.Array, settings: Settings, mode: Mode, life: Life) -> jax.Array:
    """Algorithmic regret: what A2C reaches on the level, minus what the agent has reached, ``[]``."""
    train, other, own = jax.random.split(key, 3)
    rival = a2c_actor(train, settings, mode, life.level)
    return judged(other, settings, mode, rival, life.level) - judged(
        own, settings, mode, life.agent.actor.params, life.level
    )


def in_mini_batches(
    function: Callable[[Any, Any], tuple[Any, Any]], carry: Any, inputs: Any, count: int
) -> tuple[Any, Any]:
    """``lax.scan`` over ``count`` equal groups of the first axis; outputs are put together again."""
    grouped = jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), inputs)
    carry, outputs = jax.lax.scan(function, carry, grouped)
    return carry, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), outputs)


def of_those(function: Callable[[jax.Array], jax.Array], wanted: jax.Array, group: int) -> jax.Array:
    """Values of a function for the wanted indices, 0 for the others.

    Costs as many groups as the wanted ones fill, one after another.

    Args:
        function: maps indices ``[group]`` to numbers ``[group]``.
        wanted: ``[A]``, bool; A is a multiple of ``group``.
        group: number of indices at a time.
    """
    order, count = jnp.argsort(~wanted), wanted.sum()

    def step(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        done, values = carry
        indices = jax.lax.dynamic_slice(order, (done,), (group,))
        return done + group, values.at[indices].set(function(indices))

    start = (jnp.zeros_like(count), jnp.zeros(len(wanted)))
    _, values = jax.lax.while_loop(lambda carry: carry[0] < count, step, start)
    return jnp.where(wanted, values, 0)
