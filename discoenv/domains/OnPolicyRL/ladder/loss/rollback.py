"""PPO whose objective falls where the policy has moved too far. Wang, He and Tan 2020, eq. 12."""

import jax.numpy as jnp

ALPHA = 0.3


def loss_actor_and_critic(params, traj_batch, gae, targets, network, config):
    """Loss of one minibatch: beyond the range that PPO clips at, the ratio counts with the slope −ALPHA."""
    pi, value = network.apply(params, traj_batch.obs)
    advantage = (gae - gae.mean()) / (gae.std() + 1e-8)
    epsilon = config["CLIP_EPS"]
    ratio = jnp.exp(pi.log_prob(traj_batch.action) - traj_batch.log_prob)
    # Continues min and max of the ratio outside of the range, where clipping would leave it constant.
    rolled = jnp.clip(ratio, 1 - epsilon, 1 + epsilon)
    rolled = rolled - ALPHA * (ratio - rolled)
    actor_loss = -jnp.minimum(ratio * advantage, rolled * advantage).mean()

    value_clipped = traj_batch.value + jnp.clip(value - traj_batch.value, -epsilon, epsilon)
    value_loss = 0.5 * jnp.maximum((value - targets) ** 2, (value_clipped - targets) ** 2).mean()

    entropy = pi.entropy().mean()
    total_loss = actor_loss + config["VF_COEF"] * value_loss - config["ENT_COEF"] * entropy
    return total_loss, (value_loss, actor_loss, entropy)
