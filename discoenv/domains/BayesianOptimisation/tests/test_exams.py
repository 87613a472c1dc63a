"""BayesianOptimisation's baseline in whole exams: better than the floor here, and in the shipped measurements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discoenv.domains.BayesianOptimisation.tests.conftest import DOMAIN, examiner
from discoenv.scoring import baselines
from discoenv.tasks.task import Setting
from discoenv.testing import InProcessLearner

pytest.importorskip("jax")
pytest.importorskip("optax")
pytest.importorskip("scipy.stats")


def test_a_whole_exam_is_compiled_once_and_is_better_than_the_floor(code: Any) -> None:
    config = DOMAIN.config("Branin2d", "tiny")
    optimiser = code.optimiser.Optimiser(config, 0)
    optimiser.rehearse()
    learner = InProcessLearner(optimiser)
    judge = examiner("Branin2d")
    metrics = judge.examine(learner, 0)
    assert optimiser._suggest._cache_size() == 1
    batches = config["BUDGET"] // config["BATCH_SIZE"]
    assert learner.questions == config["DRAWS"] * (1 + 2 * batches)  # start(), and ask() and tell() for each batch
    assert metrics["log_regret"] < judge.floor(0)["log_regret"]
    assert set(metrics) == {DOMAIN.specification.metric.name, *DOMAIN.specification.other_metrics}


@pytest.mark.parametrize("dataset", DOMAIN.datasets)
def test_the_baseline_is_better_than_the_floor_by_five_standard_errors(dataset: str) -> None:
    entry = baselines.entry(Setting(DOMAIN, "default", dataset, "small"))
    floor, baseline = np.array(entry.floor.values), np.array(entry.baseline.values)
    error = np.std(floor - baseline, ddof=1) / np.sqrt(len(floor))
    assert np.mean(floor - baseline) > 5 * error
    assert entry.baseline.mean > 0.02, "nothing is left to improve"
