"""The loss that actor and critic are trained on."""

import jax.numpy as jnp


def loss_actor_and_critic(params, traj_batch, gae, targets, network, config):
    """Loss of one minibatch: B moments of all A agents.

    Args:
        params: the network's parameters, which all agents share; the loss is differentiated with respect to them.
        traj_batch: Transition (see transition.py) with the leading axes [B, A]; ``log_prob`` and ``value`` are those of
            the policy and critic that collected the rollout. ``traj_batch.obs.active`` is false of agents that have
            died or are not on turn: what they did was no choice.
        gae: float32[B, A], advantages, not normalised.
        targets: float32[B, A], targets of the value function.
        network: ``network.apply(params, obs) -> (pi, value)``, see networks.py.
        config: the run's configuration (immutable mapping): CLIP_EPS, VF_COEF, ENT_COEF.

    Returns:
        (total_loss, (value_loss, actor_loss, entropy, ratio)): float32[], float32[] three times, and float32[B, A], the
        probability ratios; only total_loss is minimised.
    """
    # <solution>
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
    actor_loss = -mean(surrogate)

    # The value function moves by at most epsilon from where it was, as in the paper's published code.
    value_clipped = traj_batch.value + jnp.clip(value - traj_batch.value, -epsilon, epsilon)
    value_loss = 0.5 * mean(jnp.maximum((value - targets) ** 2, (value_clipped - targets) ** 2))

    entropy = mean(pi.entropy())
    total_loss = actor_loss + config["VF_COEF"] * value_loss - config["ENT_COEF"] * entropy
    return total_loss, (value_loss, actor_loss, entropy, ratio)
    # </solution>
