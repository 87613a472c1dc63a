"""Recordings of higher return more often.

Hong et al. 2023, Harnessing mixed offline datasets via trajectory weighting.
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
    returns = data.rewards.reshape(-1, config["STEPS"]).sum(axis=1)
    shape = (config["GRADIENT_STEPS"], config["BATCH_SIZE"])
    which_key, when_key = jax.random.split(rng)
    spread = jnp.maximum(returns.max() - returns.min(), 1e-6)
    weights = jnp.exp((returns - returns.max()) / (0.5 * spread))
    summed = jnp.cumsum(weights)
    which = jnp.searchsorted(summed, summed[-1] * jax.random.uniform(which_key, shape))
    when = jax.random.randint(when_key, shape, 0, config["STEPS"])
    return (jnp.minimum(which, len(returns) - 1) * config["STEPS"] + when).astype(jnp.int32)
