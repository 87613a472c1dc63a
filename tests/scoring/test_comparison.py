"""Comparisons of two runs say what they promise: coverage, false alarms, and what races save, in simulations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from discoenv.scoring import comparison
from discoenv.scoring.comparison import Worths, compare, outlook, race

SIMULATIONS = 2000


def worths(values: Any) -> dict[str, dict[int, float]]:
    """What exams are worth, from float64[datasets, seeds]."""
    return {f"D{number}": dict(enumerate(map(float, row))) for number, row in enumerate(values)}


def pairs(rng: np.random.Generator, datasets: int, seeds: int, effect: float = 0.0) -> tuple[Any, Any]:
    """Two runs, float64[datasets, seeds] each: what a seed does to both is larger than what it does to one of them.

    The spread of datasets differs, and the first run is better by ``effect`` standard deviations of a difference.
    """
    scale = np.linspace(1.0, 2.0, datasets)[:, None]
    both = rng.normal(0, 3, (datasets, seeds))
    own = rng.normal(0, 1 / math.sqrt(2), (2, datasets, seeds))
    return both + scale * (own[0] + effect), both + scale * own[1]


@pytest.mark.parametrize(("datasets", "seeds"), [(1, 3), (1, 8), (2, 3), (3, 5), (4, 3)])
def test_intervals_cover_and_no_more_than_one_in_twenty_equals_is_called_better(datasets: int, seeds: int) -> None:
    rng = np.random.default_rng(datasets * 10 + seeds)
    found = [compare(*map(worths, pairs(rng, datasets, seeds))) for _ in range(SIMULATIONS)]
    covered = sum(each.low is not None and each.high is not None and each.low <= 0 <= each.high for each in found)
    better = sum(each.verdict == "better" for each in found)
    assert covered / SIMULATIONS >= 0.93
    assert better / SIMULATIONS <= 0.05
    probabilities = np.array([each.probability for each in found])
    assert np.mean(probabilities < 0.5) == pytest.approx(0.5, abs=0.05)


@pytest.fixture(scope="module")
def races() -> dict[str, np.ndarray[Any, Any]]:
    """Races of 8 seeds beside the comparison with all of them: verdicts (1: better), effects, seeds; float64[races]."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(SIMULATIONS):
        effect = 0.0 if number % 2 else 2 * float(rng.standard_normal())
        one, other = pairs(rng, 1, 8, effect)

        def examine(seeds: int, one: Any = one, other: Any = other) -> tuple[Worths, Worths]:
            return worths(one[:, :seeds]), worths(other[:, :seeds])

        ended = race(examine, most=8)
        whole = compare(worths(one), worths(other))
        signs = {"better": 1, "worse": -1}
        verdicts = [signs.get(each, 0) for each in (ended.comparison.verdict, whole.verdict)]
        rows.append((effect, ended.seeds, verdicts[0] if ended.ended == "decided" else 0, verdicts[1]))
    effects, seeds, raced, whole_ = np.array(rows).T
    return {"effects": effects, "seeds": seeds, "raced": raced, "whole": whole_}


def test_races_save_a_third_of_the_exams(races: dict[str, np.ndarray[Any, Any]]) -> None:
    assert races["seeds"].mean() <= 0.7 * 8
    assert set(races["seeds"]) <= set(range(2, 9))


def test_races_err_hardly_more_often_than_all_exams_would(races: dict[str, np.ndarray[Any, Any]]) -> None:
    equal, differs = races["effects"] == 0, races["effects"] != 0
    assert np.mean(races["raced"][equal] == 1) <= 0.05
    wrong = {how: np.mean(np.sign(races["effects"]) * races[how] == -1) for how in ("raced", "whole")}
    assert wrong["raced"] <= wrong["whole"] + 0.005
    found = {how: np.mean(races[how][differs] != 0) for how in ("raced", "whole")}
    assert found["raced"] >= found["whole"] - 0.02


def test_what_the_seed_does_to_both_runs_falls_out() -> None:
    one = {"Line": {0: 5.0, 1: -3.0, 2: 0.5}}
    other = {"Line": {0: 4.9, 1: -3.1, 2: 0.4}}
    found = compare(one, other)
    assert found.difference == pytest.approx(0.1)
    assert (found.verdict, found.exams, found.datasets, found.method) == ("better", 3, ("Line",), "t")
    assert compare(other, one).verdict == "worse"


def test_runs_are_compared_in_the_exams_that_both_have_had() -> None:
    one = {"A": {0: 1.0, 1: 2.0, 2: 99.0}, "B": {0: 3.0}, "C": {0: 99.0}}
    other = {"A": {0: 0.5, 1: 1.0}, "B": {0: 1.0, 7: -99.0}}
    found = compare(one, other)
    assert (found.exams, found.datasets) == (3, ("A", "B"))
    assert found.difference == pytest.approx((0.75 + 2.0) / 2)
    nothing = compare({"A": {0: 1.0}}, {"A": {1: 1.0}, "B": {0: 1.0}})
    assert (nothing.exams, nothing.low, nothing.probability, nothing.verdict) == (0, None, None, "unknown")


def test_one_seed_is_judged_by_the_spread_of_the_baseline_if_it_is_known() -> None:
    one, other = {"A": {0: 1.0}, "B": {0: 1.0}}, {"A": {0: 0.9}, "B": {0: 0.9}}
    assert compare(one, other).verdict == "unknown"
    assert compare(one, other, spreads={"A": 0.1}).verdict == "unknown"
    wide, narrow = (compare(one, other, spreads=dict.fromkeys("AB", spread)) for spread in (0.1, 0.01))
    assert (wide.verdict, narrow.verdict) == ("alike", "better")
    assert wide.method == "spread"
    assert wide.high is not None
    assert wide.high - wide.difference == pytest.approx(1.96 * 0.1 * math.sqrt(2) / math.sqrt(2), rel=1e-3)


def test_runs_that_are_the_same_are_neither_better_nor_worse() -> None:
    one = {"A": {0: 1.0, 1: 0.3}}
    found = compare(one, one)
    assert (found.difference, found.low, found.high, found.probability, found.verdict) == (0, 0, 0, 0.5, "alike")
    shifted = {"A": {0: 1.5, 1: 0.8}}
    assert (compare(shifted, one).probability, compare(one, shifted).verdict) == (1.0, "worse")


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=2, max_size=8))
@example([(0.0, 0.0), (0.0, 8e-132)])
def test_an_interval_holds_the_difference_and_turns_with_the_order(values: list[tuple[float, float]]) -> None:
    one, other = (worths([[pair[index] for pair in values]]) for index in (0, 1))
    found, turned = compare(one, other), compare(other, one)
    assert found.low is not None and found.high is not None and turned.low is not None
    assert found.low <= found.difference <= found.high
    assert turned.low == pytest.approx(-found.high, abs=1e-9)
    assert found.probability is not None and turned.probability is not None
    assert found.probability + turned.probability == pytest.approx(1)


def test_a_race_asks_for_one_seed_more_at_a_time_and_ends_when_it_is_decided() -> None:
    asked = []

    def examine(seeds: int) -> tuple[Worths, Worths]:
        asked.append(seeds)
        return worths([[1.0 + 0.01 * k for k in range(seeds)]]), worths([[0.2 * (k % 2) for k in range(seeds)]])

    ended = race(examine, most=8)
    assert (ended.ended, ended.seeds, ended.comparison.confidence) == ("decided", 3, comparison.INTERIM_CONFIDENCE)
    assert asked == [1, 2, 3]
    asked.clear()
    assert race(examine, most=2, first=2).comparison.confidence == comparison.CONFIDENCE
    assert asked == [2]
    assert race(examine, most=8, go_on=lambda: False).ended == "stopped"
    with pytest.raises(ValueError, match="at least 1 seed; most is 0"):
        race(examine, most=0)


def test_a_race_that_cannot_be_decided_any_more_ends() -> None:
    same = worths([[1.0, 2.0, 3.0]])
    assert race(lambda seeds: (same, same), most=8, first=3).ended == "hopeless"
    assert outlook(same, same, seeds=3, most=8) == 0
    assert outlook({"A": {0: 1.0}}, {"A": {0: 0.0}}, seeds=1, most=8) == 1
    near = outlook(worths([[1.0, 1.1, 0.9]]), worths([[0.0, 0.0, 0.0]]), seeds=3, most=8)
    far = outlook(worths([[0.1, 1.1, -0.9]]), worths([[0.0, 0.0, 0.0]]), seeds=3, most=8)
    assert far < 0.3
    assert near > 0.95
