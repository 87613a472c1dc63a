"""Adam on gradients that have length one in each array. Mordvintsev et al. 2020."""

import jax
import jax.numpy as jnp
import optax


def normalise_by_parameter():
    """Scales the gradient of every parameter array to length one."""

    def update(gradients, state, params=None):
        return jax.tree.map(lambda each: each / (jnp.linalg.norm(each) + 1e-8), gradients), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def create_optimizer(config):
    """A learning rate that falls linearly."""
    schedule = optax.linear_schedule(config["LR"], config["LR"] * config["LR_DECAY"], config["TRAIN_STEPS"])
    return optax.chain(normalise_by_parameter(), optax.adam(schedule))
