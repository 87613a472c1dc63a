"""The loss of the deep Q-network as it was first published."""

import jax
import jax.numpy as jnp


def q_loss_fn(params, target_params, network, learn_batch, config):
    """Huber loss of the temporal-difference errors (Mnih et al. 2015): the target network both chooses and values."""
    q = network.apply(params, learn_batch.obs)
    estimate = jnp.take_along_axis(q, learn_batch.action[:, None], axis=-1)[:, 0]
    next_value = network.apply(target_params, learn_batch.next_obs).max(axis=-1)
    target = jax.lax.stop_gradient(learn_batch.reward + learn_batch.discount * next_value)
    td_error = target - estimate
    size = jnp.abs(td_error)
    return jnp.mean(learn_batch.weight * jnp.where(size < 1, 0.5 * size**2, size - 0.5)), td_error
