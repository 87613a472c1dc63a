"""Metrics against scikit-learn and plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discoenv.domains.BrainSpeechDetection.metrics import auroc, best_macro_f1, calibration_error, macro_f1, metrics

sklearn_metrics: Any = pytest.importorskip("sklearn.metrics")


def drawn(seed: int, count: int = 300) -> tuple[Any, Any]:
    """Probabilities, some of them equal, and labels."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(count) < 0.7).astype(np.int64)
    return np.round((0.3 * labels + generator.random(count)) / 1.3, 2), labels


@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_scikit_learn(seed: int) -> None:
    found, labels = drawn(seed)
    for threshold in (0.0, 0.33, 0.5, 1.0):
        said = (found >= threshold).astype(int)
        values = metrics(found, labels, threshold)
        assert values["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(labels, said, average="macro"))
        assert values["balanced_accuracy"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(labels, said))
        assert values["auroc"] == pytest.approx(sklearn_metrics.roc_auc_score(labels, found))


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better_than_the_best_one(seed: int, code: Any) -> None:
    found, labels = drawn(seed, 60)
    tried = [macro_f1(found, labels, threshold) for threshold in [*np.unique(found), 1.1]]
    assert best_macro_f1(found, labels) == pytest.approx(max(tried))
    threshold, score = code.main.best_threshold(found, labels)
    assert score == pytest.approx(max(tried[:-1]))
    assert macro_f1(found, labels, threshold) == pytest.approx(score)
    assert 0.0 <= threshold <= 1.0


def test_calibration_is_the_mean_gap_of_ten_bins() -> None:
    found, labels = drawn(1)
    expected = 0.0
    for low in range(10):
        rows = (found >= low / 10) & ((found < (low + 1) / 10) | (low == 9))
        if rows.any():
            expected += rows.mean() * abs(found[rows].mean() - labels[rows].mean())
    assert calibration_error(found, labels) == pytest.approx(expected, abs=0.01)
    assert calibration_error(labels.astype(float), labels) == 0.0


def test_extremes() -> None:
    labels = np.array([1, 1, 1, 0])
    assert metrics(labels.astype(float), labels, 0.5) == {
        "macro_f1": 1.0,
        "balanced_accuracy": 1.0,
        "auroc": 1.0,
        "best_macro_f1": 1.0,
        "calibration_error": 0.0,
    }
    always = metrics(np.ones(4), labels, 0.5)
    assert always["macro_f1"] == pytest.approx(0.5 * 6 / 7)
    assert always["balanced_accuracy"] == 0.5
    assert auroc(np.ones(4), labels) == 0.5
    assert auroc(np.ones(3), np.ones(3, np.int64)) == 0.5
