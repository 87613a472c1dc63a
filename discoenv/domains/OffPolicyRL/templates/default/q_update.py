"""The loss that the action-value function is trained on."""

import jax
import jax.numpy as jnp


def q_loss_fn(params, target_params, network, learn_batch, config):
    """Loss of one batch.

    Args:
        params: the network's parameters; the loss is differentiated with respect to them.
        target_params: parameters of the target network, an older or averaged copy.
        network: ``network.apply(params, obs) -> float32[..., A]``, see networks.py.
        learn_batch: Batch (see transition.py), leading axis [BATCH_SIZE].
        config: the run's configuration (immutable mapping).

    Returns:
        (loss, td_error). loss is float32[]; td_error is float32[BATCH_SIZE], target minus estimate for each element,
        from which a prioritised replay buffer sets priorities.
    """
    # <solution>
    q = network.apply(params, learn_batch.obs)
    estimate = jnp.take_along_axis(q, learn_batch.action[:, None], axis=-1)[:, 0]

    # Double Q-learning (van Hasselt et al. 2016): the online network chooses the action, the target network values it.
    best = network.apply(params, learn_batch.next_obs).argmax(axis=-1)
    next_q = network.apply(target_params, learn_batch.next_obs)
    next_value = jnp.take_along_axis(next_q, best[:, None], axis=-1)[:, 0]
    target = jax.lax.stop_gradient(learn_batch.reward + learn_batch.discount * next_value)

    td_error = target - estimate
    return jnp.mean(learn_batch.weight * td_error**2), td_error
    # </solution>
