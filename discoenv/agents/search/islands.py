"""The population of evolutionary search: islands of the best individuals, between which the best migrate."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from discoenv.errors import RunError
from discoenv.machine import atomic

#: Probability that a child has a second parent.
_SECOND_PARENT: Final = 0.5
_Content = TypeVar("_Content")


@dataclass
class Individual:
    """A set of modules and what is known of it.

    Attributes:
        number: counted from 0; ``parents`` holds others' numbers.
        generation, island: where it was born.
        modules: source text by file name.
        description: what is new about it.
        score: mean normalised meta-train score; None before its exams, and if it has none.
        reward: the objective's value on the meta-train datasets; individuals are compared by it, then by the score.
        feedback: scores and errors, as text of the environment.
        failures: how often the machine, not the modules, failed at its exams.
    """

    number: int
    generation: int
    island: int
    modules: dict[str, str]
    parents: list[int] = field(default_factory=list)
    description: str = ""
    score: float | None = None
    reward: float | None = None
    feedback: str = ""
    failures: int = 0
    evaluated: bool = False

    @property
    def fitness(self) -> tuple[float, float]:
        """What individuals are compared by."""
        if self.score is None or self.reward is None:
            return (-np.inf, -np.inf)
        return (self.reward, self.score)

    def save(self, folder: Path) -> None:
        """Write ``<number>.json``."""
        atomic.write_text(folder / f"{self.number:05d}.json", json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Individual:
        """Read what :meth:`save` wrote.

        Raises:
            RunError: the file has another form.
        """
        return typed(path, TypeAdapter(cls))


def typed(path: Path, adapter: TypeAdapter[_Content]) -> _Content:
    """The content of a JSON file, whose values are of the types that they should be.

    Raises:
        RunError: it has another form; the message names the first value that is wrong.
    """
    try:
        return adapter.validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise RunError(f"{path}: {'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}") from error


class Islands:
    """Archives of the ``size`` best individuals, one per island.

    Everything in them follows from the individuals and the order in which generations were added, so nothing of them
    needs to be stored.

    Args:
        count: number of islands.
        size: individuals that an island keeps.
        migration_every: generations between migrations; 0: never.
    """

    def __init__(self, count: int, size: int, migration_every: int) -> None:
        if min(count, size) < 1 or migration_every < 0:
            raise ValueError(f"islands: {count}, size: {size}, migration_every: {migration_every}; too small")
        self._size = size
        self._migration_every = migration_every
        self.members: list[list[Individual]] = [[] for _ in range(count)]

    def add_generation(self, generation: int, individuals: Iterable[Individual]) -> None:
        """Take in a generation whose exams are over, and let the best migrate if it is time.

        Individuals of generation 0 found all islands; others join the one that they were born on. Those without a
        score, and copies of present members, are left out.
        """
        for individual in individuals:
            for index in range(len(self.members)) if generation == 0 else [individual.island]:
                self._add(index, individual)
        if generation and self._migration_every and generation % self._migration_every == 0:
            best = [members[0] if members else None for members in self.members]
            for index, migrant in enumerate(best):
                if migrant is not None:
                    self._add((index + 1) % len(self.members), migrant)

    def parents(self, island: int, rng: np.random.Generator) -> list[Individual]:
        """One or two parents: better ones are drawn more often, each half as often as the next better one.

        Raises:
            LookupError: the island is empty.
        """
        members = self.members[island]
        if not members:
            raise LookupError(f"island {island} is empty: none of the base modules got a score")
        weights = 0.5 ** np.arange(len(members))
        first = int(rng.choice(len(members), p=weights / weights.sum()))
        if len(members) == 1 or rng.random() >= _SECOND_PARENT:
            return [members[first]]
        others = [index for index in range(len(members)) if index != first]
        return [members[first], members[others[int(rng.integers(len(others)))]]]

    @property
    def best(self) -> Individual | None:
        """The best individual of all islands."""
        everyone = [individual for members in self.members for individual in members]
        return max(everyone, key=lambda each: (each.fitness, -each.number), default=None)

    def _add(self, island: int, individual: Individual) -> None:
        members = self.members[island]
        if individual.score is None or any(each.modules == individual.modules for each in members):
            return
        members.append(individual)
        members.sort(key=lambda each: (each.fitness, -each.number), reverse=True)
        del members[self._size :]
