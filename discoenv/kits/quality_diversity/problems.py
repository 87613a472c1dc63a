"""What is searched: a space of levels, and a simulator in which an agent plays them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .archives import Array, FloatArray, GridArchive, IntArray
from .emitters import Emitter

UintArray = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Evaluation:
    """What simulations of n levels gave.

    Attributes:
        objectives: float64[n].
        measures: float64[n, 2].
        occupancy: float32[n, height, width], how long the agent was in each cell, in steps, mean over episodes: the
            ancillary data of the surrogate.
        failed: bool[n], simulations that came to no result; their other rows are 0 and mean nothing.
    """

    objectives: FloatArray
    measures: FloatArray
    occupancy: npt.NDArray[np.float32]
    failed: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.objectives)


class Problem(Protocol):
    """A space of levels and its simulator."""

    @property
    def solution_dim(self) -> int:
        """Numbers of a solution."""
        ...

    @property
    def dtype(self) -> type[np.generic]:
        """Of solutions."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a level."""
        ...

    @property
    def tiles(self) -> int:
        """Different tiles."""
        ...

    @property
    def measures(self) -> tuple[str, str]:
        """Names of the two measures."""
        ...

    @property
    def dims(self) -> tuple[int, int]:
        """Cells of the archive along each measure."""
        ...

    @property
    def ranges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Lowest and highest value of each measure in the archive."""
        ...

    @property
    def coarse(self) -> tuple[int, int]:
        """Dims of the grid for downsampling."""
        ...

    @property
    def emitter_count(self) -> int:
        """How many emitters propose solutions side by side."""
        ...

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """Random solutions [n, solution_dim]."""
        ...

    def levels(self, solutions: Array) -> npt.NDArray[np.int8]:
        """The levels of solutions, tiles int8[n, height, width] from 0 to ``tiles`` - 1."""
        ...

    def evaluate(self, solutions: Array, seeds: IntArray) -> Evaluation:
        """Simulate each solution; a row depends on its solution and its seed alone, not on the others."""
        ...

    def emitters(self, seeds: Sequence[int]) -> list[Emitter]:
        """The published emitters, one per seed."""
        ...


def new_archive(problem: Problem) -> GridArchive:
    """An empty archive for the problem's solutions and measures."""
    return GridArchive(problem.solution_dim, problem.dims, problem.ranges, problem.dtype)


def hashed(*parts: Array | int) -> UintArray:
    """Pseudo-random uint64 that depends on integers alone, by broadcasting (Steele et al., 2014, SplitMix64).

    Simulations draw by it, so that what an episode draws at a step does not depend on which others run beside it.
    """
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            x = (state ^ np.asarray(part).astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = np.asarray(x ^ (x >> np.uint64(31)))
    return state


def uniform(bits: UintArray) -> FloatArray:
    """Numbers in [0, 1) from uint64."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
