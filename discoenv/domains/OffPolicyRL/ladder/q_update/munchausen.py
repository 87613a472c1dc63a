"""The logarithm of the policy's probability is added to the reward. Vieillard, Pietquin and Geist 2020."""

import jax
import jax.numpy as jnp

ALPHA, TAU, LEAST = 0.9, 0.03, -1.0


def q_loss_fn(params, target_params, network, learn_batch, config):
    """Squared errors to the target of Munchausen-DQN, with the policy softmax(Q / TAU) of the target network."""
    q = network.apply(params, learn_batch.obs)
    estimate = jnp.take_along_axis(q, learn_batch.action[:, None], axis=-1)[:, 0]
    log_pi = jax.nn.log_softmax(network.apply(target_params, learn_batch.obs) / TAU)
    log_pi = jnp.take_along_axis(log_pi, learn_batch.action[:, None], axis=-1)[:, 0]
    reward = learn_batch.reward + ALPHA * jnp.clip(TAU * log_pi, LEAST, 0.0)

    # The soft value, Σ π (Q − τ log π), is τ log Σ exp(Q / τ).
    next_q = network.apply(target_params, learn_batch.next_obs)
    next_value = TAU * jax.nn.logsumexp(next_q / TAU, axis=-1)
    target = jax.lax.stop_gradient(reward + learn_batch.discount * next_value)

    td_error = target - estimate
    return jnp.mean(learn_batch.weight * td_error**2), td_error
