"""The default reward: what exams are worth, failed ones the least. Costs are tested in ``test_costs.py``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discoenv import objectives
from discoenv.errors import UnknownName
from discoenv.scoring import baselines
from discoenv.scoring.scores import Score, Scoring
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting, Task
from discoenv.tasks.workspace import describe

MakeScore = Callable[..., Score]


def performance(task: Task, scores: list[Score]) -> objectives.Reward:
    """The reward that the objective makes of scores."""
    return objectives.compute(objectives.get("performance").reward, task, scores, {})


@pytest.fixture
def make_score(toy: Domain) -> MakeScore:
    entry = baselines.entry(Setting(toy, "default", "Line", "tiny"))

    def make(dataset: str, *normalised: float | None, transform: objectives.Transform = "ordered") -> Score:
        each, valid = tuple(value or 0.0 for value in normalised), tuple(value is not None for value in normalised)
        mean = math.fsum(each) / len(each)
        return Score(dataset, (), (), mean, None, entry, each=each, valid=valid, transform=transform)

    return make


@pytest.mark.parametrize(
    ("normalised", "worth"),
    [(-math.inf, -1.0), (-3.0, -0.75), (-1.0, -0.5), (0.0, 0.0), (0.25, 0.25), (1.0, 1.0), (math.e, 2.0)],
)
def test_an_exam_is_worth_what_its_formula_says(normalised: float, worth: float) -> None:
    assert objectives.ordered(normalised) == pytest.approx(worth)


ANY = st.floats(allow_nan=False, allow_infinity=True)


@given(ANY, ANY)
def test_outcomes_are_ordered_failed_bad_floor_baseline_better(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert objectives.FAILED < objectives.ordered(low) <= objectives.ordered(high) < math.inf
    assert (objectives.ordered(one) < 0) == (one < 0)
    assert (objectives.ordered(one) > 1) == (one > 1 + 1e-15) or one - 1 < 1e-12


def test_no_one_gains_by_failing_on_purpose(task: Task, make_score: MakeScore) -> None:
    """A module that crashes in a bad exam, and one that works badly: the former had 0, the latter −1."""

    def value(*normalised: float | None) -> float:
        return performance(task, [make_score("D", *normalised)]).value

    assert value(None) == -1.0 < value(-1e12) < value(-1.0) < value(0.0) < value(1.0) < value(5.0)
    assert value(1.0, None) < value(1.0, -1e12)


def test_one_exploding_exam_does_not_outweigh_good_ones(task: Task, make_score: MakeScore) -> None:
    """Each exam is transformed, and then seeds are averaged: not the other way round."""
    got = performance(task, [make_score("D", 1.0, 1.0, -1e9)])
    assert got.value == pytest.approx((1 + 1 - 1) / 3)


@pytest.mark.parametrize(
    ("normalised", "reward"),
    [
        ([0.0], 0.0),
        ([1.0, 2.0], 1.5),
        ([-50.0], -1.0),
        ([1e12], 10.0),
        ([-50.0, 1e12, 0.0], 3.0),
    ],
)
def test_linear_performance_is_the_mean_of_the_scores_each_clipped(
    task: Task, make_score: MakeScore, normalised: list[float], reward: float
) -> None:
    scores = [make_score(f"D{number}", value, transform="linear") for number, value in enumerate(normalised)]
    got = performance(task, scores)
    assert got.value == pytest.approx(reward)
    assert isinstance(got.value, float)
    assert got.parts["transform"] == "linear"
    assert got.parts["outcomes"] == {
        f"D{number}": pytest.approx(min(max(value, -1.0), 10.0)) for number, value in enumerate(normalised)
    }


def test_the_reward_names_its_transform_outcomes_and_the_share_of_valid_exams(
    task: Task, make_score: MakeScore
) -> None:
    got = performance(task, [make_score("A", 0.5, None), make_score("B", -1.0)])
    assert got.value == pytest.approx((-0.25 - 0.5) / 2)
    assert got.parts == {
        "objective": "performance",
        "transform": "ordered",
        "outcomes": {"A": -0.25, "B": -0.5},
        "valid": {"A": 0.5, "B": 1.0},
    }


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_performance_is_bounded(task: Task, make_score: MakeScore, normalised: list[float]) -> None:
    scores = [make_score(str(number), value, transform="linear") for number, value in enumerate(normalised)]
    assert -1 <= performance(task, scores).value <= 10
    scores = [make_score(str(number), value) for number, value in enumerate(normalised)]
    assert -1 < performance(task, scores).value < 1 + math.log(1e300) + 1e-9


def test_what_an_agent_that_fails_counts_as_is_the_lowest_reward() -> None:
    assert {name: objectives.get(name).failure for name in ("performance", "time", "golf")} == {
        "performance": -1.0,
        "time": 0.0,
        "golf": 0.0,
    }


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"transform": "log"}, "transform is 'log'; it must be one of ordered, linear"),
        ({"reference": "base"}, "reference is 'base'; it must be one of shipped, paired"),
    ],
)
def test_a_way_to_score_that_does_not_exist_is_refused(arguments: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Scoring(**arguments)


def test_names_are_known_and_misspellings_corrected() -> None:
    assert {"performance", "time", "energy", "memory", "golf"} <= set(objectives.names())
    with pytest.raises(UnknownName, match="no objective is called 'preformance'; did you mean 'performance'"):
        objectives.get("preformance")


def test_every_objective_says_in_a_line_what_it_rewards() -> None:
    for name in objectives.names():
        line = objectives.get(name).description
        assert line.endswith(".")
        assert "\n" not in line
    assert objectives.get("golf").description.startswith("Size of all editable modules, beside")


def test_the_agent_reads_the_cost_of_an_objective_registered_by_a_user(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objectives, "_REGISTRY", dict(objectives._REGISTRY))
    register = objectives.register("questions", description="Few questions.", cost="questions that the examiner asks")
    register(objectives.performance)
    assert objectives.get("questions").description == "Few questions."

    def told(objective: str) -> str:
        side = task.model_copy(update={"objective": objective, "baseline_scale": 0.5}).side("meta_train")
        return describe(side).partition(f"Objective: `{objective}`")[2].partition(". Scale:")[0]

    costs = {"questions": "questions that the examiner asks", "time": "seconds of training and answering"}
    for name, cost in costs.items():
        assert told(name) == (
            f" — the fewer the {cost}, the better, compared with the baseline's; but nothing counts unless the "
            "normalised score of every dataset reaches 0.5"
        )
    assert told("performance") == ""
    assert told("registered in another process") == ""
