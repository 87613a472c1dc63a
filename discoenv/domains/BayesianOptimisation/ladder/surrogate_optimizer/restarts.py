"""Adam from several starts, because the likelihood may have several maxima. Rasmussen and Williams 2006, 5.4.1."""

import jax
import jax.numpy as jnp
import optax

STARTS = 4
#: Standard deviation of starts around where the last round ended.
SPREAD = 1.0


def fit(loss, params, key, config):
    """The best parameters on the ways from all starts, one of which is where the last round ended."""
    optimizer = optax.adam(config["FIT_LEARNING_RATE"])

    def from_start(params):
        def step(carry, _):
            params, state, best, best_value = carry
            value, gradient = jax.value_and_grad(loss)(params)
            better = value < best_value
            best = jax.tree.map(lambda new, old: jnp.where(better, new, old), params, best)
            updates, state = optimizer.update(jax.tree.map(jnp.nan_to_num, gradient), state)
            return (optax.apply_updates(params, updates), state, best, jnp.where(better, value, best_value)), None

        start = (params, optimizer.init(params), params, jnp.inf)
        (_, _, best, best_value), _ = jax.lax.scan(step, start, length=config["FIT_STEPS"])
        return best, best_value

    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    noise = [SPREAD * jax.random.normal(key, (STARTS, *x.shape)) for key, x in zip(keys, leaves, strict=True)]
    starts = jax.tree.unflatten(tree, [x + noise.at[0].set(0.0) for x, noise in zip(leaves, noise, strict=True)])
    found, values = jax.vmap(from_start)(starts)
    return jax.tree.map(lambda x: x[jnp.argmin(values)], found)
