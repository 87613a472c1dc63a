"""Agents that learn by a rule: an actor, and a critic whose predictions y get their meaning from the rule."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .advantages import gae, normalised
from .modes import AgentDesign
from .networks import forward, init_network
from .optimisers import Trained
from .rollouts import Rollout
from .rule_net import Params

#: Added to probabilities before their logarithm is taken.
EPSILON = 1e-8


class Agent(NamedTuple):
    """An agent that learns by a rule.

    Attributes:
        actor: outputs logits of the policy.
        critic: outputs logits of the prediction vector y.
        step: number of updates made, ``[]``.
    """

    actor: Trained
    critic: Trained
    step: jax.Array


class UpdateStats(NamedTuple):
    """Of one update, means over its batch, ``[]`` each.

    Attributes:
        policy_l2: square of pi_hat.
        target_l2: squared norm of y_hat.
        policy_entropy, prediction_entropy: of policy and y, in nats.
        critic_loss: KL divergence of y from y_hat.
    """

    policy_l2: jax.Array
    target_l2: jax.Array
    policy_entropy: jax.Array
    prediction_entropy: jax.Array
    critic_loss: jax.Array


def init_agent(key: jax.Array, design: AgentDesign, inputs: int, actions: int, targets: int) -> Agent:
    """A new agent for observations of a length, with a number of actions and of targets."""
    actor, critic = jax.random.split(key)
    return Agent(
        design.actor.init(init_network(actor, inputs, design.hidden, actions)),
        design.critic.init(init_network(critic, inputs, design.hidden, targets)),
        jnp.int32(0),
    )


def agent_update(
    agent: Agent,
    rollout: Rollout,
    rule_params: Params,
    rule: Any,
    lifetime: jax.Array,
    design: AgentDesign,
    *,
    alpha: float = 0.5,
    detached: bool = True,
) -> tuple[Agent, UpdateStats]:
    """One update of an agent by a rule.

    ``L = mean(log pi(a) * pi_hat) + alpha * mean(KL(y || y_hat))`` is descended by actor and critic.

    Args:
        agent: before the update.
        rollout: its experience.
        rule_params, rule: parameters, and what has ``apply`` as :class:`~.rule_net.LPG` has; the result can be
            differentiated with respect to the parameters.
        lifetime: number of updates after which the agent does not change any more, ``[]``.
        design: the agent's optimisers.
        alpha: weight of the critic's part.
        detached: no gradient flows from the rule's inputs into the agent, as published; otherwise the gradient of
            several updates is that of the whole computation.

    Returns:
        The agent, which is the old one if its lifetime is over, and statistics of the update.
    """
    steps = rollout.actions.shape[1]
    seen = jax.tree.map(lambda x: x[:, :steps], rollout.observations)

    def policy(params: Params) -> jax.Array:
        return jax.nn.softmax(forward(params, seen))

    def of_actions(pi: jax.Array) -> jax.Array:
        return jnp.take_along_axis(pi, rollout.actions[..., None], -1)[..., 0]

    pi = policy(agent.actor.params)
    y = jax.nn.softmax(forward(agent.critic.params, rollout.observations))
    inputs = (of_actions(pi), y[:, :-1], y[:, 1:])
    if detached:
        inputs = jax.lax.stop_gradient(inputs)
    out = rule.apply(rule_params, rollout.rewards, rollout.done, *inputs, agent.step, lifetime)

    def loss(actor: Params, critic: Params) -> tuple[jax.Array, jax.Array]:
        policy_loss = (jnp.log(of_actions(policy(actor)) + EPSILON) * out.pi_hat).mean()
        critic_loss = kl(jax.nn.softmax(forward(critic, seen)), out.y_hat).mean()
        return policy_loss + alpha * critic_loss, critic_loss

    (actor, critic), critic_loss = jax.grad(loss, (0, 1), has_aux=True)(agent.actor.params, agent.critic.params)
    after = Agent(design.actor.step(agent.actor, actor), design.critic.step(agent.critic, critic), agent.step + 1)
    stats = UpdateStats(
        (out.pi_hat**2).mean(),
        (out.y_hat**2).sum(-1).mean(),
        entropy(pi).mean(),
        entropy(y[:, :-1]).mean(),
        critic_loss,
    )
    alive = after.step <= lifetime
    return jax.tree.map(lambda new, old: jnp.where(alive, new, old), after, agent), stats


def value_update(
    value: Trained, rollout: Rollout, design: AgentDesign, discount: float, lambda_: float
) -> tuple[Trained, jax.Array]:
    """One step of a value function towards the GAE targets of a rollout, which are constants.

    Returns:
        The value function after it, and the advantages ``[W, T]`` that it gave before.
    """
    values = forward(value.params, rollout.observations)[..., 0]
    advantages, targets = jax.lax.stop_gradient(gae(rollout.rewards, rollout.done, values, discount, lambda_))

    def loss(params: Params) -> jax.Array:
        return 0.5 * ((forward(params, rollout.observations)[:, :-1, 0] - targets) ** 2).mean()

    return design.value.step(value, jax.grad(loss)(value.params)), advantages


def policy_gradient_loss(actor: Params, rollout: Rollout, advantages: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``mean(-log pi(a) * A)`` with normalised advantages ``[W, T]``, and the policy's mean entropy."""
    seen = jax.tree.map(lambda x: x[:, :-1], rollout.observations)
    pi = jax.nn.softmax(forward(actor, seen))
    taken = jnp.take_along_axis(pi, rollout.actions[..., None], -1)[..., 0]
    return -(jnp.log(taken + EPSILON) * normalised(advantages)).mean(), entropy(pi).mean()


def entropy(p: jax.Array) -> jax.Array:
    """Entropy of categorical distributions, in nats; ``[..., K]`` -> ``[...]``."""
    return -(p * jnp.log(p + EPSILON)).sum(-1)


def kl(p: jax.Array, q: jax.Array) -> jax.Array:
    """``KL(p || q)`` of categorical distributions, in nats; ``[..., K]`` -> ``[...]``."""
    return (p * (jnp.log(p + EPSILON) - jnp.log(q + EPSILON))).sum(-1)
