"""The learning rate over the course of training."""

import jax.numpy as jnp


def make_schedule_fn(config, lr):
    """A learning-rate schedule.

    Args:
        config: the run's configuration (immutable mapping). The optimiser takes UPDATE_EPOCHS * NUM_MINIBATCHES steps
            in each of the NUM_UPDATES updates.
        lr: base learning rate, a positive float or a traced float32[].

    Returns:
        ``schedule_fn(count)``: the learning rate, float32[] and not negative, of optimiser step number ``count``
        (int32[], traced, counted from 0). The sign is turned where it is used, in train.py.
    """
    steps_per_update = config["UPDATE_EPOCHS"] * config["NUM_MINIBATCHES"]

    def schedule_fn(count):
        """Linear decay from lr to 0, constant within an update."""
        update = jnp.minimum(count // steps_per_update, config["NUM_UPDATES"])
        return lr * (1.0 - update / config["NUM_UPDATES"])

    return schedule_fn
