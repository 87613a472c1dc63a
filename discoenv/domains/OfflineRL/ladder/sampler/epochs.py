"""Passes over all transitions in a random order, without replacement.

Bottou 2009, Curiously fast convergence of some SGD algorithms.
"""

import jax
import jax.numpy as jnp


def draw_indices(rng, data, config):
    """The transitions of all batches, drawn before training begins.

    Args:
        rng: JAX key.
        data: Batch (see data.py) of all N transitions, N = M * config["STEPS"] of M recordings one after the other.
        config: the run's configuration (immutable mapping), among others GRADIENT_STEPS and BATCH_SIZE.

    Returns:
        int32[GRADIENT_STEPS, BATCH_SIZE], from 0 to N - 1; row i is the batch of gradient step i.
    """
    shape = (config["GRADIENT_STEPS"], config["BATCH_SIZE"])
    total = len(data.rewards)
    passes = -(-shape[0] * shape[1] // total)
    orders = jax.vmap(lambda key: jax.random.permutation(key, total))(jax.random.split(rng, passes))
    return orders.reshape(-1)[: shape[0] * shape[1]].reshape(shape).astype(jnp.int32)
