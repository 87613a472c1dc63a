"""Which elites of a surrogate archive are evaluated: downsampling (Bhatt et al., 2022, section 4), and alternatives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .archives import Elites, GridArchive


def downsample(archive: GridArchive, dims: Sequence[int], rng: np.random.Generator) -> Elites:
    """One elite, drawn uniformly, of each coarse cell: regular blocks of cells of the archive's grid.

    Args:
        archive: the fine archive.
        dims: blocks along each measure.
        rng: source of randomness.

    Returns:
        Elites of different blocks, in the order of blocks; at most prod(dims).

    Raises:
        ValueError: the archive's dims are not multiples of ``dims``.
    """
    if len(dims) != len(archive.dims) or any(fine % coarse for fine, coarse in zip(archive.dims, dims, strict=True)):
        raise ValueError(f"a grid of {archive.dims} cells has no blocks of equal size in a grid of {tuple(dims)}")
    elites = archive.elites()
    place = np.stack(np.unravel_index(elites.cells, archive.dims))
    ratios = np.array(archive.dims) // np.array(dims)
    blocks = np.ravel_multi_index(tuple(place // ratios[:, None]), tuple(dims))
    order = rng.permutation(len(elites))
    _, first = np.unique(blocks[order], return_index=True)
    return archive.retrieve(elites.cells[order[first]])


def random_sample(archive: GridArchive, n: int, rng: np.random.Generator) -> Elites:
    """``n`` different elites, drawn uniformly; all if there are fewer."""
    elites = archive.elites()
    return archive.retrieve(elites.cells[rng.permutation(len(elites))[:n]])


def new_cells_first(archive: GridArchive, real: GridArchive, n: int, rng: np.random.Generator) -> Elites:
    """``n`` different elites; those whose predicted cell is empty in the real archive come first, drawn uniformly.

    Args:
        archive: the surrogate archive.
        real: an archive with the same grid, of evaluated solutions.
        n: how many; all if there are fewer.
        rng: source of randomness.
    """
    elites = archive.elites()
    order = rng.permutation(len(elites))
    known = real.is_occupied(elites.cells[order])
    return archive.retrieve(elites.cells[order[np.argsort(known, kind="stable")][:n]])
