"""PPO that also bounds the objective where advantages are negative. Ye et al. 2020, eq. 5."""

import jax.numpy as jnp

BOUND = 3.0


def loss_actor_and_critic(params, traj_batch, gae, targets, network, config):
    """Loss of one minibatch: with a negative advantage the objective is at least BOUND times it."""
    epsilon = config["CLIP_EPS"]
    pi, value = network.apply(params, traj_batch.obs)

    # Means are over agents that could choose.
    active = traj_batch.obs.active
    count = jnp.maximum(active.sum(), 1)

    def mean(x):
        return jnp.where(active, x, 0.0).sum() / count

    # The clipped surrogate objective (Schulman et al. 2017, eq. 7), with advantages normalised over the minibatch.
    ratio = jnp.exp(pi.log_prob(traj_batch.action) - traj_batch.log_prob)
    centred = gae - mean(gae)
    advantage = centred / (jnp.sqrt(mean(centred**2)) + 1e-8)
    surrogate = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - epsilon, 1 + epsilon) * advantage)
    surrogate = jnp.where(advantage < 0, jnp.maximum(surrogate, BOUND * advantage), surrogate)
    actor_loss = -mean(surrogate)

    # The value function moves by at most epsilon from where it was, as in the paper's published code.
    value_clipped = traj_batch.value + jnp.clip(value - traj_batch.value, -epsilon, epsilon)
    value_loss = 0.5 * mean(jnp.maximum((value - targets) ** 2, (value_clipped - targets) ** 2))

    entropy = mean(pi.entropy())
    total_loss = actor_loss + config["VF_COEF"] * value_loss - config["ENT_COEF"] * entropy
    return total_loss, (value_loss, actor_loss, entropy, ratio)
