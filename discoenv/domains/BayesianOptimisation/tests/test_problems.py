"""BayesianOptimisation's functions: their maxima, their disguises, and the random ones."""

from __future__ import annotations

import numpy as np
import pytest

from discoenv.domains.BayesianOptimisation.tests.conftest import DOMAIN
from discoenv.domains.BayesianOptimisation.textbook import TEXTBOOK

pytest.importorskip("scipy.stats")

from discoenv.domains.BayesianOptimisation import problems


@pytest.mark.parametrize("name", TEXTBOOK)
def test_a_textbook_function_has_the_maximum_of_the_book_and_no_higher_value(name: str) -> None:
    function = TEXTBOOK[name]
    np.testing.assert_allclose(function.value(function.maximisers), function.maximum, atol=1e-6)
    assert ((function.low <= function.maximisers) & (function.maximisers <= function.high)).all()
    rng = np.random.default_rng(0)
    width = function.high - function.low
    outside = 0.0 if function.bounded else 1.0
    points = function.low + width * rng.uniform(-outside, 1 + outside, (100_000, function.dimension))
    nearby = function.maximisers[0] + 1e-3 * width * rng.normal(size=(10_000, function.dimension))
    nearby = nearby.clip(function.low, function.high)
    assert function.value(np.concatenate([points, nearby])).max() <= function.maximum + 1e-6


def test_textbook_values_at_known_points() -> None:
    expected = {
        "Ackley1d": ([1.0], 20 * np.exp(-0.2) + np.e - 20 - np.e),
        "Branin2d": ([0.0, 0.0], -55.602113),
        "Bukin2d": ([-15.0, 3.0], -(100 * np.sqrt(0.75) + 0.05)),
        "Cosine8d": ([1.0] * 8, -8.8),
        "DropWave2d": ([np.pi / 6, 0.0], 2 / (np.pi**2 / 72 + 2)),
        "EggHolder2d": ([0.0, 0.0], 47 * np.sin(np.sqrt(47))),
        "Griewank5d": ([0.0, 0.0, 0.0, 0.0, 20.0], -(0.1 - np.cos(20 / np.sqrt(5)) + 1)),
        "Hartmann6d": ([0.0] * 6, 0.00508911),
        "HolderTable2d": ([np.pi / 2, 0.0], np.exp(0.5)),
        "Levy6d": ([1.0] * 5 + [5.0], -1.0),
    }
    for name, (point, value) in expected.items():
        assert TEXTBOOK[name].value(np.array([point]))[0] == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize("name", DOMAIN.datasets)
def test_the_maximum_of_a_problem_lies_in_the_box_and_is_never_exceeded(name: str) -> None:
    rng = np.random.default_rng(1)
    problem = problems.sample(name, rng)
    assert problem.dimension == DOMAIN.config(name, "small")["DIMENSION"]
    points = rng.random((10_000, problem.dimension))
    values = problem.value(points)
    scale = problem.maximum - problem.typical
    assert scale > 0
    assert values.max() <= problem.maximum + 1e-6 * scale
    # Climbing from the best of these points comes close to it, so it is not a height that no point has.
    best, height = points[np.argmax(values)], -np.inf
    for width in np.geomspace(0.3, 1e-3, 30):
        cloud = (best + width * rng.normal(size=(200, problem.dimension))).clip(0, 1)
        heights = problem.value(cloud)
        if heights.max() > height:
            best, height = cloud[np.argmax(heights)], heights.max()
    assert problem.regret(np.array([height]))[0] < 0.5


def test_disguises_differ_and_hide_place_and_height() -> None:
    function = TEXTBOOK["Branin2d"]
    sampled = [problems.disguise(function, np.random.default_rng(seed)) for seed in range(20)]
    assert len({round(problem.maximum, 6) for problem in sampled}) == 20
    book = (function.maximisers - function.low) / (function.high - function.low)
    regrets = np.array([problem.regret(problem.value(book)).min() for problem in sampled])
    assert np.median(regrets) > 0.1


def test_a_disguise_has_its_maximum_inside_the_box() -> None:
    for name in ("Ackley2d", "EggHolder2d", "HolderTable2d", "Bukin2d"):
        for seed in range(3):
            problem = problems.disguise(TEXTBOOK[name], np.random.default_rng(seed))
            side = np.linspace(0, 1, 601)
            grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
            assert problem.regret(problem.value(grid)).min() < 0.2, (name, seed)


def test_a_sample_from_a_gaussian_process_has_its_kernel() -> None:
    rng, scales = np.random.default_rng(0), np.array([0.2, 0.4])
    pair = np.array([[0.5, 0.5], [0.6, 0.45]])
    values = np.array([problems.random_features(rng, scales)(pair) for _ in range(4000)])
    r = np.linalg.norm((pair[0] - pair[1]) / scales)
    expected = (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)
    np.testing.assert_allclose(np.mean(values[:, :, None] * values[:, None, :], axis=0)[0], [1.0, expected], atol=0.07)
