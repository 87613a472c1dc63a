"""PPO's clipped surrogate objective with an unclipped value loss."""

import jax.numpy as jnp


def loss_actor_and_critic(params, traj_batch, gae, targets, network, config):
    """(total_loss, (value_loss, actor_loss, entropy)) of one minibatch; see the interface of the task."""
    epsilon = config["CLIP_EPS"]
    pi, value = network.apply(params, traj_batch.obs)

    ratio = jnp.exp(pi.log_prob(traj_batch.action) - traj_batch.log_prob)
    advantage = (gae - gae.mean()) / (gae.std() + 1e-8)
    surrogate = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - epsilon, 1 + epsilon) * advantage)
    actor_loss = -surrogate.mean()

    value_loss = 0.5 * jnp.mean((value - targets) ** 2)
    entropy = pi.entropy().mean()
    total_loss = actor_loss + config["VF_COEF"] * value_loss - config["ENT_COEF"] * entropy
    return total_loss, (value_loss, actor_loss, entropy)
