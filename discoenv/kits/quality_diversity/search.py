"""DSAGE (Bhatt et al., 2022, algorithm 1), its ablations, and search without a surrogate, round by round.

    round 0: evaluate random solutions
    round k: train the surrogate on all evaluations; fill a fresh archive with solutions that the surrogate evaluates;
             choose some of its elites; evaluate these in the simulator, and put them into the archive of the search

until the evaluations are used up. Without a surrogate, emitters act on the archive of the search itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from .archives import Added, Array, Elites, FloatArray, GridArchive, IntArray
from .emitters import Emitter
from .problems import Evaluation, Problem, new_archive
from .selection import downsample, new_cells_first, random_sample
from .surrogate import Experience, Surrogate, SurrogateSettings

Mode = Literal["surrogate", "direct", "random"]
Selection = Literal["downsample", "all", "random", "new_cells"]
Evaluate = Callable[[Array, IntArray], Evaluation]


@dataclass(frozen=True)
class Settings:
    """All numbers of a search but those of its problem; the defaults are those of DSAGE in mazes.

    Attributes:
        evaluations: that the simulator makes in all; the last round is cut so that it makes no more.
        initial: random solutions of round 0.
        mode: ``surrogate``; ``direct``: emitters on the archive of the search (MAP-Elites, CMA-ME); ``random``: domain
            randomisation.
        selection: of the surrogate archive: ``downsample``: one elite of each coarse cell; ``all``; ``random``;
            ``new_cells``: first those that the surrogate puts where the archive of the search is empty.
        selected: with ``random`` and ``new_cells``: how many.
        inner_iterations: batches of all emitters per round that the surrogate evaluates.
        random_batch: in mode ``random``: solutions of a round.
        model: of the surrogate.
    """

    evaluations: int = 100_000
    initial: int = 100
    mode: Mode = "surrogate"
    selection: Selection = "downsample"
    selected: int = 432
    inner_iterations: int = 10_000
    random_batch: int = 150
    model: SurrogateSettings = field(default_factory=SurrogateSettings)


@dataclass(frozen=True)
class Round:
    """What a round gave.

    Attributes:
        number: of the round, from 0.
        evaluations: so far, this round's included.
        failed: evaluations of this round that came to no result.
        qd_score, coverage, size: of the archive.
        best, mean, worst: objectives in the archive.
        batch_mean: mean objective of this round's evaluations.
        lowest: objective of all evaluations so far.
        loss: of the surrogate in its last epoch; NaN without.
        errors: mean absolute errors of the surrogate on this round's solutions, before it has seen their evaluations:
            objective, measure 1, measure 2; NaN without.
    """

    number: int
    evaluations: int
    failed: int
    qd_score: float
    coverage: float
    size: int
    best: float
    mean: float
    worst: float
    batch_mean: float
    lowest: float
    loss: float
    errors: tuple[float, float, float]


class Search:
    """A search in progress.

    Randomness comes from generators that are seeded by ``seed`` and are part of :meth:`state`; each solution is
    evaluated with a seed that is drawn for it. So a search that was restored goes on as if it had not been stopped.

    Args:
        problem: what is searched.
        settings: how.
        seed: of everything random.
        evaluate: as ``problem.evaluate``, for example in many processes; None: that itself.
        device: of the surrogate.

    Attributes:
        archive: of evaluated solutions; the metadata of an elite is the number of its evaluation, from 0.
        evaluations: how many were made.
        rounds: how many were made.
        accepted: for each round, its number, objective and measures of the solutions that entered the archive.
        failures: solutions whose evaluation came to no result, and their seeds.
    """

    def __init__(
        self,
        problem: Problem,
        settings: Settings,
        seed: int,
        *,
        evaluate: Evaluate | None = None,
        device: str = "cpu",
    ) -> None:
        self.problem, self.settings = problem, settings
        self.archive = new_archive(problem)
        self.evaluations, self.rounds, self.lowest = 0, 0, float("inf")
        self.accepted: list[tuple[int, FloatArray, FloatArray]] = []
        self.failures: list[tuple[Array, int]] = []
        self._evaluate: Evaluate = problem.evaluate if evaluate is None else evaluate
        self._rng = np.random.default_rng(seed)
        self.surrogate: Surrogate | None = None
        self.experience = Experience(problem.shape)
        self.emitters: list[Emitter] = []
        if settings.mode == "surrogate":
            self.surrogate = Surrogate(problem.shape, problem.tiles, settings.model, seed + 420, device)
        elif settings.mode == "direct":
            self.emitters = self._new_emitters()

    @property
    def is_done(self) -> bool:
        """Whether all evaluations are used up."""
        return self.evaluations >= self.settings.evaluations

    def round(self) -> Round:
        """Make one round.

        Raises:
            ValueError: the search is done.
        """
        if self.is_done:
            raise ValueError(f"all {self.settings.evaluations} evaluations were made; start another search")
        loss = float("nan")
        predicted: Elites | None = None
        asked: list[Array] = []
        if self.settings.mode == "direct":
            asked = [emitter.ask(self.archive) for emitter in self.emitters]
            solutions = np.concatenate(asked)
        elif self.settings.mode == "random":
            solutions = self.problem.draw(
                self.settings.initial if not self.rounds else self.settings.random_batch, self._rng
            )
        elif not self.rounds or self.surrogate is None:
            solutions = self.problem.draw(self.settings.initial, self._rng)
        else:
            loss = self.surrogate.fit(self.experience)
            predicted = self.chosen(self.surrogate_archive(self.surrogate))
            solutions = predicted.solutions
        left = self.settings.evaluations - self.evaluations
        rows = np.arange(len(solutions))
        if len(rows) > left:  # cut without preference for a part of the grid; emitters are in order anyway
            rows = np.sort(self._rng.permutation(len(rows))[:left]) if predicted is not None else rows[:left]
        solutions = solutions[rows]
        evaluation, added = self._evaluated(solutions)
        self._tell(asked, rows, evaluation, added)
        errors = (float("nan"),) * 3 if predicted is None else _errors(predicted, rows, evaluation)
        done = self._summary(evaluation, loss, errors)
        self.rounds += 1
        return done

    def surrogate_archive(self, surrogate: Surrogate) -> GridArchive:
        """A fresh archive, filled by fresh emitters with what the surrogate predicts."""
        archive, emitters = new_archive(self.problem), self._new_emitters()
        for _ in range(self.settings.inner_iterations):
            asked = [emitter.ask(archive) for emitter in emitters]
            solutions = np.concatenate(asked)
            objectives, measures, _ = surrogate.predict(self.problem.levels(solutions))
            added = archive.add(solutions, objectives, measures, one_by_one=True)
            start = 0
            for emitter, batch in zip(emitters, asked, strict=True):
                rows = slice(start, start + len(batch))
                emitter.tell(archive, batch, Added(added.status[rows], added.value[rows]))
                start += len(batch)
        return archive

    def chosen(self, archive: GridArchive) -> Elites:
        """The elites of a surrogate archive that are evaluated."""
        selection = self.settings.selection
        if selection == "downsample":
            return downsample(archive, self.problem.coarse, self._rng)
        if selection == "random":
            return random_sample(archive, self.settings.selected, self._rng)
        if selection == "new_cells":
            return new_cells_first(archive, self.archive, self.settings.selected, self._rng)
        return archive.elites()

    def state(self) -> dict[str, Any]:
        """Arrays and plain values, in nested dictionaries, from which :meth:`restore` makes the same search."""
        lengths = [len(objectives) for _, objectives, _ in self.accepted]
        numbers = np.repeat([number for number, _, _ in self.accepted], lengths).astype(np.int64)
        return {
            "rng": self._rng.bit_generator.state,
            "evaluations": self.evaluations,
            "rounds": self.rounds,
            "lowest": self.lowest,
            "archive": self.archive.state(),
            "accepted": {
                "rounds": numbers,
                "objectives": np.concatenate([np.zeros(0), *(each for _, each, _ in self.accepted)]),
                "measures": np.concatenate([np.zeros((0, 2)), *(each for _, _, each in self.accepted)]),
            },
            "failures": {
                "solutions": np.array([x for x, _ in self.failures], self.problem.dtype),
                "seeds": np.array([seed for _, seed in self.failures], np.int64),
            },
            "experience": self.experience.state(),
            "surrogate": {} if self.surrogate is None else self.surrogate.state(),
            "emitters": {str(number): emitter.state() for number, emitter in enumerate(self.emitters)},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the search whose :meth:`state` this is; problem and settings must be those of that search."""
        self._rng.bit_generator.state = state["rng"]
        self.evaluations, self.rounds = int(state["evaluations"]), int(state["rounds"])
        self.lowest = float(state["lowest"])
        self.archive.restore(state["archive"])
        self.accepted = []
        accepted = state["accepted"]
        for number in np.unique(accepted["rounds"]):
            rows = accepted["rounds"] == number
            self.accepted.append((int(number), accepted["objectives"][rows], accepted["measures"][rows]))
        failures = state["failures"]
        self.failures = list(zip(failures["solutions"], (int(seed) for seed in failures["seeds"]), strict=True))
        self.experience.restore(state["experience"])
        if self.surrogate is not None:
            self.surrogate.restore(state["surrogate"])
        for number, emitter in enumerate(self.emitters):
            emitter.restore(state["emitters"][str(number)])

    def _new_emitters(self) -> list[Emitter]:
        seeds = self._rng.integers(2**31, size=self.problem.emitter_count)
        return self.problem.emitters([int(seed) for seed in seeds])

    def _evaluated(self, solutions: Array) -> tuple[Evaluation, Added]:
        """Simulate solutions, and put those that came to a result into the archive and the data of the surrogate."""
        seeds = self._rng.integers(2**31, size=len(solutions))
        evaluation = self._evaluate(solutions, seeds)
        numbers = self.evaluations + np.arange(len(solutions))
        good = ~evaluation.failed
        added = self.archive.add(
            solutions[good], evaluation.objectives[good], evaluation.measures[good], numbers[good], one_by_one=True
        )
        self.evaluations += len(solutions)
        entered = added.status > 0
        if entered.any():
            objectives, measures = evaluation.objectives[good][entered], evaluation.measures[good][entered]
            self.accepted.append((self.rounds, objectives, measures))
        bad = np.flatnonzero(evaluation.failed)
        self.failures += [(solutions[row], int(seeds[row])) for row in bad]
        if self.surrogate is not None:
            self.experience.add(self.problem.levels(solutions), evaluation, self.settings.model.recent)
        return evaluation, added

    def _tell(self, asked: list[Array], rows: IntArray, evaluation: Evaluation, added: Added) -> None:
        """Tell emitters what became of their solutions, but for those that failed or were no longer evaluated."""
        good = rows[~evaluation.failed]
        start = 0
        for emitter, batch in zip(self.emitters, asked, strict=True):
            its = (good >= start) & (good < start + len(batch))
            emitter.tell(self.archive, batch[good[its] - start], Added(added.status[its], added.value[its]))
            start += len(batch)

    def _summary(self, evaluation: Evaluation, loss: float, errors: tuple[float, ...]) -> Round:
        objectives = self.archive.elites().objectives
        batch = evaluation.objectives[~evaluation.failed]
        self.lowest = min(self.lowest, float(batch.min(initial=np.inf)))
        known = len(objectives) > 0
        return Round(
            number=self.rounds,
            evaluations=self.evaluations,
            failed=int(evaluation.failed.sum()),
            qd_score=self.archive.qd_score(),
            coverage=self.archive.coverage,
            size=len(self.archive),
            best=float(objectives.max()) if known else float("nan"),
            mean=float(objectives.mean()) if known else float("nan"),
            worst=float(objectives.min()) if known else float("nan"),
            batch_mean=float(batch.mean()) if len(batch) else float("nan"),
            lowest=self.lowest,
            loss=loss,
            errors=(errors[0], errors[1], errors[2]),
        )


def _errors(predicted: Elites, rows: IntArray, evaluation: Evaluation) -> tuple[float, ...]:
    good = ~evaluation.failed
    if not good.any():
        return (float("nan"),) * 3
    objective = np.abs(predicted.objectives[rows] - evaluation.objectives)[good].mean()
    measures = np.abs(predicted.measures[rows] - evaluation.measures)[good].mean(axis=0)
    return float(objective), float(measures[0]), float(measures[1])
