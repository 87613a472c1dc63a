"""Half a cosine from the learning rate to 0. Loshchilov and Hutter 2017."""

import jax.numpy as jnp


def make_schedule_fn(config, lr):
    """Cosine annealing without restarts."""
    steps = config["NUM_UPDATES"] * config["UPDATE_EPOCHS"] * config["NUM_MINIBATCHES"]

    def schedule_fn(count):
        return 0.5 * lr * (1.0 + jnp.cos(jnp.pi * jnp.minimum(count / steps, 1.0)))

    return schedule_fn
