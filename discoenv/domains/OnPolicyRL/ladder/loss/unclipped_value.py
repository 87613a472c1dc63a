"""PPO whose value function is free to move. Andrychowicz et al. 2021."""

import jax.numpy as jnp


def loss_actor_and_critic(params, traj_batch, gae, targets, network, config):
    """Loss of one minibatch: the clipped surrogate objective, and squared errors of the value function."""
    pi, value = network.apply(params, traj_batch.obs)
    advantage = (gae - gae.mean()) / (gae.std() + 1e-8)
    epsilon = config["CLIP_EPS"]
    ratio = jnp.exp(pi.log_prob(traj_batch.action) - traj_batch.log_prob)
    surrogate = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - epsilon, 1 + epsilon) * advantage)
    actor_loss = -surrogate.mean()

    value_loss = 0.5 * jnp.mean((value - targets) ** 2)

    entropy = pi.entropy().mean()
    total_loss = actor_loss + config["VF_COEF"] * value_loss - config["ENT_COEF"] * entropy
    return total_loss, (value_loss, actor_loss, entropy)
