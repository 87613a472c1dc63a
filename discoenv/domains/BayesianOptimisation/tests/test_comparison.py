"""The study of BayesianOptimisation compares the baseline with random search and Sobol sequences."""

from __future__ import annotations

import numpy as np
import pytest

from discoenv.domains.BayesianOptimisation.tests.conftest import examiner

pytest.importorskip("scipy.stats")

from discoenv.domains.BayesianOptimisation.studies.comparison import SobolSearch, table


def test_the_benchmark_counts_who_is_better() -> None:
    judge = examiner("Hartmann6d")
    sobol = judge.play(SobolSearch(dict(judge.config), 0), 0)["log_regret"]
    assert sobol == pytest.approx(judge.floor(0)["log_regret"], abs=0.15)
    values = {
        "Hartmann6d": {"random": np.array([0.9, 0.8]), "sobol": np.array([0.8, 0.7]), "baseline": np.array([0.5, 0.6])},
        "Levy6d": {"random": np.array([0.9, 0.8]), "sobol": np.array([0.3, 0.2]), "baseline": np.array([0.5, 0.6])},
    }
    assert "better than both on 1 of 2" in table("small", values)
