"""Steps that reach the goal make up an eighth of each batch (after Narasimhan et al. 2015, prioritised by reward)."""

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
    uniform_key, goal_key = jax.random.split(rng)
    uniform = jax.random.randint(uniform_key, shape, 0, len(data.rewards))
    order = jnp.argsort(-data.rewards)
    count = jnp.maximum(1, jnp.sum(data.rewards >= data.rewards.max() - 0.1))
    best = order[(jax.random.uniform(goal_key, shape) * count).astype(jnp.int32)]
    chosen = jnp.arange(shape[1]) < shape[1] // 8
    return jnp.where(chosen, best, uniform).astype(jnp.int32)
