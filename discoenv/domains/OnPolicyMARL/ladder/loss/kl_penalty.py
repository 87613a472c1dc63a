"""The surrogate objective, not clipped, with a penalty on changes of the policy. Schulman et al. 2017, eq. 8."""

import jax.numpy as jnp

BETA = 1.0


def loss_actor_and_critic(params, traj_batch, gae, targets, network, config):
    """Loss of one minibatch; the divergence KL(old, new) is estimated from the actions that were taken."""
    epsilon = config["CLIP_EPS"]
    pi, value = network.apply(params, traj_batch.obs)

    # Means are over agents that could choose.
    active = traj_batch.obs.active
    count = jnp.maximum(active.sum(), 1)

    def mean(x):
        return jnp.where(active, x, 0.0).sum() / count

    ratio = jnp.exp(pi.log_prob(traj_batch.action) - traj_batch.log_prob)
    centred = gae - mean(gae)
    advantage = centred / (jnp.sqrt(mean(centred**2)) + 1e-8)
    divergence = ratio - 1 - jnp.log(ratio)  # unbiased, and not negative (Schulman 2020)
    actor_loss = -mean(ratio * advantage - BETA * divergence)

    # The value function moves by at most epsilon from where it was, as in the paper's published code.
    value_clipped = traj_batch.value + jnp.clip(value - traj_batch.value, -epsilon, epsilon)
    value_loss = 0.5 * mean(jnp.maximum((value - targets) ** 2, (value_clipped - targets) ** 2))

    entropy = mean(pi.entropy())
    total_loss = actor_loss + config["VF_COEF"] * value_loss - config["ENT_COEF"] * entropy
    return total_loss, (value_loss, actor_loss, entropy, ratio)
