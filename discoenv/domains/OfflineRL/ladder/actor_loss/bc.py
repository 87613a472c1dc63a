"""Behaviour cloning (Pomerleau 1989, ALVINN): squared distance to the recorded actions, and no values."""

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
    cloning = jnp.sum((actor(actor_params, batch.observations) - batch.actions) ** 2, axis=-1).mean()
    return cloning, {"cloning error": cloning}
