"""The best tenth of the recordings (Chen et al. 2021, Decision transformer: the baseline %BC)."""

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
    kept = jnp.argsort(-returns)[: max(1, len(returns) // 10)]
    shape = (config["GRADIENT_STEPS"], config["BATCH_SIZE"])
    which_key, when_key = jax.random.split(rng)
    which = kept[jax.random.randint(which_key, shape, 0, len(kept))]
    return (which * config["STEPS"] + jax.random.randint(when_key, shape, 0, config["STEPS"])).astype(jnp.int32)
