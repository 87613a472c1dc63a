"""No target networks (Kim et al. 2019, DeepMellow: removing the need for a target network)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from actor_loss import compute_actor_loss
from critic_loss import compute_critic_loss
from networks import Actor, Critic
from optim import create_optimizer


class Training(NamedTuple):
    """Three pure, traceable functions. A state is a pytree of arrays whose shapes and dtypes never change.

    Attributes:
        init: ``init(rng, batch) -> state``, given a Batch (see data.py) as an example of shapes.
        update: ``update(state, batch, rng) -> (state, info)``, one gradient step of the critics, and of the actor if it
            is due. ``info`` is a dict of float32[], of which means are printed. Called GRADIENT_STEPS times.
        policy: ``policy(state) -> params``, the parameters of ``Actor`` that are examined. Called once, at the end.
    """

    init: Callable
    update: Callable
    policy: Callable


def make_train(config, action_dim):
    """How an agent is trained.

    Args:
        config: the run's configuration (immutable mapping), among others TAU and ACTOR_PERIOD.
        action_dim: length A of an action.

    Returns:
        A Training.
    """
    actor, critic = Actor(action_dim, config), Critic(config)
    optimizer = create_optimizer(config)

    def init(rng, batch):
        actor_key, critic_key = jax.random.split(rng)
        actor_params = actor.init(actor_key, batch.observations)
        critic_params = critic.init(critic_key, batch.observations, batch.actions)
        return {
            "actor": actor_params,
            "critic": critic_params,
            "target_actor": actor_params,
            "target_critic": critic_params,
            "actor_optimizer": optimizer.init(actor_params),
            "critic_optimizer": optimizer.init(critic_params),
            "step": jnp.int32(0),
            "actor_info": jax.tree.map(
                lambda x: jnp.zeros(x.shape, x.dtype),
                jax.eval_shape(lambda: actor_gradient(actor_params, critic_params, batch, rng)[1]),
            ),
        }

    def actor_gradient(actor_params, critic_params, batch, rng):
        gradient = jax.grad(compute_actor_loss, argnums=2, has_aux=True)
        return gradient(actor.apply, critic.apply, actor_params, critic_params, batch, rng, config)

    def update_actor(state, batch, rng):
        """One step of the actor; then both targets follow."""
        gradients, info = actor_gradient(state["actor"], state["critic"], batch, rng)
        changes, optimizer_state = optimizer.update(gradients, state["actor_optimizer"], state["actor"])
        params = optax.apply_updates(state["actor"], changes)
        return state | {
            "actor": params,
            "actor_optimizer": optimizer_state,
            "target_actor": params,
            "target_critic": state["critic"],
            "actor_info": info,
        }

    def update(state, batch, rng):
        critic_key, actor_key = jax.random.split(rng)
        gradient = jax.grad(compute_critic_loss, argnums=2, has_aux=True)
        targets = state["target_actor"], state["target_critic"]
        gradients, info = gradient(actor.apply, critic.apply, state["critic"], *targets, batch, critic_key, config)
        changes, optimizer_state = optimizer.update(gradients, state["critic_optimizer"], state["critic"])
        state = state | {
            "critic": optax.apply_updates(state["critic"], changes),
            "critic_optimizer": optimizer_state,
            "step": state["step"] + 1,
        }
        due = state["step"] % config["ACTOR_PERIOD"] == 0
        state = jax.lax.cond(due, lambda s: update_actor(s, batch, actor_key), lambda s: s, state)
        return state, info | state["actor_info"]

    def policy(state):
        return state["actor"]

    return Training(init, update, policy)
