"""PPO with a Huber loss of the value function, as in MAPPO. Yu et al. 2022."""

import jax.numpy as jnp

DELTA = 10.0


def loss_actor_and_critic(params, traj_batch, gae, targets, network, config):
    """Loss of one minibatch: beyond DELTA, errors of the value function count linearly."""
    epsilon = config["CLIP_EPS"]
    pi, value = network.apply(params, traj_batch.obs)

    # Means are over agents that could choose.
    active = traj_batch.obs.active
    count = jnp.maximum(active.sum(), 1)

    def huber(x):
        return jnp.where(jnp.abs(x) <= DELTA, 0.5 * x**2, DELTA * (jnp.abs(x) - 0.5 * DELTA))

    def mean(x):
        return jnp.where(active, x, 0.0).sum() / count

    # The clipped surrogate objective (Schulman et al. 2017, eq. 7), with advantages normalised over the minibatch.
    ratio = jnp.exp(pi.log_prob(traj_batch.action) - traj_batch.log_prob)
    centred = gae - mean(gae)
    advantage = centred / (jnp.sqrt(mean(centred**2)) + 1e-8)
    surrogate = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - epsilon, 1 + epsilon) * advantage)
    actor_loss = -mean(surrogate)

    # The value function moves by at most epsilon from where it was, as in the paper's published code.
    value_clipped = traj_batch.value + jnp.clip(value - traj_batch.value, -epsilon, epsilon)
    value_loss = mean(jnp.maximum(huber(value - targets), huber(value_clipped - targets)))

    entropy = mean(pi.entropy())
    total_loss = actor_loss + config["VF_COEF"] * value_loss - config["ENT_COEF"] * entropy
    return total_loss, (value_loss, actor_loss, entropy, ratio)
