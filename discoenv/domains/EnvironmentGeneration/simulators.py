"""The simulators of exams: those of the kit, on a plot of land or with a generator that no other exam has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from discoenv.kits.quality_diversity.archives import Array, IntArray
from discoenv.kits.quality_diversity.generator import HEIGHT, WIDTH, Generator, generator
from discoenv.kits.quality_diversity.mazes import HABITS, Mazes
from discoenv.kits.quality_diversity.platformer_problem import Platformers
from discoenv.kits.quality_diversity.problems import Evaluation

Levels = npt.NDArray[np.int8]
#: Explorers err with a probability between these; each of their habits is the kit's times a factor between those.
NOISE = (0.04, 0.06)
FACTOR = (0.8, 1.25)


class Simulator(Protocol):
    """Levels of one exam, and what happens in them."""

    @property
    def shown(self) -> dict[str, Array]:
        """What the learner is shown of it."""
        ...

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Random solutions [count, SOLUTION_DIM]."""
        ...

    def levels(self, solutions: Array) -> Levels:
        """Levels int8[n, HEIGHT, WIDTH] of solutions [n, SOLUTION_DIM]."""
        ...

    def evaluate(self, solutions: Array) -> Evaluation:
        """Simulate each; what is random depends on the level and the exam, so that a level has one result."""
        ...


@dataclass(frozen=True)
class MazeSimulator:
    """Mazes on a plot: some of its cells are walls, and others free, in every level.

    Attributes:
        mazes: the kit's problem, with the habits of this exam's explorer.
        fixed: int8[side, side], 0 and 1 where the plot decides, -1 elsewhere.
        key: of what is random in episodes.
    """

    mazes: Mazes
    fixed: Levels
    key: bytes

    @property
    def shown(self) -> dict[str, Array]:
        """The plot."""
        return {"fixed": self.fixed}

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """As described by :class:`Simulator`: fair bits."""
        return self.mazes.draw(count, rng)

    def levels(self, solutions: Array) -> Levels:
        """As described by :class:`Simulator`."""
        return np.where(self.fixed >= 0, self.fixed, self.mazes.levels(solutions))

    def evaluate(self, solutions: Array) -> Evaluation:
        """As described by :class:`Simulator`."""
        levels = self.levels(solutions)
        return self.mazes.evaluate(levels.reshape(len(levels), -1), seeds_of(levels, self.key))


@dataclass(frozen=True)
class _Rotated(Platformers):
    """The kit's platformer with another generator, of whose levels the columns from ``column`` on are played."""

    maker: Generator = field(default_factory=generator)
    column: int = 0

    def levels(self, solutions: Array) -> Levels:
        """Levels int8[n, height, width]."""
        tiles = self.maker.decode(np.asarray(solutions, np.float64))
        return tiles[:, HEIGHT - self.height :, self.column : self.column + self.width]


@dataclass(frozen=True)
class PlatformerSimulator:
    """The platformer behind a generator whose latents were rotated.

    Attributes:
        platformer: the kit's problem with this generator.
        key: of what is random in episodes.
    """

    platformer: _Rotated
    key: bytes

    @property
    def shown(self) -> dict[str, Array]:
        """The weights of the generator, float32, and the first column of its levels that is played."""
        weights = {name: x.astype(np.float32) for name, x in self.platformer.maker.weights.items()}
        return {**weights, "column": np.array(self.platformer.column)}

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """As described by :class:`Simulator`: normal numbers."""
        return self.platformer.draw(count, rng)

    def levels(self, solutions: Array) -> Levels:
        """As described by :class:`Simulator`."""
        return self.platformer.levels(solutions)

    def evaluate(self, solutions: Array) -> Evaluation:
        """As described by :class:`Simulator`."""
        return self.platformer.evaluate(solutions, seeds_of(self.levels(solutions), self.key))


def seeds_of(levels: Levels, key: bytes) -> IntArray:
    """A seed int64[n] for each level, the same for the same level; they are not known without the key."""
    digests = [hashlib.blake2b(level.tobytes(), digest_size=8, key=key).digest() for level in levels]
    return np.array([int.from_bytes(digest, "little") >> 1 for digest in digests], np.int64)


def simulator(config: Mapping[str, Any], rng: np.random.Generator) -> Simulator:
    """The simulator of an exam, drawn by ``rng``."""
    key = rng.bytes(32)
    measures = (config["MEASURES"][0], config["MEASURES"][1])
    grid: dict[str, Any] = {
        "measures": measures,
        "dims": tuple(config["DIMS"]),
        "ranges": tuple((float(low), float(high)) for low, high in config["RANGES"]),
        "episodes": config["EPISODES"],
    }
    if config["SIMULATOR"] == "maze":
        side = config["HEIGHT"]
        fixed = np.full(side**2, -1, np.int8)
        fixed[: config["FIXED"]] = np.arange(config["FIXED"]) % 2
        habits = tuple(habit * float(np.exp(rng.uniform(*np.log(FACTOR)))) for habit in HABITS)
        mazes = Mazes(side=side, noise=float(rng.uniform(*NOISE)), habits=(habits[0], habits[1], habits[2]), **grid)
        return MazeSimulator(mazes, rng.permutation(fixed).reshape(side, side), key)
    rotation, _ = np.linalg.qr(rng.normal(size=(config["SOLUTION_DIM"],) * 2))
    weights = dict(generator().weights)
    weights["first.weight"] = (weights["first.weight"] @ rotation).astype(np.float32)
    column = int(rng.integers(WIDTH - config["WIDTH"] + 1))
    kit = _Rotated(height=config["HEIGHT"], width=config["WIDTH"], nodes=config["NODES"], **grid)
    return PlatformerSimulator(replace(kit, maker=Generator(weights), column=column), key)
