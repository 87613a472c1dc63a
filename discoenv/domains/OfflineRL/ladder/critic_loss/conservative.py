"""Conservative values.

Kumar et al. 2020, CQL: actions of the actor and of chance are valued lower, recorded ones higher.
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
    next_values = critic(target_critic_params, batch.next_observations, next_actions).min(axis=0)
    target = jax.lax.stop_gradient(batch.rewards + config["DISCOUNT"] * batch.masks * next_values)
    values = critic(critic_params, batch.observations, batch.actions)
    error = jnp.mean((values - target) ** 2, axis=1).sum()
    drawn = jax.random.uniform(jax.random.fold_in(rng, 1), batch.actions.shape, minval=-1.0, maxval=1.0)
    chosen = jax.lax.stop_gradient(actor(target_actor_params, batch.observations))
    others = jnp.stack([*(critic(critic_params, batch.observations, each) for each in (drawn, chosen)), values])
    gap = (jax.nn.logsumexp(others, axis=0) - values).mean(axis=1).sum()
    loss = error + 0.1 * gap
    return loss, {"critic loss": loss, "value": values.mean()}
