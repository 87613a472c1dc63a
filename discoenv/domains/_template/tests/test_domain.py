"""Template: its formula against plain NumPy, its examiner against answers that are known, and all checks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.exams.examiner import ProtocolError
from discoenv.exams.examiner_process import load_domain_file
from discoenv.testing import InProcessLearner, check_domain, domain_of, import_learner, make_examiner

DOMAIN = domain_of(Path(__file__).resolve().parents[1])
CANDIDATES = DOMAIN.directory / "candidates"


def r2(dataset: str, candidate: str | None = None, seed: int = 0) -> float:
    """What a learner reaches that is trained and examined in this process."""
    examiner = make_examiner(DOMAIN, dataset)
    data = examiner.training_data(seed)
    with import_learner(DOMAIN, dataset=dataset, modules=CANDIDATES / candidate if candidate else None) as code:
        model = code.model.Model()
        model.fit(code.features.features(data["x"]), data["y"], np.random.default_rng(0))
        return examiner.examine(InProcessLearner(code.main.Regressor(model)), seed)["r2"]


def test_the_model_is_the_solution_of_ridge_regression() -> None:
    rng = np.random.default_rng(0)
    phi, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    with import_learner(DOMAIN) as code:
        model = code.model.Model()
        model.fit(phi, y, rng)
        # Ridge regression is least squares with one more row per weight, which asks it to be zero.
        rows = np.vstack([phi, np.sqrt(code.model.RIDGE) * np.eye(3)])
        expected = np.linalg.lstsq(rows, np.append(y, np.zeros(3)), rcond=None)[0]
        np.testing.assert_allclose(model.predict(np.eye(3)), expected, atol=1e-9)


@pytest.mark.parametrize("dataset", DOMAIN.datasets)
def test_the_true_function_is_perfect_and_the_floor_explains_nothing(dataset: str) -> None:
    examiner = make_examiner(DOMAIN, dataset)
    truth = load_domain_file(DOMAIN.directory, "examiner").FUNCTIONS[dataset]
    assert examiner.examine(InProcessLearner(SimpleNamespace(predict=truth)), 3) == {"r2": 1.0, "mse": 0.0}
    assert -0.3 < examiner.floor(3)["r2"] <= 0.0


@pytest.mark.parametrize("answer", [lambda x: x[:-1], lambda x: np.full(len(x), np.nan), lambda x: None])
def test_answers_that_are_no_values_end_the_exam(answer: Any) -> None:
    with pytest.raises(ProtocolError, match=r"predict\(\) answered"):
        make_examiner(DOMAIN, "Line").examine(InProcessLearner(SimpleNamespace(predict=answer)), 0)


def test_exams_differ_by_their_seed_alone() -> None:
    examiner = make_examiner(DOMAIN, "Line")
    assert examiner.floor(0) == examiner.floor(0) != examiner.floor(1)


def test_candidates_are_worse_and_better_than_the_base_modules() -> None:
    scores = {
        candidate: np.mean([r2(dataset, candidate, seed) for dataset in DOMAIN.datasets for seed in range(3)])
        for candidate in ("01_constant", None, "02_polynomials")
    }
    assert list(scores.values()) == sorted(scores.values())


def test_the_domain_is_what_every_domain_must_be() -> None:
    check_domain(DOMAIN)
