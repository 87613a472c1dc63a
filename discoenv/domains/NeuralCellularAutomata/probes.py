"""Twins of grids that show whether a rule is local and the same everywhere.

A cell may learn of another one no faster than REACH cells per step (in Chebyshev distance, on the torus). So after T
steps, cells that were further than REACH · T inside a part of the grid do not depend on what was outside that part.
And a grid that is moved, with its noise, must become the same grid, moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .samples import FloatArray, roll

#: Cells per step.
REACH: Final = 2
#: Rounding differs between places of an array: this much, absolute and relative to the larger value, is allowed.
TOLERANCE: Final = 1e-4


def strays(count: int) -> int:
    """How many of ``count`` grids may differ from their twins in an exam: where rounding tips a threshold, they do."""
    return 2 + count // 64


def longest(grid: int) -> int:
    """Most steps after which a twin still has cells (2 × 2) that must not differ."""
    return max(1, (grid // 2 - 2) // REACH)


@dataclass(frozen=True)
class Twins:
    """Grids to be grown beside N original ones, with the same number of steps.

    Attributes:
        states: float32[N, H, W, C].
        noise: uint8[T, N, H, W].
        rows, columns: int[N], how far each twin is moved.
        compared: bool[N, H, W], cells (at the original's place) that must come out the same.
    """

    states: FloatArray
    noise: np.ndarray[Any, Any]
    rows: np.ndarray[Any, Any]
    columns: np.ndarray[Any, Any]
    compared: np.ndarray[Any, np.dtype[np.bool_]]

    def differing(self, originals: FloatArray, twins: FloatArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which grids differ in the cells to be compared, bool[N], given what both have become, float[N, H, W, C]."""
        back = roll(twins, -self.rows, -self.columns)
        allowed = TOLERANCE * (1.0 + np.maximum(np.abs(originals), np.abs(back)))
        differ: np.ndarray[Any, Any] = np.any(np.abs(originals - back) > allowed, axis=-1)
        return np.asarray((differ & self.compared).any(axis=(1, 2)))


@dataclass(frozen=True)
class Company:
    """Which grids may be put together to one that looks like any other.

    Attributes:
        groups: int[N]; only grids of the same number are put together.
        places: int[2, N], rows and columns by which each grid has been moved: what is on the grids is laid over each
            other. None: one of them is turned, and moved at random, so that it is never the same.
    """

    groups: np.ndarray[Any, Any]
    places: np.ndarray[Any, Any] | None

    def donors(self, states: FloatArray, generator: np.random.Generator) -> FloatArray:
        """For each grid another one, as it may be laid over it, float32[N, H, W, C]."""
        count, height, width = states.shape[:3]
        rows = np.arange(count)
        for group in np.unique(self.groups):
            members = generator.permutation(np.flatnonzero(self.groups == group))
            rows[members] = np.roll(members, 1)
        if self.places is not None:
            return roll(states[rows], *(place - place[rows] for place in self.places))
        turned = states[rows][:, ::-1, ::-1]
        return roll(turned, generator.integers(height, size=count), generator.integers(width, size=count))


def local_twins(
    states: FloatArray, noise: np.ndarray[Any, Any], generator: np.random.Generator, company: Company
) -> Twins:
    """Each grid with all that is outside a random window taken from another grid, and with other noise there.

    The window is half of the grid wide and, on either side, half as much wider as information may travel.
    """
    count, height, width = states.shape[:3]
    side = height // 2 + REACH * len(noise)
    top, left = generator.integers(height, size=count), generator.integers(width, size=count)
    row = (np.arange(height)[None, :, None] - top[:, None, None]) % height
    column = (np.arange(width)[None, None, :] - left[:, None, None]) % width
    kept = (row < side) & (column < side)
    margin = REACH * len(noise)
    inner = (row >= margin) & (row < side - margin) & (column >= margin) & (column < side - margin)
    still = np.zeros(count, int)
    mixed = np.where(kept[..., None], states, company.donors(states, generator))
    others = generator.integers(256, size=noise.shape, dtype=np.uint8)
    return Twins(mixed, np.where(kept, noise, others), still, still, inner)


def moved_twins(
    states: FloatArray, noise: np.ndarray[Any, Any], generator: np.random.Generator, company: Company
) -> Twins:
    """As :func:`local_twins`, and what comes of it moved at random, with its noise: no grid is a copy of another."""
    count, height, width = states.shape[:3]
    mixed = local_twins(states, noise, generator, company)
    rows, columns = generator.integers(1, height, size=count), generator.integers(1, width, size=count)
    moved = np.stack([roll(each, rows, columns) for each in mixed.noise])
    return Twins(roll(mixed.states, rows, columns), moved, rows, columns, mixed.compared)


KINDS: Final[dict[str, Callable[..., Twins]]] = {"local": local_twins, "the same everywhere": moved_twins}
