"""Recorded trajectories, as the modules get them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Batch(NamedTuple):
    """Transitions, leading axis [B]; all float32.

    Attributes:
        observations: [B, D], normalised: of mean 0 and standard deviation 1 over the data.
        actions: [B, A], from -1 to 1.
        rewards: [B], of the step from observations to next_observations.
        next_observations: [B, D], normalised.
        masks: [B], 0 where the goal was reached, so that nothing follows, else 1.
        next_actions: [B, A], what was done in next_observations; 0 where that is not known.
        next_known: [B], 0 where the recording ended, so that no next action is known, else 1.
    """

    observations: jax.Array
    actions: jax.Array
    rewards: jax.Array
    next_observations: jax.Array
    masks: jax.Array
    next_actions: jax.Array
    next_known: jax.Array


def load(arrays):
    """All transitions, and how observations were normalised.

    Args:
        arrays: of the exam: "observations" float32[M, T + 1, D], "actions" float32[M, T, A], "rewards" float32[M, T]
            and "terminals" bool[M, T], of M recordings of T steps each.

    Returns:
        (data, normalisation). data is a Batch of NumPy arrays of all N = M * T transitions, one recording after the
        other; normalisation is a dict of "mean" and "scale", float32[D].
    """
    observations, actions = (np.asarray(arrays[name], np.float32) for name in ("observations", "actions"))
    flat = observations.reshape(-1, observations.shape[-1])
    mean, scale = flat.mean(axis=0), flat.std(axis=0) + np.float32(1e-3)
    observations = (observations - mean) / scale
    known = np.ones(actions.shape[:2], np.float32)
    known[:, -1] = 0.0
    next_actions = np.concatenate([actions[:, 1:], np.zeros_like(actions[:, :1])], axis=1)
    parts = (
        observations[:, :-1],
        actions,
        np.asarray(arrays["rewards"], np.float32),
        observations[:, 1:],
        1.0 - np.asarray(arrays["terminals"], np.float32),
        next_actions,
        known,
    )
    data = Batch(*(part.reshape(-1, *part.shape[2:]) for part in parts))
    return data, {"mean": mean, "scale": scale}


def pack(data):
    """All of a Batch side by side, float32[N, 2 D + 2 A + 3], so that a batch is one gather; and what undoes it.

    Returns:
        (table, unpack), where ``unpack(rows)`` makes a Batch of rows of the table.
    """
    columns = [np.asarray(part).reshape(len(part), -1) for part in data]
    ends = np.cumsum([column.shape[1] for column in columns])
    flat = [np.ndim(part) == 1 for part in data]

    def unpack(rows):
        parts = jnp.split(rows, ends[:-1], axis=1)
        return Batch(*(part[:, 0] if one else part for part, one in zip(parts, flat, strict=True)))

    return np.concatenate(columns, axis=1), unpack
