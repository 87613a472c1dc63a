"""From the ends of recordings to their beginnings (after Lee et al. 2019, Episodic backward update)."""

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
    length, total = config["STEPS"], len(data.rewards)
    groups = -(-shape[0] // length)
    which = jax.random.randint(rng, (groups, 1, shape[1]), 0, total // length)
    when = jnp.arange(length - 1, -1, -1)[None, :, None]
    return (which * length + when).reshape(-1, shape[1])[: shape[0]].astype(jnp.int32)
