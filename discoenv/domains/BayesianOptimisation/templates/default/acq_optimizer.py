"""How points of high acquisition are found."""

import jax
import jax.numpy as jnp
import optax


def maximise(acquisition, observations, key, config):
    """Candidates for the next evaluations.

    Args:
        acquisition: function of float64[M, DIMENSION] that gives float64[M], for any M; differentiable in the points
            if ``acq_fn`` is.
        observations: Observations (see observations.py), for example to start where values were high.
        key: jax.random key.
        config: dict, the dataset's config.yaml: DIMENSION, BATCH_SIZE, and NUM_CANDIDATES, NUM_STARTS, ASCENT_STEPS,
            ASCENT_LEARNING_RATE, which you may use or ignore.

    Returns:
        (candidates, values): float64[C, DIMENSION] in the unit box and their acquisition float64[C], in any order; C is
        fixed and at least BATCH_SIZE. Traced: no Python branches on values.
    """
    # <solution>
    # The best of many random points, each improved by projected gradient ascent.
    candidates = jax.random.uniform(key, (config["NUM_CANDIDATES"], config["DIMENSION"]))
    values, best = jax.lax.top_k(acquisition(candidates), config["NUM_STARTS"])
    starts = candidates[best]
    optimizer = optax.adam(config["ASCENT_LEARNING_RATE"], eps=1e-30)  # acquisition may be tiny everywhere

    def step(carry, _):
        points, state = carry
        gradient = jax.grad(lambda points: -acquisition(points).sum())(points)
        updates, state = optimizer.update(gradient, state)
        return (jnp.clip(points + updates, 0.0, 1.0), state), None

    (points, _), _ = jax.lax.scan(step, (starts, optimizer.init(starts)), length=config["ASCENT_STEPS"])
    improved = acquisition(points)
    better = improved > values
    return jnp.where(better[:, None], points, starts), jnp.where(better, improved, values)
    # </solution>
