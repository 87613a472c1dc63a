"""The platformer problem: latents of the generator, whose levels an A* agent plays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from .archives import Array, IntArray
from .emitters import Emitter, ImprovementEmitter
from .generator import HEIGHT, LATENT, SIGMA, WIDTH, generator
from .platformer import EMPTY, TILES, World, phases_of, plan
from .problems import Evaluation

Measure = Literal["sky", "jumps", "kills"]


@dataclass(frozen=True)
class Platformers:
    """Solutions are latents of the generator; the objective is the share of the level that the agent completes.

    The defaults are the published sizes; :func:`small_platformers` has smaller levels and fewer episodes. Episodes
    differ in how far walkers have walked when they begin.

    Attributes:
        height, width: of levels: the lower left part of what the generator makes.
        episodes: per evaluation.
        measures: ``sky``: tiles that are not empty in the upper part of the level; ``jumps`` and ``kills`` of the
            agent, means over episodes.
        dims, ranges, coarse: the archive, and the grid for downsampling.
        nodes: that A* expands at most.
        batch_size, emitter_count: of the emitters.
    """

    height: int = HEIGHT
    width: int = WIDTH
    episodes: int = 5
    measures: tuple[Measure, Measure] = ("sky", "jumps")
    dims: tuple[int, int] = (150, 100)
    ranges: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 150.0), (0.0, 20.0))
    coarse: tuple[int, int] = (30, 20)
    nodes: int = 3000
    batch_size: int = 30
    emitter_count: int = 1

    tiles = TILES
    solution_dim = LATENT
    dtype = np.float64

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def sky_rows(self) -> int:
        """Rows whose tiles are counted as sky: 9 of 16."""
        return 9 * self.height // 16

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """As described by :class:`Problem`: normal, with standard deviation 0.2."""
        return SIGMA * rng.normal(size=(n, LATENT))

    def levels(self, solutions: Array) -> npt.NDArray[np.int8]:
        """As described by :class:`Problem`: tiles of :mod:`.platformer`."""
        return generator().decode(np.asarray(solutions, np.float64))[:, HEIGHT - self.height :, : self.width]

    def evaluate(self, solutions: Array, seeds: IntArray) -> Evaluation:
        """As described by :class:`Problem`."""
        levels = self.levels(solutions)
        played = [self.play(level, int(seed)) for level, seed in zip(levels, seeds, strict=True)]
        n = len(levels)
        completed = np.array([each[0] for each in played]).reshape(n)
        known = {
            "sky": (levels[:, : self.sky_rows] != EMPTY).sum(axis=(1, 2)).astype(np.float64),
            "jumps": np.array([each[1] for each in played]).reshape(n),
            "kills": np.array([each[2] for each in played]).reshape(n),
        }
        occupancy = np.array([each[3] for each in played], np.float32).reshape(n, *self.shape)
        measures = np.stack([known[name] for name in self.measures], axis=1)
        return Evaluation(completed, measures, occupancy, np.zeros(n, np.bool_))

    def play(self, level: npt.NDArray[np.int8], seed: int) -> tuple[float, float, float, npt.NDArray[np.float32]]:
        """Completed share, jumps, kills, and ticks in each cell float32[height, width], means over episodes."""
        world = World(level)
        occupancy = np.zeros(self.shape, np.float32)
        plans = []
        for episode in range(self.episodes if world.walkers else 1):  # without walkers all episodes are the same
            world.phases = phases_of(seed, episode, len(world.walkers))
            plans.append(plan(world, nodes=self.nodes))
            for row, column in plans[-1].path:
                occupancy[row, column] += 1
        completed, jumps, kills = (
            float(np.mean(values))
            for values in ([p.completed for p in plans], [p.jumps for p in plans], [p.kills for p in plans])
        )
        return completed, jumps, kills, occupancy / np.float32(len(plans))

    def emitters(self, seeds: Sequence[int]) -> list[Emitter]:
        """As described by :class:`Problem`: CMA-ME from 0 on."""
        return [ImprovementEmitter(LATENT, SIGMA, self.batch_size, seed) for seed in seeds]


#: Cells along each measure, its range, and cells of the grid for downsampling.
_MEASURES: Final[dict[str, tuple[int, tuple[float, float], int]]] = {
    "sky": (150, (0.0, 150.0), 30),
    "jumps": (100, (0.0, 20.0), 20),
    "kills": (25, (0.0, 10.0), 5),
}
_SMALL_MEASURES: Final[dict[str, tuple[int, tuple[float, float], int]]] = {
    "sky": (40, (0.0, 80.0), 10),
    "jumps": (40, (0.0, 10.0), 10),
    "kills": (20, (0.0, 5.0), 5),
}


def platformers(first: Measure = "sky", second: Measure = "jumps") -> Platformers:
    """Levels of 16 × 56 tiles in the published sizes, with two of the measures.

    The ranges of jumps and kills are those of this platformer, in which a jump takes at least three columns.
    """
    chosen = [_MEASURES[name] for name in (first, second)]
    return Platformers(
        measures=(first, second),
        dims=(chosen[0][0], chosen[1][0]),
        ranges=(chosen[0][1], chosen[1][1]),
        coarse=(chosen[0][2], chosen[1][2]),
    )


def small_platformers(first: Measure = "sky", second: Measure = "jumps") -> Platformers:
    """Levels of 14 × 28 tiles and two episodes, for two cores of a CPU."""
    chosen = [_SMALL_MEASURES[name] for name in (first, second)]
    return Platformers(
        height=14,
        width=28,
        episodes=2,
        measures=(first, second),
        dims=(chosen[0][0], chosen[1][0]),
        ranges=(chosen[0][1], chosen[1][1]),
        coarse=(chosen[0][2], chosen[1][2]),
        nodes=1500,
    )
