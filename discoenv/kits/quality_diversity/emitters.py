"""Emitters: where the next solutions come from. Each asks an archive, and adapts to what became of its solutions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from .archives import REJECTED, Added, Array, GridArchive
from .cma_es import CMAES


class Emitter(Protocol):
    """Proposes solutions in batches.

    Attributes:
        batch_size: solutions of a batch.
    """

    batch_size: int

    def ask(self, archive: GridArchive) -> Array:
        """The next solutions [batch_size, solution_dim]."""
        ...

    def tell(self, archive: GridArchive, solutions: Array, added: Added) -> None:
        """What became of the solutions of the last :meth:`ask`; those whose evaluation failed are left out."""
        ...

    def state(self) -> dict[str, Any]:
        """Arrays and plain values, nested in dictionaries, from which :meth:`restore` makes the same emitter."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the emitter whose :meth:`state` this is."""
        ...


class RandomEmitter:
    """Domain randomisation: solutions that are drawn independently.

    Args:
        draw: ``draw(n, rng)`` gives solutions [n, solution_dim].
        batch_size: solutions of a batch.
        seed: of what is drawn.
    """

    def __init__(self, draw: Any, batch_size: int, seed: int) -> None:
        self.batch_size = batch_size
        self._draw = draw
        self._rng = np.random.default_rng(seed)

    def ask(self, archive: GridArchive) -> Array:
        """As described by :class:`Emitter`."""
        solutions: Array = self._draw(self.batch_size, self._rng)
        return solutions

    def tell(self, archive: GridArchive, solutions: Array, added: Added) -> None:
        """Nothing is learned."""

    def state(self) -> dict[str, Any]:
        """As described by :class:`Emitter`."""
        return {"rng": self._rng.bit_generator.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """As described by :class:`Emitter`."""
        self._rng.bit_generator.state = state["rng"]


class IntegerMutationEmitter:
    """MAP-Elites on integers: elites of which a few places, all different, are drawn anew.

    A place may be given the value that it had, so that about ``mutations`` · (1 − 1/values) of them change.

    Args:
        solution_dim: places of a solution.
        values: a solution's entries are 0, …, values − 1.
        batch_size: solutions of a batch.
        seed: of all that is drawn.
        mutations: places that are drawn anew.
        initial: until so many were proposed, whole batches are drawn uniformly.
    """

    def __init__(
        self, solution_dim: int, values: int, batch_size: int, seed: int, *, mutations: int = 10, initial: int = 100
    ) -> None:
        if not 0 < mutations <= solution_dim:
            raise ValueError(f"mutations is {mutations}; a solution of {solution_dim} places has 1 to {solution_dim}")
        self.batch_size = batch_size
        self._dim, self._values, self._mutations, self._initial = solution_dim, values, mutations, initial
        self._rng = np.random.default_rng(seed)
        self._asked = 0

    def ask(self, archive: GridArchive) -> Array:
        """Solutions int8[batch_size, solution_dim]."""
        n = self.batch_size
        is_initial = self._asked < self._initial or not len(archive)
        self._asked += n
        if is_initial:
            return self._rng.integers(self._values, size=(n, self._dim), dtype=np.int8)
        solutions = archive.sample_solutions(n, self._rng)
        keys = self._rng.random((n, self._dim), np.float32)
        places = np.argpartition(keys, self._mutations - 1, axis=1)[:, : self._mutations]
        drawn = self._rng.integers(self._values, size=places.shape, dtype=np.int8)
        np.put_along_axis(solutions, places, drawn.astype(solutions.dtype), axis=1)
        return solutions

    def tell(self, archive: GridArchive, solutions: Array, added: Added) -> None:
        """Nothing is learned but what the archive holds."""

    def state(self) -> dict[str, Any]:
        """As described by :class:`Emitter`."""
        return {"rng": self._rng.bit_generator.state, "asked": self._asked}

    def restore(self, state: Mapping[str, Any]) -> None:
        """As described by :class:`Emitter`."""
        self._rng.bit_generator.state = state["rng"]
        self._asked = int(state["asked"])


class GaussianEmitter:
    """MAP-Elites on real numbers: elites plus normal noise.

    Args:
        solution_dim: numbers of a solution.
        sigma: standard deviation of the noise, and of the first solutions around 0.
        batch_size: solutions of a batch.
        seed: of all that is drawn.
        initial: until so many were proposed, solutions are drawn around 0.
    """

    def __init__(self, solution_dim: int, sigma: float, batch_size: int, seed: int, *, initial: int = 100) -> None:
        self.batch_size = batch_size
        self._dim, self._sigma, self._initial = solution_dim, sigma, initial
        self._rng = np.random.default_rng(seed)
        self._asked = 0

    def ask(self, archive: GridArchive) -> Array:
        """Solutions float64[batch_size, solution_dim]."""
        noise = self._sigma * self._rng.normal(size=(self.batch_size, self._dim))
        is_initial = self._asked < self._initial or not len(archive)
        self._asked += self.batch_size
        return noise if is_initial else noise + archive.sample_solutions(self.batch_size, self._rng)

    def tell(self, archive: GridArchive, solutions: Array, added: Added) -> None:
        """Nothing is learned but what the archive holds."""

    def state(self) -> dict[str, Any]:
        """As described by :class:`Emitter`."""
        return {"rng": self._rng.bit_generator.state, "asked": self._asked}

    def restore(self, state: Mapping[str, Any]) -> None:
        """As described by :class:`Emitter`."""
        self._rng.bit_generator.state = state["rng"]
        self._asked = int(state["asked"])


class ImprovementEmitter:
    """CMA-ME's improvement emitter (Fontaine et al., 2020): CMA-ES whose parents are the solutions that were added.

    They are ranked in two stages: those in new cells before those that improved their cell, and within both by their
    value (the objective; its gain). When none was added, when there is no difference between the best and the worst of
    a batch, or when the distribution has degenerated, it begins again at a random elite.

    Args:
        solution_dim: numbers of a solution.
        sigma: first step size.
        batch_size: solutions of a batch.
        seed: of all that is drawn.
    """

    def __init__(self, solution_dim: int, sigma: float, batch_size: int, seed: int) -> None:
        self.batch_size = batch_size
        self.strategy = CMAES(np.zeros(solution_dim), sigma, batch_size)
        self.restarts = 0
        self._rng = np.random.default_rng(seed)

    def ask(self, archive: GridArchive) -> Array:
        """Solutions float64[batch_size, solution_dim]."""
        return self.strategy.ask(self._rng)

    def tell(self, archive: GridArchive, solutions: Array, added: Added) -> None:
        """Move towards the solutions that were added."""
        order = np.lexsort((-added.value, -added.status))
        parents = order[added.status[order] != REJECTED]
        self.strategy.tell(solutions[parents])
        is_flat = bool(np.ptp(added.status) == 0 and np.ptp(added.value) < 1e-12) if len(order) > 1 else False
        if (not len(parents) or is_flat or self.strategy.is_degenerate()) and len(archive):
            self.strategy.reset(archive.sample_solutions(1, self._rng)[0])
            self.restarts += 1

    def state(self) -> dict[str, Any]:
        """As described by :class:`Emitter`."""
        return {
            "rng": self._rng.bit_generator.state,
            "strategy": self.strategy.state(),
            "restarts": self.restarts,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """As described by :class:`Emitter`."""
        self._rng.bit_generator.state = state["rng"]
        self.strategy.restore(state["strategy"])
        self.restarts = int(state["restarts"])
