"""A linear warm-up, then half a cosine down to 0. Goyal et al. 2017, Loshchilov and Hutter 2017."""

import jax.numpy as jnp

WARM_UP = 0.05


def make_schedule_fn(config, lr):
    """Linear from 0 in the first WARM_UP of all steps, then cosine annealing."""
    steps = config["NUM_UPDATES"] * config["UPDATE_EPOCHS"] * config["NUM_MINIBATCHES"]
    warm_up = max(1, round(WARM_UP * steps))

    def schedule_fn(count):
        progress = jnp.clip((count - warm_up) / (steps - warm_up), 0.0, 1.0)
        return lr * jnp.minimum(1.0, (count + 1) / warm_up) * 0.5 * (1.0 + jnp.cos(jnp.pi * progress))

    return schedule_fn
