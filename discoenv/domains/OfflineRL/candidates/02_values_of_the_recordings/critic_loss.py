"""Values of the recorded policy (Brandfonbrener et al. 2021, Offline RL without off-policy evaluation)."""

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
    next_values = critic(target_critic_params, batch.next_observations, batch.next_actions).min(axis=0)
    target = jax.lax.stop_gradient(batch.rewards + config["DISCOUNT"] * batch.masks * next_values)
    # Where a recording ends, the next action is not known: such transitions are left out, unless nothing follows.
    known = jnp.maximum(batch.next_known, 1.0 - batch.masks)
    values = critic(critic_params, batch.observations, batch.actions)
    loss = jnp.sum(known * (values - target) ** 2) / known.sum()
    return loss, {"critic loss": loss, "value": values.mean()}
