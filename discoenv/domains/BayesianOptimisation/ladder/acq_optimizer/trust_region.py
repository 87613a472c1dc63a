"""Searches a box around the best point, which grows with successes and shrinks with failures. Eriksson et al. 2019."""

import jax
import jax.numpy as jnp
import optax

#: Side of the box at first, at most and at least; it begins anew when it would be smaller.
START, MOST, LEAST = 0.8, 1.6, 0.5**7
#: Successes in a row after which it is doubled; failures in a row are as many as dimensions per batch, at least 4.
SUCCESSES, FAILURES = 3, 4


def maximise(acquisition, observations, key, config):
    """The best random points of the trust region, each improved by gradient ascent inside it, and their values."""
    centre = observations.x[jnp.argmax(jnp.where(observations.mask, observations.y, -jnp.inf))]
    half = side_of(observations, config) / 2
    lower, upper = jnp.clip(centre - half, 0.0, 1.0), jnp.clip(centre + half, 0.0, 1.0)
    candidates = lower + (upper - lower) * jax.random.uniform(key, (config["NUM_CANDIDATES"], config["DIMENSION"]))
    values, best = jax.lax.top_k(acquisition(candidates), config["NUM_STARTS"])
    starts = candidates[best]
    optimizer = optax.adam(config["ASCENT_LEARNING_RATE"], eps=1e-30)

    def step(carry, _):
        points, state = carry
        gradient = jax.grad(lambda points: -acquisition(points).sum())(points)
        updates, state = optimizer.update(gradient, state)
        return (jnp.clip(points + updates, lower, upper), state), None

    (points, _), _ = jax.lax.scan(step, (starts, optimizer.init(starts)), length=config["ASCENT_STEPS"])
    improved = acquisition(points)
    better = improved > values
    return jnp.where(better[:, None], points, starts), jnp.where(better, improved, values)


def side_of(observations, config):
    """The side of the box, float64[], after all rounds so far, each of which has improved on the best value or not."""
    batch = config["BATCH_SIZE"]
    tolerance = -(-max(FAILURES, config["DIMENSION"]) // batch)
    rounds = config["BUDGET"] // batch
    values = jnp.where(observations.mask, observations.y, -jnp.inf)[: rounds * batch].reshape(rounds, batch).max(axis=1)
    counted = (values > -jnp.inf) & (jnp.arange(rounds) >= config["INITIAL_SAMPLES"] // batch)

    def step(carry, this):
        best, side, successes, failures = carry
        value, counts = this
        better = value > best
        successes = jnp.where(better, successes + 1, 0)
        failures = jnp.where(better, 0, failures + 1)
        grows, shrinks = successes == SUCCESSES, failures == tolerance
        after = jnp.where(grows, jnp.minimum(2 * side, MOST), jnp.where(shrinks, side / 2, side))
        after = jnp.where(after < LEAST, START, after)
        successes, failures = jnp.where(grows, 0, successes), jnp.where(shrinks, 0, failures)
        new = (after, successes, failures)
        old = (side, *carry[2:])
        kept = jax.tree.map(lambda new, old: jnp.where(counts, new, old), new, old)
        return (jnp.maximum(best, value), *kept), None

    start = (-jnp.inf, jnp.asarray(START, values.dtype), 0, 0)
    (_, side, _, _), _ = jax.lax.scan(step, start, (values, counted))
    return side
