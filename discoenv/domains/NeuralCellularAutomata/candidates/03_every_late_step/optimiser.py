"""The optimiser."""

import jax
import jax.numpy as jnp
import optax


def normalise_by_parameter():
    """Scales the gradient of every parameter array to length one, as Mordvintsev et al. (2020) do."""

    def update(gradients, state, params=None):
        del params
        return jax.tree.map(lambda each: each / (jnp.linalg.norm(each) + 1e-8), gradients), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def create_optimizer(config):
    """Adam on normalised gradients, with a short warm-up and a cosine decay."""
    peak = 1.5 * config["LR"]
    schedule = optax.warmup_cosine_decay_schedule(0.1 * peak, peak, config["TRAIN_STEPS"] // 20, config["TRAIN_STEPS"])
    return optax.chain(normalise_by_parameter(), optax.adam(schedule))
