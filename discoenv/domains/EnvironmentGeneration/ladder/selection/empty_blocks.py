"""Downsampling of the candidates for empty cells; of others only if there are none. After Bhatt et al. 2022."""

import numpy as np


def select(candidates, archive, count, rng, config):
    """Rows of ``candidates``: one of each block of the coarse grid, drawn from those for empty cells."""
    rows = np.flatnonzero(np.isneginf(archive.objectives_at(candidates.cells)))
    if not len(rows):
        rows = np.arange(len(candidates.cells))
    fine, coarse = np.array(config["DIMS"]), np.array(config["COARSE"])
    place = np.stack(np.unravel_index(candidates.cells[rows], tuple(fine)), axis=1) * coarse // fine
    order = rng.permutation(len(rows))
    _, first = np.unique(place[order] @ (coarse[1], 1), return_index=True)
    return rng.permutation(rows[order[first]])[:count]
