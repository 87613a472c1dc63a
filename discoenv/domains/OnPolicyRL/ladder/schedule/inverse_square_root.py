"""A linear warm-up, then decay with the square root of time. Vaswani et al. 2017."""

import jax.numpy as jnp

WARM_UP = 0.05


def make_schedule_fn(config, lr):
    """Linear from 0 to ``lr`` in the first WARM_UP of all steps, then lr · √(warm_up / count)."""
    steps = config["NUM_UPDATES"] * config["UPDATE_EPOCHS"] * config["NUM_MINIBATCHES"]
    warm_up = max(1, round(WARM_UP * steps))

    def schedule_fn(count):
        count = count + 1.0
        return lr * jnp.minimum(count / warm_up, jnp.sqrt(warm_up / count))

    return schedule_fn
