"""BayesianOptimisation's examiner: metrics, seeds, noise, answers that it refuses, and pictures of what it saved."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.domains.BayesianOptimisation import pictures
from discoenv.domains.BayesianOptimisation.tests.conftest import Fixed, examiner
from discoenv.domains.BayesianOptimisation.textbook import TEXTBOOK
from discoenv.examiners.plotting import ExamArtifacts
from discoenv.exams.examiner import ProtocolError
from discoenv.testing import InProcessLearner

pytest.importorskip("scipy.stats")

from discoenv.domains.BayesianOptimisation.examiner import RESOLUTION, metrics_of


def test_metrics_of_a_curve() -> None:
    curves = np.array([[1.0, 0.1, 0.1], [1.0, 1.0, 0.0]])
    metrics = metrics_of(curves)
    assert metrics["log_regret"] == pytest.approx((0.75 + 0.0) / 2)
    assert metrics["simple_regret"] == pytest.approx(0.05)
    assert metrics["regret_area"] == pytest.approx((1 + 0.75 + 0.75 + 1 + 1 + 0) / 6)
    assert metrics_of(np.array([[RESOLUTION / 10]]))["log_regret"] == 0.0


def test_who_knows_the_maximum_has_no_regret_and_a_constant_has_much() -> None:
    judge = examiner("Ackley2d")

    class Clairvoyant(Fixed):
        def __init__(self) -> None:
            super().__init__(np.zeros((1, 2)), 1)
            self._problems = iter(judge.problems(0))

        def start(self) -> None:
            super().start()
            problem, rng = next(self._problems), np.random.default_rng(0)
            best = rng.random(2)
            for width in np.geomspace(0.5, 1e-7, 200):
                cloud = np.concatenate([best[None], (best + width * rng.normal(size=(200, 2))).clip(0, 1)])
                best = cloud[np.argmax(problem.value(cloud))]
            self._points = best[None]

    assert judge.examine(InProcessLearner(Clairvoyant()), 0)["log_regret"] < 0.05
    assert judge.examine(InProcessLearner(Fixed(np.zeros((1, 2)), 1)), 0)["log_regret"] > judge.floor(0)["log_regret"]


def test_an_exam_is_fixed_by_its_seed() -> None:
    judge = examiner("NoisyGaussianProcess2d", DRAWS=1)
    told: list[Any] = []

    class Listening(Fixed):
        def tell(self, points: Any, values: Any) -> None:
            told.append(values)

    learner = InProcessLearner(Listening(np.random.default_rng(0).random((12, 2)), 1))
    assert judge.examine(learner, 0) == judge.examine(learner, 0) != judge.examine(learner, 1)
    first, again, _ = np.array(told).reshape(3, -1)
    np.testing.assert_array_equal(first, again)
    assert judge.floor(0) == judge.floor(0) != judge.floor(1)


def test_noise_is_told_but_does_not_count() -> None:
    judge = examiner("NoisyGaussianProcess2d", DRAWS=1, BUDGET=200)
    (problem,) = judge.problems(0)
    told: list[float] = []

    class Listening(Fixed):
        def tell(self, points: Any, values: Any) -> None:
            told.extend(values)

    metrics = judge.examine(InProcessLearner(Listening(np.full((1, 2), 0.5), 1)), 0)
    value = problem.value(np.full((1, 2), 0.5))
    assert np.std(told) == pytest.approx(problem.noise, rel=0.2)
    assert np.mean(told) == pytest.approx(value[0], abs=5 * problem.noise / np.sqrt(200))
    assert metrics["simple_regret"] == pytest.approx(problem.regret(value)[0])


@pytest.mark.parametrize(
    "answer", [np.full((1, 2), 1.01), np.full((1, 2), -0.1), np.zeros((2, 2)), np.full((1, 2), np.nan)]
)
def test_answers_that_are_not_points_of_the_box_end_the_exam(answer: Any) -> None:
    model = SimpleNamespace(start=lambda: None, ask=lambda: answer, tell=lambda x, y: None)
    with pytest.raises(ProtocolError, match="ask"):
        examiner("Branin2d").examine(InProcessLearner(model), 0)


@pytest.mark.parametrize("name", TEXTBOOK)
def test_asking_for_the_optimum_of_the_textbook_is_no_better_than_random_search(name: str) -> None:
    """All maximisers of the book, and the midpoint, exactly and slightly moved: as many points as are allowed."""
    function = TEXTBOOK[name]
    judge = examiner(name, "small")
    book = np.vstack(
        [(function.maximisers - function.low) / (function.high - function.low), np.full(len(function.low), 0.5)]
    )
    rng = np.random.default_rng(0)
    moved = book[rng.integers(len(book), size=judge.config["BUDGET"])]
    points = (moved + 0.02 * rng.normal(size=moved.shape)).clip(0, 1)
    points[: len(book)] = book
    learner = InProcessLearner(Fixed(points, judge.config["BATCH_SIZE"]))
    gains = np.array(
        [judge.floor(seed)["log_regret"] - judge.examine(learner, seed)["log_regret"] for seed in range(5)]
    )
    assert gains.mean() < 2 * gains.std(ddof=1) / np.sqrt(len(gains))


@pytest.mark.parametrize("dataset", ["Ackley1d", "Branin2d", "Hartmann6d"])
def test_pictures_are_plotted_from_what_the_examiner_saved(dataset: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    judge = examiner(dataset)
    rng = np.random.default_rng(0)
    exams = []
    for step in (1, 2):
        points = rng.random((judge.config["BUDGET"], judge.config["DIMENSION"]))
        judge.examine(InProcessLearner(Fixed(points, judge.config["BATCH_SIZE"])), 5)
        path = tmp_path / f"{step}.npz"
        np.savez(path, **judge.artifacts)  # type: ignore[arg-type]
        exams.append(ExamArtifacts(step, "meta_train", dataset, 5, path))
        assert sum(array.nbytes for array in judge.artifacts.values()) < 100_000
    plotted = pictures.plot(exams, tmp_path)
    assert [path.name for path in plotted] == [f"regret_{dataset}.png", f"queries_{dataset}.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in plotted)
