"""Which transitions are learned from, and when."""

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
    # <solution>
    shape = (config["GRADIENT_STEPS"], config["BATCH_SIZE"])
    return jax.random.randint(rng, shape, 0, len(data.rewards), dtype=jnp.int32)
    # </solution>
