"""Deep Q-learning without a target network. Mnih et al. 2013."""

import jax
import jax.numpy as jnp


def q_loss_fn(params, target_params, network, learn_batch, config):
    """Squared errors to targets by the network that is trained."""
    q = network.apply(params, learn_batch.obs)
    estimate = jnp.take_along_axis(q, learn_batch.action[:, None], axis=-1)[:, 0]
    next_value = network.apply(params, learn_batch.next_obs).max(axis=-1)
    target = jax.lax.stop_gradient(learn_batch.reward + learn_batch.discount * next_value)

    td_error = target - estimate
    return jnp.mean(learn_batch.weight * td_error**2), td_error
