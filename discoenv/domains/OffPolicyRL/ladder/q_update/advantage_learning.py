"""Values of actions that are not the best are lowered: a larger action gap. Bellemare et al. 2016."""

import jax
import jax.numpy as jnp

ALPHA = 0.9


def q_loss_fn(params, target_params, network, learn_batch, config):
    """Squared errors to the target of the deep Q-network minus ALPHA times the action's disadvantage."""
    q = network.apply(params, learn_batch.obs)
    estimate = jnp.take_along_axis(q, learn_batch.action[:, None], axis=-1)[:, 0]
    q_then = network.apply(target_params, learn_batch.obs)
    gap = q_then.max(axis=-1) - jnp.take_along_axis(q_then, learn_batch.action[:, None], axis=-1)[:, 0]
    next_value = network.apply(target_params, learn_batch.next_obs).max(axis=-1)
    target = learn_batch.reward + learn_batch.discount * next_value - ALPHA * gap
    target = jax.lax.stop_gradient(target)

    td_error = target - estimate
    return jnp.mean(learn_batch.weight * td_error**2), td_error
