"""Gradient ascent that starts around the best known points, too. Zhao et al. 2024."""

import jax
import jax.numpy as jnp
import optax

WIDTHS = (0.1, 0.01)
BEST = 4


def maximise(acquisition, observations, key, config):
    """Candidates and their acquisition values."""
    count, dimension = config["NUM_CANDIDATES"], config["DIMENSION"]
    wide_key, pick_key, narrow_key = jax.random.split(key, 3)
    wide = jax.random.uniform(wide_key, (count // 2, dimension))
    best = jax.lax.top_k(jnp.where(observations.mask, observations.y, -jnp.inf), BEST)[1]
    centres = observations.x[jax.random.choice(pick_key, best, (count // 2,))]
    widths = jnp.resize(jnp.array(WIDTHS), count // 2)[:, None]
    narrow = jnp.clip(centres + widths * jax.random.normal(narrow_key, centres.shape), 0.0, 1.0)
    candidates = jnp.concatenate([wide, narrow])
    values, chosen = jax.lax.top_k(acquisition(candidates), config["NUM_STARTS"])
    starts = candidates[chosen]
    optimizer = optax.adam(config["ASCENT_LEARNING_RATE"], eps=1e-30)

    def step(carry, _):
        points, state = carry
        gradient = jax.grad(lambda points: -acquisition(points).sum())(points)
        updates, state = optimizer.update(gradient, state)
        return (jnp.clip(points + updates, 0.0, 1.0), state), None

    (points, _), _ = jax.lax.scan(step, (starts, optimizer.init(starts)), length=config["ASCENT_STEPS"])
    improved = acquisition(points)
    better = improved > values
    return jnp.where(better[:, None], points, starts), jnp.where(better, improved, values)
