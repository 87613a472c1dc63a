"""A grid archive in plain arrays: the best solution of each cell of a grid over the measures (Mouret & Clune, 2015)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: What became of a solution: it was not better than its cell's elite, it was better, its cell was empty.
REJECTED, IMPROVED, NEW = 0, 1, 2
#: Added before rounding down, so that a measure on a border of two cells is not put below it by a rounding error.
_EPSILON: Final = 1e-6


@dataclass(frozen=True)
class Elites:
    """Solutions with what is known of them, one per row.

    Attributes:
        solutions: [n, solution_dim].
        objectives: float64[n].
        measures: float64[n, measure_dim].
        cells: int64[n], index of the cell of each.
        metadata: int64[n], a number that the user gave; -1 where none was given.
    """

    solutions: Array
    objectives: FloatArray
    measures: FloatArray
    cells: IntArray
    metadata: IntArray

    def __len__(self) -> int:
        return len(self.objectives)


@dataclass(frozen=True)
class Added:
    """What became of a batch.

    Attributes:
        status: int64[n], ``REJECTED``, ``IMPROVED`` or ``NEW``.
        value: float64[n], the objective, minus that of the elite which was in the cell, if there was one.
    """

    status: IntArray
    value: FloatArray


class GridArchive:
    """The elites of a regular grid. Cells are numbered in row-major order; measures out of range are clipped.

    Additions of a batch are vectorised, and equal those of ``ribs.archives.GridArchive`` in its default settings.

    Args:
        solution_dim: numbers of a solution.
        dims: cells along each measure.
        ranges: lowest and highest value of each measure.
        dtype: of solutions; integers are stored as they are.

    Raises:
        ValueError: sizes or ranges are not positive, or their numbers differ.
    """

    def __init__(
        self,
        solution_dim: int,
        dims: Sequence[int],
        ranges: Sequence[tuple[float, float]],
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        if len(dims) != len(ranges) or not dims:
            raise ValueError(f"dims has {len(dims)} entries and ranges {len(ranges)}; both need one per measure")
        if solution_dim < 1 or min(dims) < 1:
            raise ValueError(f"solution_dim {solution_dim} and dims {tuple(dims)} must be positive")
        if any(low >= high for low, high in ranges):
            raise ValueError(f"ranges {list(ranges)}: the lowest value must be below the highest")
        self.dims = tuple(int(dim) for dim in dims)
        self.ranges = tuple((float(low), float(high)) for low, high in ranges)
        self.cells = int(np.prod(self.dims))
        self._low = np.array([low for low, _ in self.ranges])
        self._size = np.array([high - low for low, high in self.ranges])
        self._dims = np.array(self.dims)
        self._strides = np.array([int(np.prod(self.dims[i + 1 :])) for i in range(len(self.dims))])
        self._solutions = np.zeros((self.cells, solution_dim), dtype)
        self._objectives = np.full(self.cells, -np.inf)
        self._measures = np.zeros((self.cells, len(self.dims)))
        self._metadata = np.full(self.cells, -1, np.int64)
        self._filled = np.zeros(self.cells, np.int64)  # occupied cells in the order in which they were filled
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def solution_dim(self) -> int:
        """Numbers of a solution."""
        return int(self._solutions.shape[1])

    @property
    def coverage(self) -> float:
        """Share of cells that hold an elite, 0 to 1."""
        return self._count / self.cells

    @property
    def objectives(self) -> FloatArray:
        """Objective of each cell, float64[dims]; NaN where there is no elite. For heat maps."""
        return np.where(np.isneginf(self._objectives), np.nan, self._objectives).reshape(self.dims)

    def qd_score(self, offset: float = 0.0) -> float:
        """Sum over elites of their objective minus ``offset``, the lowest possible objective."""
        return float((self._objectives[self._filled[: self._count]] - offset).sum())

    def index_of(self, measures: npt.ArrayLike) -> IntArray:
        """Cells int64[n] of measures [n, measure_dim].

        Raises:
            ValueError: the shape is wrong, or a measure is not finite.
        """
        measures = np.asarray(measures, np.float64)
        if measures.ndim != 2 or measures.shape[1] != len(self.dims):
            raise ValueError(f"measures have shape {measures.shape}; expected (n, {len(self.dims)})")
        if not np.isfinite(measures).all():
            raise ValueError("measures must be finite; leave solutions whose evaluation failed out")
        place = (self._dims * (measures - self._low) + _EPSILON) / self._size
        cells: IntArray = np.clip(place, 0, self._dims - 1).astype(np.int64) @ self._strides
        return cells

    def is_occupied(self, cells: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether cells, int64[n], hold an elite, bool[n]."""
        return ~np.isneginf(self._objectives[np.asarray(cells, np.int64)])

    def add(
        self,
        solutions: npt.ArrayLike,
        objectives: npt.ArrayLike,
        measures: npt.ArrayLike,
        metadata: npt.ArrayLike | None = None,
        *,
        one_by_one: bool = False,
    ) -> Added:
        """Put into each cell the best of its elite and the solutions that fall into it; of equals, the earliest stays.

        Args:
            solutions: [n, solution_dim].
            objectives: [n], finite.
            measures: [n, measure_dim], finite.
            metadata: integers [n] that are kept with the solutions, such as row numbers of a data set.
            one_by_one: status and value compare with the archive after the rows before, as if each were added alone;
                else with the archive as it was before the batch. What the archive holds in the end is the same.

        Raises:
            ValueError: shapes do not agree, or an objective or measure is not finite.
        """
        solutions, objectives = np.asarray(solutions), np.asarray(objectives, np.float64)
        n = len(objectives)
        if objectives.shape != (n,) or solutions.shape != (n, self.solution_dim) or len(np.asarray(measures)) != n:
            raise ValueError(
                f"solutions {solutions.shape}, objectives {objectives.shape} and measures {np.shape(measures)} "
                f"do not agree; expected (n, {self.solution_dim}), (n,) and (n, {len(self.dims)})"
            )
        if not np.isfinite(objectives).all():
            raise ValueError("objectives must be finite; leave solutions whose evaluation failed out")
        cells = self.index_of(measures)
        before = self._objectives[cells]
        better = objectives > before
        if one_by_one:
            before, status = _in_turn(cells, objectives, before)
        else:
            status = np.where(better, np.where(np.isneginf(before), NEW, IMPROVED), REJECTED)
        value = objectives - np.where(np.isneginf(before), 0.0, before)
        if better.any():
            rows = _best_rows(cells, objectives, better)
            self._put(rows, cells[rows], solutions, objectives, np.asarray(measures, np.float64), metadata)
        return Added(status, value)

    def _put(
        self,
        rows: IntArray,
        cells: IntArray,
        solutions: Array,
        objectives: FloatArray,
        measures: FloatArray,
        metadata: npt.ArrayLike | None,
    ) -> None:
        new = cells[np.isneginf(self._objectives[cells])]
        self._filled[self._count : self._count + len(new)] = new
        self._count += len(new)
        self._solutions[cells] = solutions[rows]
        self._objectives[cells] = objectives[rows]
        self._measures[cells] = measures[rows]
        self._metadata[cells] = -1 if metadata is None else np.asarray(metadata, np.int64)[rows]

    def elites(self) -> Elites:
        """All elites, in the order in which their cells were filled."""
        return self.retrieve(self._filled[: self._count])

    def sample(self, n: int, rng: np.random.Generator) -> Elites:
        """Elites of cells that are drawn uniformly and independently from the occupied ones.

        Raises:
            IndexError: the archive is empty.
        """
        return self.retrieve(self._filled[self._draw(n, rng)])

    def sample_solutions(self, n: int, rng: np.random.Generator) -> Array:
        """As :meth:`sample`, the solutions [n, solution_dim] alone."""
        return self._solutions[self._filled[self._draw(n, rng)]]

    def retrieve(self, cells: npt.ArrayLike) -> Elites:
        """The elites of occupied cells int64[n], as copies."""
        cells = np.asarray(cells, np.int64)
        return Elites(
            self._solutions[cells],
            self._objectives[cells],
            self._measures[cells],
            cells.copy(),
            self._metadata[cells],
        )

    def state(self) -> dict[str, Array]:
        """Arrays from which :meth:`restore` makes the same archive: those of :meth:`elites`."""
        elites = self.elites()
        return {name: getattr(elites, name) for name in ("solutions", "objectives", "measures", "cells", "metadata")}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Become the archive whose :meth:`state` this is; dims, ranges and dtype must be those of that archive."""
        cells = state["cells"]
        self._objectives[:], self._metadata[:] = -np.inf, -1
        self._solutions[cells], self._objectives[cells] = state["solutions"], state["objectives"]
        self._measures[cells], self._metadata[cells] = state["measures"], state["metadata"]
        self._filled[: len(cells)], self._count = cells, len(cells)

    def _draw(self, n: int, rng: np.random.Generator) -> IntArray:
        if not self._count:
            raise IndexError("the archive is empty: add solutions before elites are drawn from it")
        return rng.integers(self._count, size=n)


def _best_rows(cells: IntArray, objectives: FloatArray, better: npt.NDArray[np.bool_]) -> IntArray:
    """Rows int64[k] of the best solution of each cell, among those that are better than its elite, by cell."""
    rows = np.flatnonzero(better)
    order = rows[np.lexsort((-objectives[rows], cells[rows]))]  # stable: the earliest of equals comes first
    sorted_cells = cells[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = sorted_cells[1:] != sorted_cells[:-1]
    return order[first]


def _in_turn(cells: IntArray, objectives: FloatArray, before: FloatArray) -> tuple[FloatArray, IntArray]:
    """Objective float64[n] of each row's cell when its turn comes, and its status int64[n]."""
    best: dict[int, float] = {}
    seen, status = [], []
    for cell, objective, old in zip(cells.tolist(), objectives.tolist(), before.tolist(), strict=True):
        current = best.get(cell, old)
        seen.append(current)
        if objective > current:
            status.append(NEW if current == -np.inf else IMPROVED)
            best[cell] = objective
        else:
            status.append(REJECTED)
    return np.array(seen), np.array(status, np.int64)
