"""Differential evolution, rand/1/bin, which needs no gradients. Storn and Price 1997."""

import jax
import jax.numpy as jnp

#: Factor of differences, and the probability of taking a coordinate over.
FACTOR, CROSSOVER = 0.8, 0.9
#: Individuals per dimension.
PER_DIMENSION = 10


def maximise(acquisition, observations, key, config):
    """The last generation and its acquisition values."""
    dimension = config["DIMENSION"]
    size = max(PER_DIMENSION * dimension, config["BATCH_SIZE"])
    start_key, evolution_key = jax.random.split(key)

    def generation(carry, key):
        points, values = carry
        order_key, cross_key, forced_key = jax.random.split(key, 3)
        # Three others for each, all different: its successors in a random order.
        order = jax.random.permutation(order_key, size)
        rank = jnp.argsort(order)
        first, second, third = (points[order[(rank + shift) % size]] for shift in (1, 2, 3))
        mutant = jnp.clip(first + FACTOR * (second - third), 0.0, 1.0)
        crosses = jax.random.uniform(cross_key, points.shape) < CROSSOVER
        forced = jax.random.randint(forced_key, (size, 1), 0, dimension) == jnp.arange(dimension)
        trial = jnp.where(crosses | forced, mutant, points)
        trial_values = acquisition(trial)
        better = trial_values > values
        return (jnp.where(better[:, None], trial, points), jnp.where(better, trial_values, values)), None

    points = jax.random.uniform(start_key, (size, dimension))
    keys = jax.random.split(evolution_key, config["ASCENT_STEPS"])
    (points, values), _ = jax.lax.scan(generation, (points, acquisition(points)), keys)
    return points, values
