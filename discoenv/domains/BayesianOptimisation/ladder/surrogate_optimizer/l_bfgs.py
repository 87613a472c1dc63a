"""Limited-memory BFGS with a line search, from where the last round ended. Liu and Nocedal 1989."""

import jax
import jax.numpy as jnp
import optax


def fit(loss, params, key, config):
    """The best parameters on the way of half of FIT_STEPS steps, each of which evaluates the loss several times."""
    optimizer = optax.lbfgs(linesearch=optax.scale_by_zoom_linesearch(max_linesearch_steps=10))

    def step(carry, _):
        params, state, best, best_value = carry
        value, gradient = jax.value_and_grad(loss)(params)
        better = value < best_value
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), params, best)
        gradient = jax.tree.map(jnp.nan_to_num, gradient)
        updates, state = optimizer.update(gradient, state, params, value=value, grad=gradient, value_fn=loss)
        return (optax.apply_updates(params, updates), state, best, jnp.where(better, value, best_value)), None

    start = (params, optimizer.init(params), params, jnp.inf)
    (_, _, best, _), _ = jax.lax.scan(step, start, length=max(1, config["FIT_STEPS"] // 2))
    return best
