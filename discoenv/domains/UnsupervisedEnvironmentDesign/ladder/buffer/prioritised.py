"""Prioritised level replay (Jiang et al. 2021): lasting levels, scored again, drawn by rank and staleness."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Buffer(NamedTuple):
    """Levels with scores: a pytree of arrays whose shapes and dtypes never change.

    Attributes:
        levels: KEEP levels; their arrays have the leading axis [KEEP].
        scores: float32[KEEP], -inf where nothing has been put in yet.
        time: int32[KEEP], when a level was last put in or drawn, in calls of ``insert_levels``, for modules that want
            it.
        clock: int32[], number of calls of ``insert_levels``.
    """

    levels: Any
    scores: jax.Array
    time: jax.Array
    clock: jax.Array


def create_buffer(level, config):
    """An empty buffer.

    Args:
        level: one level, for its structure, shapes and dtypes.
        config: the run's configuration (immutable mapping): KEEP, the number of levels to keep, CANDIDATES.

    Returns:
        Buffer, or another pytree of arrays with the fields ``levels`` and ``scores``.
    """
    keep = config["KEEP"]
    levels = jax.tree.map(lambda x: jnp.broadcast_to(x, (keep, *x.shape)), level)
    return Buffer(levels, jnp.full(keep, -jnp.inf), jnp.zeros(keep, jnp.int32), jnp.int32(0))


def insert_levels(buffer, levels, scores, config):
    """Put scored candidates in; called once per cycle.

    Args:
        buffer: as ``create_buffer`` returns it.
        levels: levels with the leading axis [CANDIDATES].
        scores: float32[CANDIDATES], see score.py.
        config: as above.

    Returns:
        The new buffer.
    """
    # The best of the old and the new ones stay.
    both = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), buffer.levels, levels)
    time = jnp.concatenate([buffer.time, jnp.full(len(scores), buffer.clock)])
    scores, best = jax.lax.top_k(jnp.concatenate([buffer.scores, scores]), config["KEEP"])
    return Buffer(jax.tree.map(lambda x: x[best], both), scores, time[best], buffer.clock + 1)


def draw_levels(key, buffer, count, config):
    """Draw levels to train on, or to edit.

    Args:
        key: a JAX key.
        buffer: the buffer; before the first call of ``insert_levels`` its scores are -inf.
        count: how many, an int.
        config: the run's configuration (immutable mapping): TEMPERATURE, STALENESS.

    Returns:
        (levels with the leading axis [count], index int32[count] of the places that they were drawn from).
    """
    # Prioritised level replay (Jiang et al. 2021): P = (1 - ρ) P_score + ρ P_stale, with P_score ∝ rank^(-1/β) and
    # P_stale ∝ the time since a level was scored. Places that are empty are not drawn.
    filled = jnp.isfinite(buffer.scores)
    rank = 1 + jnp.argsort(jnp.argsort(-buffer.scores))
    by_score = jnp.where(filled, rank ** (-1.0 / config["TEMPERATURE"]), 0.0)
    stale = jnp.where(filled, buffer.clock - buffer.time, 0.0)
    by_score = by_score / jnp.maximum(by_score.sum(), 1e-9)
    stale = jnp.where(stale.sum() > 0, stale / jnp.maximum(stale.sum(), 1e-9), by_score)
    p = (1 - config["STALENESS"]) * by_score + config["STALENESS"] * stale
    index = jnp.searchsorted(jnp.cumsum(p), jax.random.uniform(key, (count,)) * p.sum()).astype(jnp.int32)
    index = jnp.clip(index, 0, len(p) - 1)
    return jax.tree.map(lambda x: x[index], buffer.levels), index


def revise_scores(buffer, index, scores, config):
    """Take note of new scores, after each training update.

    Args:
        buffer: the buffer.
        index: int32[NUM_ENVS], places that the levels of the update were drawn from; -1 for those that were not.
        scores: float32[NUM_ENVS], their scores in the update, see score.py.
        config: as above.

    Returns:
        The new buffer.
    """
    place = jnp.where(index < 0, len(buffer.scores), index)  # those that are out of range are left out
    return buffer._replace(
        scores=buffer.scores.at[place].set(scores, mode="drop"),
        time=buffer.time.at[place].set(buffer.clock, mode="drop"),
    )
