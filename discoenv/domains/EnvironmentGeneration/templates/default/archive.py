"""The archive: the best solution of each cell of a grid over two measures."""

from typing import NamedTuple

import numpy as np

#: What became of a solution: its cell has one at least as good, it replaced one, its cell was empty.
REJECTED, IMPROVED, NEW = 0, 1, 2


class Elites(NamedTuple):
    """Solutions with what is known of them, or predicted, one per row.

    Attributes:
        solutions: [n, SOLUTION_DIM], int8 or float64.
        objectives: float64[n].
        measures: float64[n, 2].
        cells: int64[n], the cell of each: row * DIMS[1] + column, by both measures.
    """

    solutions: np.ndarray
    objectives: np.ndarray
    measures: np.ndarray
    cells: np.ndarray


class Archive:
    """A grid of DIMS cells over RANGES of both measures; what is out of range goes to the border.

    Args:
        config: dict, the dataset's config.yaml: DIMS, RANGES, SOLUTION_DIM.
        dtype: of solutions.
    """

    def __init__(self, config, dtype):
        self.dims = tuple(config["DIMS"])
        low, high = np.array(config["RANGES"], np.float64).T
        self._low, self._size = low, high - low
        cells = self.dims[0] * self.dims[1]
        self._solutions = np.zeros((cells, config["SOLUTION_DIM"]), dtype)
        self._objectives = np.full(cells, -np.inf)
        self._measures = np.zeros((cells, 2))
        self._filled = np.zeros(cells, np.int64)
        self._count = 0

    def __len__(self):
        """Occupied cells."""
        return self._count

    def cells_of(self, measures):
        """Cells int64[n] of measures float64[n, 2]."""
        place = (np.array(self.dims) * (measures - self._low) + 1e-6) / self._size
        place = np.clip(place, 0, np.array(self.dims) - 1).astype(np.int64)
        return place[:, 0] * self.dims[1] + place[:, 1]

    def objectives_at(self, cells):
        """Objectives float64[n] of the elites of cells int64[n]; -inf where there is none."""
        return self._objectives[cells]

    def add(self, solutions, objectives, measures):
        """Put each solution into its cell if it is better than what is there, one after another.

        Returns:
            status int64[n], REJECTED, IMPROVED or NEW, and value float64[n]: the objective, minus that of the elite
            that was in the cell, if there was one; of rejected ones, that was in it before the first was added.
        """
        cells = self.cells_of(measures)
        before = self._objectives[cells]
        status, value = np.zeros(len(cells), np.int64), np.where(np.isneginf(before), objectives, objectives - before)
        for row in np.flatnonzero(objectives > before):
            cell, old = cells[row], self._objectives[cells[row]]
            value[row] = objectives[row] - (old if old > -np.inf else 0.0)
            if objectives[row] <= old:
                continue
            status[row] = NEW if old == -np.inf else IMPROVED
            if old == -np.inf:
                self._filled[self._count] = cell
                self._count += 1
            self._objectives[cell], self._measures[cell] = objectives[row], measures[row]
            self._solutions[cell] = solutions[row]
        return status, value

    def elites(self):
        """All :class:`Elites`, as copies, in the order in which their cells were filled."""
        return self.at(self._filled[: self._count])

    def at(self, cells):
        """The :class:`Elites` of occupied cells int64[n], as copies."""
        return Elites(self._solutions[cells], self._objectives[cells], self._measures[cells], cells.copy())

    def sample(self, count, rng):
        """Solutions [count, SOLUTION_DIM] of occupied cells that are drawn uniformly, with repetition."""
        return self._solutions[self._filled[rng.integers(self._count, size=count)]]

    def qd_score(self):
        """Sum of the elites' objectives, over the number of cells."""
        return float(self._objectives[self._filled[: self._count]].sum()) / len(self._objectives)
