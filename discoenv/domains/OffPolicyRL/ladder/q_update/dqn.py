"""The target network both chooses the next action and values it. Mnih et al. 2015."""

import jax
import jax.numpy as jnp


def q_loss_fn(params, target_params, network, learn_batch, config):
    """Squared errors to the target of the deep Q-network."""
    q = network.apply(params, learn_batch.obs)
    estimate = jnp.take_along_axis(q, learn_batch.action[:, None], axis=-1)[:, 0]
    next_value = network.apply(target_params, learn_batch.next_obs).max(axis=-1)
    target = jax.lax.stop_gradient(learn_batch.reward + learn_batch.discount * next_value)

    td_error = target - estimate
    return jnp.mean(learn_batch.weight * td_error**2), td_error
