"""The mean of the critics, less their spread.

Wu et al. 2021, Uncertainty weighted actor-critic; An et al. 2021, EDAC.
"""

import jax
import jax.numpy as jnp


def compute_critic_loss(actor, critic, critic_params, target_actor_params, target_critic_params, batch, rng, config):
    """The loss of one batch, which is differentiated with respect to ``critic_params``.

    Args:
        actor: ``actor(params, observations) -> float32[B, A]``, from -1 to 1.
        critic: ``critic(params, observations, actions) -> float32[E, B]``.
        critic_params: present parameters of the critics.
        target_actor_params, target_critic_params: those of the targets, older or averaged copies.
        batch: Batch (see data.py).
        rng: JAX key, another one at each step.
        config: the run's configuration (immutable mapping), among others DISCOUNT, ALPHA_CRITIC, POLICY_NOISE and
            NOISE_CLIP.

    Returns:
        (loss, info): float32[], and a dict of float32[] for the learning curve, the same names in each call.
    """
    noise = config["POLICY_NOISE"] * jax.random.normal(rng, batch.actions.shape)
    noise = jnp.clip(noise, -config["NOISE_CLIP"], config["NOISE_CLIP"])
    next_actions = jnp.clip(actor(target_actor_params, batch.next_observations) + noise, -1.0, 1.0)
    next_all = critic(target_critic_params, batch.next_observations, next_actions)
    penalty = jnp.sum((next_actions - batch.next_actions) ** 2, axis=-1) * batch.next_known
    next_values = next_all.mean(axis=0) - 0.5 * next_all.std(axis=0) - config["ALPHA_CRITIC"] * penalty
    target = jax.lax.stop_gradient(batch.rewards + config["DISCOUNT"] * batch.masks * next_values)
    values = critic(critic_params, batch.observations, batch.actions)
    loss = jnp.mean((values - target) ** 2, axis=1).sum()
    return loss, {"critic loss": loss, "value": values.mean()}
