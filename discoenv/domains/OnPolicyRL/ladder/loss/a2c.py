"""The policy gradient as it is: advantage actor-critic. Mnih et al. 2016."""

import jax.numpy as jnp


def loss_actor_and_critic(params, traj_batch, gae, targets, network, config):
    """Loss of one minibatch, which takes it for data of the present policy, however often it is visited."""
    pi, value = network.apply(params, traj_batch.obs)
    advantage = (gae - gae.mean()) / (gae.std() + 1e-8)
    actor_loss = -(pi.log_prob(traj_batch.action) * advantage).mean()

    value_loss = 0.5 * jnp.mean((value - targets) ** 2)

    entropy = pi.entropy().mean()
    total_loss = actor_loss + config["VF_COEF"] * value_loss - config["ENT_COEF"] * entropy
    return total_loss, (value_loss, actor_loss, entropy)
