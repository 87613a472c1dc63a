"""Advantage-weighted regression.

Peng et al. 2019; Nair et al. 2020, AWAC: recorded actions weigh by their advantage.
"""

import jax
import jax.numpy as jnp


def compute_actor_loss(actor, critic, actor_params, critic_params, batch, rng, config):
    """The loss of one batch, which is differentiated with respect to ``actor_params``.

    Args:
        actor: ``actor(params, observations) -> float32[B, A]``, from -1 to 1.
        critic: ``critic(params, observations, actions) -> float32[E, B]``.
        actor_params, critic_params: their present parameters.
        batch: Batch (see data.py).
        rng: JAX key, another one at each step.
        config: the run's configuration (immutable mapping), among others ALPHA_ACTOR.

    Returns:
        (loss, info): float32[], and a dict of float32[] for the learning curve, the same names in each call.
    """
    actions = actor(actor_params, batch.observations)
    chosen = critic(critic_params, batch.observations, actions).min(axis=0)
    recorded = critic(critic_params, batch.observations, batch.actions).min(axis=0)
    advantage = recorded - chosen
    scale = jnp.abs(advantage).mean() + 1e-6
    weights = jax.lax.stop_gradient(jnp.minimum(jnp.exp(2.0 * advantage / scale), 100.0))
    cloning = jnp.sum((actions - batch.actions) ** 2, axis=-1)
    return (weights * cloning).mean() / weights.mean(), {"cloning error": cloning.mean()}
