"""The outer loop of LPG and GROOVE: agents make a few updates, and the rule changes such that they get better."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .agents import UpdateStats, agent_update, policy_gradient_loss, value_update
from .lives import Life, in_mini_batches
from .modes import Mode
from .optimisers import Adam, Trained
from .rollouts import collect
from .rule_net import Params
from .settings import MetaGradient, Settings


def meta_loss(
    rule_params: Params, key: jax.Array, life: Life, settings: Settings, mode: Mode
) -> tuple[jax.Array, tuple[Life, dict[str, jax.Array]]]:
    """The outer loss of one agent after K updates, which can be differentiated with respect to the rule.

    ``mean(-log pi(a) A) - beta_0 H(pi) - beta_1 H(y) + beta_2 mean(pi_hat^2) + beta_3 mean(|y_hat|^2)``, with
    advantages of a rollout by the agent that the updates gave, and means over the updates in the other terms. The value
    function that gives the advantages learns from the K rollouts before, and from the last one after.

    Returns:
        The loss ``[]``; the agent's life after it; numbers for the log.
    """
    outer = settings.outer
    assert isinstance(outer, MetaGradient)
    steps, discounts = settings.rollout_steps, (settings.discount, settings.lambda_)

    def update(carry: tuple[Any, ...], key: jax.Array) -> tuple[tuple[Any, ...], tuple[UpdateStats, jax.Array]]:
        agent, value, states = carry
        states, rollout = collect(key, mode.world, agent.actor.params, states, life.level, steps)
        after, stats = agent_update(
            agent,
            rollout,
            rule_params,
            settings.rule,
            life.lifetime,
            mode.agent,
            alpha=settings.alpha,
            detached=outer.detached,
        )
        if outer.value_learns:
            value, _ = value_update(value, rollout, mode.agent, *discounts)
        return (after, value, states), (stats, after.step > agent.step)

    *keys, last = jax.random.split(key, outer.updates + 1)
    start = (life.agent, life.value, life.states)
    (agent, value, states), (stats, counted) = jax.lax.scan(update, start, jnp.stack(keys))
    states, rollout = collect(last, mode.world, agent.actor.params, states, life.level, steps)
    learned, advantages = value_update(value, rollout, mode.agent, *discounts)
    # Updates after the end of the lifetime were thrown away, so they do not count.
    stats = jax.tree.map(lambda x: (x * counted).sum() / counted.sum().clip(min=1), stats)
    policy_loss, _ = policy_gradient_loss(agent.actor.params, rollout, advantages)
    loss = (
        policy_loss
        - outer.policy_entropy * stats.policy_entropy
        + outer.policy_l2 * stats.policy_l2
        - outer.prediction_entropy * stats.prediction_entropy
        + outer.target_l2 * stats.target_l2
    )
    after = life._replace(agent=agent, value=learned if outer.value_learns else value, states=states)
    return loss, (after, {"meta_loss": loss, "reward": rollout.rewards.mean(), **stats._asdict()})


def optimiser(outer: MetaGradient) -> Adam:
    """What changes the rule."""
    return Adam(outer.rate)


def meta_gradient_step(
    key: jax.Array, rule: Trained, lives: Life, settings: Settings, mode: Mode
) -> tuple[Trained, Life, dict[str, jax.Array]]:
    """One step of the rule by the mean gradient of all agents' losses.

    Args:
        key: split among the agents, so that mini-batches make no difference.
        rule: parameters and state of the optimiser.
        lives: the population, ``[A, ...]``.
        settings: of the run.
        mode: its levels.

    Returns:
        The rule, the population, and numbers for the log.
    """
    outer = settings.outer
    assert isinstance(outer, MetaGradient)

    def of_batch(total: Params, batch: tuple[jax.Array, Life]) -> tuple[Params, tuple[Life, dict[str, jax.Array]]]:
        def loss(params: Params) -> tuple[jax.Array, Any]:
            losses, out = jax.vmap(lambda key, life: meta_loss(params, key, life, settings, mode))(*batch)
            return losses.sum() / settings.num_agents, out

        gradient, out = jax.grad(loss, has_aux=True)(rule.params)
        return jax.tree.map(jnp.add, total, gradient), out

    zeros = jax.tree.map(jnp.zeros_like, rule.params)
    keys = jax.random.split(key, settings.num_agents)
    gradient, (lives, logs) = in_mini_batches(of_batch, zeros, (keys, lives), settings.num_mini_batches)
    logs = {name: x.mean() for name, x in logs.items()}
    logs["gradient_norm"] = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient)))
    return optimiser(outer).step(rule, gradient), lives, logs
