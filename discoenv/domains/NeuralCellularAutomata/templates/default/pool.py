"""A pool of states that training goes on from, so that what has been grown is also kept (Mordvintsev et al. 2020)."""

from typing import NamedTuple

import jax


class Samples(NamedTuple):
    """States with what is to become of them; a pool is Samples with POOL rows.

    Attributes:
        states: float32[M, H, W, CHANNELS].
        targets: float32[M, H, W, OUTPUT], wanted in the first OUTPUT channels.
        weights: float32[M, H, W], how much each cell counts in the loss, zero or one.
    """

    states: jax.Array
    targets: jax.Array
    weights: jax.Array


def draw(data, key, count):
    """``count`` fresh samples from the training data, with replacement."""
    rows = jax.random.randint(key, (count,), 0, data.states.shape[0])
    return take(data, rows)


def choose(pool, key, count):
    """Numbers int32[count] of different rows of the pool."""
    return jax.random.permutation(key, pool.states.shape[0])[:count]


def take(samples, rows):
    """The samples in ``rows``, int32[count]."""
    return jax.tree.map(lambda values: values[rows], samples)


def put(samples, rows, new):
    """``samples`` with those in ``rows``, int32[count], replaced by ``new``."""
    return jax.tree.map(lambda values, others: values.at[rows].set(others), samples, new)
