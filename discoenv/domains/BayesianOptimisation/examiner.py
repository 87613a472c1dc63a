"""Examines optimisers: evaluates, on functions that the learner never sees, the points that it asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from discoenv.exams.examiner import Array, Examiner, Learner

from .problems import Problem, sample
from .textbook import FloatArray

#: Normalised regrets below this count as the optimum: what an optimiser is worth is not its last digits.
RESOLUTION = 1e-4
#: Repetitions of random search that the floor is the mean of.
FLOOR_REPEATS = 32
#: Side of the grid on which a two-dimensional function is saved for pictures.
_GRID = 48


class Questions(Protocol):
    """How points are asked for: of a learner, or of a reference method."""

    def start(self) -> None:
        """A new function begins."""

    def ask(self) -> FloatArray:
        """Points float64[BATCH_SIZE, d] to be evaluated next."""

    def tell(self, points: FloatArray, values: FloatArray) -> None:
        """Their values, float64[BATCH_SIZE]."""


class BayesianOptimisationExaminer(Examiner):
    """Lets a learner maximise DRAWS functions, one after another, with BUDGET evaluations of each.

    The simple regret after n evaluations is (maximum − best noise-free value so far) / (maximum − median over the box),
    cut to 0 … 1. The metrics, means over the functions:

    * ``log_regret``: 1 − log(regret) / log(RESOLUTION) after all evaluations, with the regret cut at RESOLUTION below:
      0 is the optimum to four digits, 1 no better than a typical random point, and 1/4 a factor of ten in regret.
    * ``simple_regret``: the regret itself.
    * ``regret_area``: ``log_regret`` after each evaluation, averaged: the area under the curve.
    """

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """For each function: ``start()``, then ``ask()`` and ``tell(x, y)`` in turn until the budget is spent."""
        return self.play(_Asked(learner, self.config["BATCH_SIZE"], self.config["DIMENSION"]), seed)

    def floor(self, seed: int) -> dict[str, float]:
        """Random search: points drawn uniformly from the box."""
        repeats = []
        problems = self.problems(seed)
        generator = self.generator(seed, "floor")
        for _ in range(FLOOR_REPEATS):
            curves = np.array([self._random_search(problem, generator) for problem in problems])
            repeats.append(metrics_of(curves))
        return {name: float(np.mean([repeat[name] for repeat in repeats])) for name in repeats[0]}

    def play(self, questions: Questions, seed: int) -> dict[str, float]:
        """Ask ``questions`` for points of each function, give it their values, and return the metrics."""
        curves, queries, values = [], [], []
        problems = self.problems(seed)
        noise = self.generator(seed, "noise")
        for problem in problems:
            points = self._optimise(problem, questions, noise)
            curves.append(self._curve(problem, points))
            queries.append(points)
            values.append(problem.value(points))
        self._keep(problems, np.array(curves), np.array(queries), seed)
        return metrics_of(np.array(curves))

    def problems(self, seed: int) -> list[Problem]:
        """The functions of the exam with this seed."""
        generator = self.generator(seed, "functions")
        return [sample(self.dataset, generator) for _ in range(self.config["DRAWS"])]

    def _optimise(self, problem: Problem, questions: Questions, noise: np.random.Generator) -> FloatArray:
        """The points float64[BUDGET, d] that were asked for."""
        questions.start()
        asked = []
        for _ in range(self.config["BUDGET"] // self.config["BATCH_SIZE"]):
            points = questions.ask()
            values = problem.value(points)
            questions.tell(points, values + problem.noise * noise.normal(size=len(values)))
            asked.append(points)
        return np.concatenate(asked)

    def _curve(self, problem: Problem, points: FloatArray) -> FloatArray:
        """Simple regret float64[BUDGET] after each evaluation."""
        return np.minimum.accumulate(problem.regret(problem.value(points)))

    def _random_search(self, problem: Problem, generator: np.random.Generator) -> FloatArray:
        return self._curve(problem, generator.random((self.config["BUDGET"], problem.dimension)))

    def _keep(self, problems: list[Problem], curves: FloatArray, queries: FloatArray, seed: int) -> None:
        """Curves of regret beside those of random search; the points on the first function, and that function."""
        generator = self.generator(seed, "pictures")
        self.save_artifact("regret", curves.astype(np.float32))
        self.save_artifact("random", np.array([self._random_search(each, generator) for each in problems], np.float32))
        first = problems[0]
        self.save_artifact("points", queries[0].astype(np.float32))
        if first.dimension <= 2:
            side = (np.arange(_GRID**2 if first.dimension == 1 else _GRID) + 0.5) / (
                _GRID**2 if first.dimension == 1 else _GRID
            )
            grid = np.stack(np.meshgrid(*[side] * first.dimension, indexing="ij"), axis=-1)
            regret = first.regret(first.value(grid.reshape(-1, first.dimension)))
            self.save_artifact("landscape", regret.reshape(grid.shape[:-1]).astype(np.float32))


class _Asked:
    """Questions to a learner."""

    def __init__(self, learner: Learner, batch_size: int, dimension: int) -> None:
        self._ask: Callable[[], FloatArray] = lambda: learner.ask(
            "ask", returns=Array((batch_size, dimension), low=0.0, high=1.0)
        )
        self._tell = learner.tell

    def start(self) -> None:
        self._tell("start")

    def ask(self) -> FloatArray:
        return self._ask()

    def tell(self, points: FloatArray, values: FloatArray) -> None:
        self._tell("tell", points, values)


def metrics_of(curves: FloatArray) -> dict[str, float]:
    """Metrics of curves of simple regret, float64[functions, BUDGET]."""
    scores = 1 - np.log(np.maximum(curves, RESOLUTION)) / np.log(RESOLUTION)
    return {
        "log_regret": float(scores[:, -1].mean()),
        "simple_regret": float(curves[:, -1].mean()),
        "regret_area": float(scores.mean()),
    }
