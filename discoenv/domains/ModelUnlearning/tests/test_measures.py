"""The formulas against scipy, scikit-learn and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from discoenv.domains.ModelUnlearning import measures


def longest(first: list[int], second: list[int]) -> int:
    """Length of the longest common subsequence, by trying all subsequences."""
    for size in range(min(len(first), len(second)), 0, -1):
        others = set(itertools.combinations(second, size))
        if any(each in others for each in itertools.combinations(first, size)):
            return size
    return 0


def test_rouge_l_is_that_of_all_subsequences() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        first, second = (rng.integers(4, size=rng.integers(1, 8)).tolist() for _ in range(2))
        common = longest(first, second)
        precision, recall, f1 = measures.rouge_l(first, second)
        assert precision == pytest.approx(common / len(first), abs=1e-9)
        assert recall == pytest.approx(common / len(second), abs=1e-9)
        assert f1 == pytest.approx(2 * common / (len(first) + len(second)), abs=1e-9)
    assert measures.rouge_l([], [1]) == measures.rouge_l([1], []) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("levels", [3, 10, 10**6])
def test_the_test_of_kolmogorov_and_smirnov_is_that_of_scipy(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for _ in range(40):
        n, m = rng.integers(2, 60, size=2)
        first = rng.integers(levels, size=n).astype(float)
        second = rng.integers(levels, size=m) * rng.uniform(0.5, 1.5)
        expected = stats.ks_2samp(first, second, method="exact")
        assert measures.ks_statistic(first, second) == pytest.approx(expected.statistic, abs=1e-9)
        assert measures.ks_p_value(first, second) == pytest.approx(expected.pvalue, abs=1e-9)


@pytest.mark.parametrize("levels", [2, 7, 10**6])
def test_the_area_is_that_of_scikit_learn(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for _ in range(40):
        n, m = rng.integers(1, 60, size=2)
        members, others = rng.integers(levels, size=n) + 0.3 * levels, rng.integers(levels, size=m).astype(float)
        expected = roc_auc_score([1] * n + [0] * m, np.concatenate([members, others]))
        assert measures.auc(members, others) == pytest.approx(expected, abs=1e-9)


def test_the_harmonic_mean_is_that_of_scipy_and_zero_with_a_zero() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        values = rng.uniform(1e-3, 1.0, rng.integers(1, 10)).tolist()
        assert measures.harmonic_mean(values) == pytest.approx(stats.hmean(values), abs=1e-9)
    assert measures.harmonic_mean([0.5, 0.0]) == 0.0


def test_extraction_strength_is_the_recited_end() -> None:
    for right in itertools.product([False, True], repeat=6):
        begins = [k for k in range(7) if all(right[k:])]
        assert measures.extraction_strength(np.array(right)) == pytest.approx(1 - min(begins) / 6, abs=1e-12)


def test_probability_is_the_geometric_mean_of_marked_tokens() -> None:
    chances = np.random.default_rng(0).uniform(0.01, 1.0, (5, 8))
    marked = np.zeros((5, 8), bool)
    marked[:, 2:5] = True
    found = measures.probability(-np.log(chances), marked)
    np.testing.assert_allclose(found, stats.gmean(chances[:, 2:5], axis=1), atol=1e-9)


def test_truth_ratio_and_min_k() -> None:
    right, wrong = np.array([0.5, 0.1]), np.array([[0.1, 0.3], [0.2, 0.2]])
    np.testing.assert_allclose(measures.truth_ratio(right, wrong), [0.4, 2.0], atol=1e-9)
    losses = np.array([[1.0, 5.0, 2.0, 3.0, 4.0], [1.0, 9.0, 0.0, 0.0, 0.0]])
    found = measures.min_k(losses, np.array([5, 2]), 0.4)
    np.testing.assert_allclose(found, [-4.5, -9.0], atol=1e-9)
