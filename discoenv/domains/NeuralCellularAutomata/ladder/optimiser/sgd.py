"""Stochastic gradient descent. Robbins and Monro 1951."""

import optax

#: Learning rate, relative to that of Adam.
FACTOR = 30.0


def create_optimizer(config):
    """Clipped gradients, and a learning rate that falls linearly."""
    peak = FACTOR * config["LR"]
    schedule = optax.linear_schedule(peak, peak * config["LR_DECAY"], config["TRAIN_STEPS"])
    return optax.chain(optax.clip_by_global_norm(config["MAX_GRAD_NORM"]), optax.sgd(schedule))
