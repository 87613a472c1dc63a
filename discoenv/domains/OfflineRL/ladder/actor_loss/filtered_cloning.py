"""Values, and cloning of good actions alone (Beeson and Montana 2022, Improving TD3-BC: relaxed constraints)."""

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
    values = critic(critic_params, batch.observations, actions).min(axis=0)
    recorded = critic(critic_params, batch.observations, batch.actions).min(axis=0)
    scale = jax.lax.stop_gradient(1.0 / (jnp.abs(values).mean() + 1e-6))
    good = jax.lax.stop_gradient(jax.nn.sigmoid(4.0 * (recorded - values)))
    cloning = jnp.sum((actions - batch.actions) ** 2, axis=-1)
    loss = config["ALPHA_ACTOR"] * 2.0 * (good * cloning).mean() - scale * values.mean()
    return loss, {"cloning error": cloning.mean()}
