"""Resilient propagation, whose steps depend on signs of gradients only. Blum and Riedmiller 2013."""

import jax
import jax.numpy as jnp

#: Factors of a step when its gradient keeps or changes its sign, and the bounds of steps.
GROWS, SHRINKS, LEAST, MOST = 1.2, 0.5, 1e-6, 1.0


def fit(loss, params, key, config):
    """The best parameters on the way of FIT_STEPS steps, from where the last round ended."""

    def step(carry, _):
        params, sizes, before, best, best_value = carry
        value, gradient = jax.value_and_grad(loss)(params)
        better = value < best_value
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), params, best)
        sign = jax.tree.map(lambda g: jnp.sign(jnp.nan_to_num(g)), gradient)
        kept = jax.tree.map(jnp.multiply, sign, before)
        sizes = jax.tree.map(
            lambda size, kept: jnp.clip(
                size * jnp.where(kept > 0, GROWS, jnp.where(kept < 0, SHRINKS, 1.0)), LEAST, MOST
            ),
            sizes,
            kept,
        )
        sign = jax.tree.map(lambda sign, kept: jnp.where(kept < 0, 0.0, sign), sign, kept)
        params = jax.tree.map(lambda x, size, sign: x - size * sign, params, sizes, sign)
        return (params, sizes, sign, best, jnp.where(better, value, best_value)), None

    sizes = jax.tree.map(lambda x: jnp.full_like(x, config["FIT_LEARNING_RATE"]), params)
    start = (params, sizes, jax.tree.map(jnp.zeros_like, params), params, jnp.inf)
    (_, _, _, best, _), _ = jax.lax.scan(step, start, length=config["FIT_STEPS"])
    return best
