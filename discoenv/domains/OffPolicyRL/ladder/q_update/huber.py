"""Double Q-learning with errors that count linearly when they are large. Mnih et al. 2015, Huber 1964."""

import jax
import jax.numpy as jnp
import optax


def q_loss_fn(params, target_params, network, learn_batch, config):
    """Huber's loss of errors to the target of double Q-learning."""
    q = network.apply(params, learn_batch.obs)
    estimate = jnp.take_along_axis(q, learn_batch.action[:, None], axis=-1)[:, 0]
    best = network.apply(params, learn_batch.next_obs).argmax(axis=-1)
    next_q = network.apply(target_params, learn_batch.next_obs)
    next_value = jnp.take_along_axis(next_q, best[:, None], axis=-1)[:, 0]
    target = jax.lax.stop_gradient(learn_batch.reward + learn_batch.discount * next_value)

    td_error = target - estimate
    return jnp.mean(learn_batch.weight * optax.huber_loss(td_error)), td_error
