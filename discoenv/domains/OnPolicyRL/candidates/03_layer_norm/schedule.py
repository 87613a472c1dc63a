"""A short warm-up, then cosine decay."""

import jax.numpy as jnp


def make_schedule_fn(config, lr):
    """Linear from 0 to lr in the first 2 % of the optimiser's steps, then half a cosine down to 0."""
    steps = config["NUM_UPDATES"] * config["UPDATE_EPOCHS"] * config["NUM_MINIBATCHES"]
    warm_up = max(1, steps // 50)

    def schedule_fn(count):
        progress = jnp.clip((count - warm_up) / (steps - warm_up), 0.0, 1.0)
        return lr * jnp.minimum(1.0, (count + 1) / warm_up) * 0.5 * (1.0 + jnp.cos(jnp.pi * progress))

    return schedule_fn
