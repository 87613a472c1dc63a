"""The policy gradient as it is: advantage actor-critic. Mnih et al. 2016."""

import jax.numpy as jnp


def loss_actor_and_critic(params, traj_batch, gae, targets, network, config):
    """Loss of one minibatch, which it takes for data of the present policy, however often it is visited."""
    pi, value = network.apply(params, traj_batch.obs)

    # Means are over agents that could choose.
    active = traj_batch.obs.active
    count = jnp.maximum(active.sum(), 1)

    def mean(x):
        return jnp.where(active, x, 0.0).sum() / count

    ratio = jnp.exp(pi.log_prob(traj_batch.action) - traj_batch.log_prob)
    centred = gae - mean(gae)
    advantage = centred / (jnp.sqrt(mean(centred**2)) + 1e-8)
    actor_loss = -mean(pi.log_prob(traj_batch.action) * advantage)

    value_loss = 0.5 * mean((value - targets) ** 2)

    entropy = mean(pi.entropy())
    total_loss = actor_loss + config["VF_COEF"] * value_loss - config["ENT_COEF"] * entropy
    return total_loss, (value_loss, actor_loss, entropy, ratio)
