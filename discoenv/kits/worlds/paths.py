"""Lengths of shortest paths in mazes, many at a time."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def distances(blocked: jax.Array, goal: jax.Array) -> jax.Array:
    """Steps from every cell to a goal, over free cells, up, right, down and left.

    Breadth-first search as a fixed point: d(c) = 1 + min d(c') over the neighbours c' of a free cell c, d(goal) = 0.
    A sweep relaxes all cells of all mazes at once, and sweeps go on until none changes.

    Args:
        blocked: bool[..., S, S], cells that cannot be entered.
        goal: int32[...], number of a cell, row * S + column.

    Returns:
        int32[..., S, S]; cells that cannot reach the goal, blocked ones included, have S².
    """
    size = blocked.shape[-1]
    far = size * size
    at_goal = (jnp.arange(far) == goal[..., None]).reshape(blocked.shape)
    begin = jnp.where(at_goal & ~blocked, 0, far).astype(jnp.int32)

    def sweep(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        old, _ = carry
        edge = [(0, 0)] * (old.ndim - 2) + [(1, 1), (1, 1)]
        around = jnp.pad(old, edge, constant_values=far)
        nearest = jnp.minimum(
            jnp.minimum(around[..., :-2, 1:-1], around[..., 2:, 1:-1]),
            jnp.minimum(around[..., 1:-1, :-2], around[..., 1:-1, 2:]),
        )
        new = jnp.where(blocked, far, jnp.minimum(old, jnp.minimum(nearest + 1, far)))
        return new, (new != old).any()

    found: jax.Array = jax.lax.while_loop(lambda carry: carry[1], sweep, (begin, jnp.bool_(True)))[0]
    return found


def path_length(blocked: jax.Array, start: jax.Array, goal: jax.Array) -> jax.Array:
    """int32[...]: steps of a shortest path; S² where there is none. Arguments as of :func:`distances`."""
    found = distances(blocked, goal)
    length: jax.Array = jnp.take_along_axis(found.reshape(*goal.shape, -1), start[..., None], axis=-1)[..., 0]
    return length
