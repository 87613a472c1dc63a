"""The default reward: the mean of clipped normalised scores. Costs are tested in ``test_costs.py``."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discoenv import objectives
from discoenv.errors import UnknownName
from discoenv.scoring import baselines
from discoenv.scoring.scores import Score
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting, Task
from discoenv.tasks.workspace import describe

MakeScore = Callable[[str, float], Score]


@pytest.fixture
def make_score(toy: Domain) -> MakeScore:
    entry = baselines.entry(Setting(toy, "default", "Line", "tiny"))

    def make(dataset: str, normalised: float) -> Score:
        return Score(dataset, (), (), normalised, None, entry)

    return make


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
def test_performance_is_the_mean_of_the_scores_each_clipped(
    task: Task, make_score: MakeScore, normalised: list[float], reward: float
) -> None:
    scores = [make_score(f"D{number}", value) for number, value in enumerate(normalised)]
    got = objectives.get("performance").reward(task, scores, {})
    assert got.value == pytest.approx(reward)
    assert isinstance(got.value, float)
    assert got.parts["clipped"] == {
        f"D{number}": pytest.approx(min(max(value, -1.0), 10.0)) for number, value in enumerate(normalised)
    }


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_performance_is_bounded(task: Task, make_score: MakeScore, normalised: list[float]) -> None:
    scores = [make_score(str(number), value) for number, value in enumerate(normalised)]
    assert -1 <= objectives.get("performance").reward(task, scores, {}).value <= 10


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
