"""The surrogate objective, not clipped, with a penalty on changes of the policy. Schulman et al. 2017, eq. 8."""

import jax.numpy as jnp

BETA = 1.0


def loss_actor_and_critic(params, traj_batch, gae, targets, network, config):
    """Loss of one minibatch; the divergence KL(old, new) is estimated from the actions that were taken."""
    pi, value = network.apply(params, traj_batch.obs)
    advantage = (gae - gae.mean()) / (gae.std() + 1e-8)
    log_ratio = pi.log_prob(traj_batch.action) - traj_batch.log_prob
    ratio = jnp.exp(log_ratio)
    divergence = ratio - 1 - log_ratio  # unbiased, and not negative (Schulman 2020)
    actor_loss = -(ratio * advantage - BETA * divergence).mean()

    epsilon = config["CLIP_EPS"]
    value_clipped = traj_batch.value + jnp.clip(value - traj_batch.value, -epsilon, epsilon)
    value_loss = 0.5 * jnp.maximum((value - targets) ** 2, (value_clipped - targets) ** 2).mean()

    entropy = pi.entropy().mean()
    total_loss = actor_loss + config["VF_COEF"] * value_loss - config["ENT_COEF"] * entropy
    return total_loss, (value_loss, actor_loss, entropy)
