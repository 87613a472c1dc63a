"""The outer loop of TA-LPG: OpenAI-ES (Salimans et al., 2017) with antithetic pairs that share an agent and its level.

Of a pair, the candidate whose agent is better at the end of its lifetime counts 1, the other 0: the sizes of returns,
which differ between levels, make no difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .agents import agent_update
from .lives import Life, in_mini_batches, judged
from .modes import Mode
from .optimisers import Adam, Trained
from .rollouts import collect
from .rule_net import Params
from .settings import EvolutionStrategy, Settings


def es_gradient(
    key: jax.Array,
    mean: Params,
    sigma: float,
    play: Callable[[jax.Array, Params, Any], tuple[jax.Array, Any]],
    inputs: Any,
    mini_batches: int = 1,
) -> tuple[Params, Any]:
    """Estimate of the gradient by which expected fitness rises.

    ``1 / (2 A sigma) * sum_i z_i (f(mean + sigma z_i) - f(mean - sigma z_i))``, where f is 1 for the better one of a
    pair and 0 for the other, which is the first one if they are equal.

    Args:
        key: split among the pairs.
        mean: of the candidates.
        sigma: their deviation.
        play: ``play(key, candidates, input)`` returns fitness ``[2]`` of a pair of candidates, a pytree with
            ``[2, ...]``, and what else came out of it.
        inputs: pytree with ``[A, ...]``, one for each of A pairs.
        mini_batches: groups of pairs that are played one after another.

    Returns:
        A pytree like ``mean``, and what else came out, ``[A, ...]``.
    """
    leaves, structure = jax.tree.flatten(mean)

    def pair(key: jax.Array, given: Any) -> tuple[Params, Any]:
        noise_key, play_key = jax.random.split(key)
        keys = jax.random.split(noise_key, len(leaves))
        noise = [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
        signs = jnp.array([1.0, -1.0])
        both = [
            x + sigma * signs.astype(x.dtype).reshape(2, *[1] * x.ndim) * z for x, z in zip(leaves, noise, strict=True)
        ]
        fitness, out = play(play_key, jax.tree.unflatten(structure, both), given)
        sign = jnp.where(fitness[0] > fitness[1], 1, -1)
        return [sign.astype(z.dtype) * z for z in noise], out

    def of_batch(total: Any, batch: tuple[jax.Array, Any]) -> tuple[Any, Any]:
        noise, out = jax.vmap(pair)(*batch)
        return [t + z.sum(0) for t, z in zip(total, noise, strict=True)], out

    pairs = len(jax.tree.leaves(inputs)[0])
    zeros = [jnp.zeros_like(x) for x in leaves]
    total, out = in_mini_batches(of_batch, zeros, (jax.random.split(key, pairs), inputs), mini_batches)
    return jax.tree.unflatten(structure, [x / (2 * pairs * sigma) for x in total]), out


def live(key: jax.Array, rule_params: Params, life: Life, settings: Settings, mode: Mode) -> Life:
    """An agent after its whole lifetime under a rule."""

    def update(n: jax.Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
        agent, states = carry
        now = jax.random.fold_in(key, n)
        states, rollout = collect(now, mode.world, agent.actor.params, states, life.level, settings.rollout_steps)
        agent, _ = agent_update(
            agent, rollout, rule_params, settings.rule, life.lifetime, mode.agent, alpha=settings.alpha
        )
        return agent, states

    agent, states = jax.lax.fori_loop(0, life.lifetime, update, (life.agent, life.states))
    return life._replace(agent=agent, states=states)


def optimiser(outer: EvolutionStrategy) -> Adam:
    """What changes the mean of the candidates."""
    return Adam(outer.rate, outer.decay, outer.min_rate)


def es_step(
    key: jax.Array, rule: Trained, lives: Life, settings: Settings, mode: Mode
) -> tuple[Trained, Life, dict[str, jax.Array]]:
    """One step of the rule, whose parameters are the mean of the candidates.

    Both candidates of a pair train the same new agent on the same level; the better agent is returned.

    Args:
        key: of all draws; actions of a pair's agents are drawn separately.
        rule: parameters and state of the optimiser.
        lives: the population, ``[A, ...]``.
        settings: of the run.
        mode: its levels.

    Returns:
        The rule, the population at the end of its lifetimes, and numbers for the log.
    """
    outer = settings.outer
    assert isinstance(outer, EvolutionStrategy)

    def play(key: jax.Array, candidates: Params, life: Life) -> tuple[jax.Array, Any]:
        def one(key: jax.Array, params: Params) -> tuple[jax.Array, Life]:
            learn, judge = jax.random.split(key)
            after = live(learn, params, life, settings, mode)
            return judged(judge, settings, mode, after.agent.actor.params, life.level), after

        fitness, both = jax.vmap(one)(jax.random.split(key), candidates)
        better = jnp.where(fitness[0] > fitness[1], 0, 1)
        return fitness, (jax.tree.map(lambda x: x[better], both), fitness)

    gradient, (lives, fitness) = es_gradient(key, rule.params, outer.sigma, play, lives, settings.num_mini_batches)
    logs = {"fitness": fitness.mean(), "fitness_of_better": fitness.max(1).mean()}
    return optimiser(outer).step(rule, jax.tree.map(jnp.negative, gradient)), lives, logs
