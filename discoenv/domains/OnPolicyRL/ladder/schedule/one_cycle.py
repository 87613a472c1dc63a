"""Up from a small learning rate to twice the usual one, and down to none. Smith and Topin 2019."""

import jax.numpy as jnp

START, PEAK, RISE = 0.1, 2.0, 0.3


def make_schedule_fn(config, lr):
    """A linear rise to PEAK times ``lr`` in the first RISE of all steps, then a linear fall to 0."""
    steps = config["NUM_UPDATES"] * config["UPDATE_EPOCHS"] * config["NUM_MINIBATCHES"]

    def schedule_fn(count):
        progress = jnp.minimum(count / steps, 1.0)
        up = START + (PEAK - START) * progress / RISE
        return lr * jnp.minimum(up, PEAK * (1.0 - progress) / (1.0 - RISE))

    return schedule_fn
