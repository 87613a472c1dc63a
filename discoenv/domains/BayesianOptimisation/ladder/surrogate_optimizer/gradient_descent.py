"""Steepest descent with a fixed step, from where the last round ended. Cauchy 1847."""

import jax
import jax.numpy as jnp


def fit(loss, params, key, config):
    """The best parameters on the way of FIT_STEPS steps."""

    def step(carry, _):
        params, best, best_value = carry
        value, gradient = jax.value_and_grad(loss)(params)
        better = value < best_value
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), params, best)
        params = jax.tree.map(lambda x, g: x - config["FIT_LEARNING_RATE"] * jnp.nan_to_num(g), params, gradient)
        return (params, best, jnp.where(better, value, best_value)), None

    (_, best, _), _ = jax.lax.scan(step, (params, params, jnp.inf), length=config["FIT_STEPS"])
    return best
