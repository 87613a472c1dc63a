"""Evidence within an episode: more seeds, races, comparisons, the history, and runs that repeat earlier ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from discoenv.env import DiscoGenEnv
from discoenv.episodes.action import parse_action
from discoenv.episodes.episode import FREE_PER_ACTION
from discoenv.episodes.record import EpisodeRecord, RunRecord, best_run
from discoenv.errors import ActionError
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules
from discoenv.viewer.episode import EpisodeView
from tests.conftest import MakeSession, each_exam

MakeEnv = Callable[..., DiscoGenEnv]


@pytest.fixture
def make_env(sandbox: Sandbox, task: Task, tmp_path: Path) -> Iterator[MakeEnv]:
    """Environments of the toy task that start from the base modules, closed after the test."""
    made: list[DiscoGenEnv] = []

    def make(**arguments: Any) -> DiscoGenEnv:
        start = task.model_copy(update={"start": "base"})
        defaults: dict[str, Any] = {"task": start, "sandbox": sandbox, "runs_dir": tmp_path / "runs"}
        made.append(DiscoGenEnv(**{**defaults, "limits": {"budget_scale": 20.0}, **arguments}))
        made[-1].reset(seed=0)
        return made[-1]

    yield make
    for env in made:
        env.close()


def writing(files: dict[str, str], **others: Any) -> dict[str, Any]:
    """A run of these files."""
    return {"edits": [{"path": name, "content": text} for name, text in files.items()], "command": "run", **others}


def test_a_run_may_have_more_seeds_and_the_first_ones_stay_the_same(make_env: MakeEnv, good: dict[str, str]) -> None:
    env = make_env()
    one = env.step("run")[4]["meta_train"]["Line"]
    more = env.step({"command": "run", "seeds": 3})[4]
    several = more["meta_train"]["Line"]
    assert (each_exam(one, "number"), each_exam(several, "number")) == ([0], [0, 1, 2])
    assert each_exam(several, "metric")[0] == each_exam(one, "metric")[0]
    assert len(set(each_exam(several, "metric"))) == 3
    assert several["standard_error"] > 0
    assert "same_as" not in more
    fewer = env.step(writing(good, seeds=1))[4]["meta_train"]["Line"]
    assert each_exam(fewer, "number") == [0]


@pytest.mark.parametrize(
    ("action", "problem"),
    [
        ({"command": "run", "seeds": 9}, "seeds is 9; a run may have at most 8 exams per dataset"),
        ({"command": "run", "race": True}, "there is no earlier run to race against"),
        ({"command": "compare"}, "two runs are needed to compare; there were 0 so far"),
        ({"command": "run", "seeds": 0}, "seeds is 0; expected a number of exams per dataset, 1 or more"),
        ({"command": "run", "seeds": True}, "seeds is True; expected"),
        ({"command": "submit", "seeds": 2}, "seeds are chosen for run only; submit takes none"),
        ({"command": "edit", "race": True}, "only a run can be a race, not edit"),
        ({"command": "run", "race": 1}, "race is 1; expected true or false"),
        ({"command": "run", "runs": [1, 2]}, "runs are chosen for compare only; run takes none"),
        ({"command": "compare", "runs": [1]}, r"runs is \[1\]; expected the numbers of two runs"),
        ({"command": "compare", "runs": "12"}, "runs is '12'; expected the numbers of two runs"),
        ({"command": "history", "edits": [{"path": "model.py", "content": ""}]}, "history takes no edits"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(make_env: MakeEnv, action: Any, problem: str) -> None:
    env = make_env()
    observation, _, _, _, info = env.step(action)
    assert int(observation["steps_left"]) == 9
    assert re.search(problem, info["refused"])


def test_an_action_is_read_back_from_its_record() -> None:
    for action in (
        {"edits": [], "command": "run", "datasets": ["A"], "seeds": 4, "race": True},
        {"edits": [], "command": "compare", "runs": [2, 1]},
        {"edits": [], "command": "history"},
    ):
        parsed = parse_action(action)
        assert parsed.record() == action
        assert parse_action(parsed) == parsed
    with pytest.raises(ActionError, match="known are edits, command, datasets, seeds, race and runs"):
        parse_action({"seed": 3})


def test_a_run_of_the_same_files_says_so_and_costs_no_action(make_env: MakeEnv, good: dict[str, str]) -> None:
    env = make_env()
    first = env.step("run")
    other = env.step(writing(good))
    again = env.step(writing(base_modules(env.task)))
    assert [int(each[0]["steps_left"]) for each in (first, other, again)] == [9, 8, 8]
    assert again[4]["same_as"] == 1
    assert again[4]["compute_spent_s"] == other[4]["compute_spent_s"]
    assert again[4]["meta_train"] == first[4]["meta_train"]
    assert "Same as run 1: these files have been run before. Nothing was trained, and no action was spent." in str(
        again[0]["text"]
    )
    env.step("submit")
    recorded = EpisodeRecord.load(str(env.run_directory))
    assert [run.same_as for run in recorded.runs] == [None, None, 1]
    assert recorded.modules() == base_modules(env.task)
    assert recorded.best_run is not None
    assert recorded.best_run.number == 2


def test_an_episode_ends_even_if_an_agent_does_nothing_but_repeat_itself(make_env: MakeEnv) -> None:
    env = make_env(max_steps=2)
    for count in range(1, 20):  # noqa: B007 - counts the actions
        _, _, _, truncated, info = env.step("run")
        if truncated:
            break
    assert count == 2 + 2 * FREE_PER_ACTION
    assert "meta_test" in info


def test_a_run_is_compared_with_the_best_before_it_in_the_exams_of_both(
    make_env: MakeEnv, good: dict[str, str]
) -> None:
    env = make_env()
    env.step({"command": "run", "seeds": 3})
    observation, _, _, _, info = env.step(writing(good, seeds=5))
    found = info["comparison"]
    assert (found["runs"], found["exams"], found["datasets"], found["method"]) == ([2, 1], 3, ["Line"], "t")
    assert found["low"] <= found["difference"] <= found["high"]
    assert "Run 2 against run 1, the best before it, in the 3 exams that both have had" in observation["text"]
    observation = env.step({"command": "compare", "runs": [1, 2]})[0]
    assert f"difference {-found['difference']:+.3f}" in observation["text"]
    turned = env.step("compare")[4]["comparison"]
    assert (turned["runs"], turned["difference"]) == ([2, 1], found["difference"])
    assert int(observation["steps_left"]) == 8


def test_a_difference_that_is_noise_is_called_so(make_env: MakeEnv) -> None:
    env = make_env()
    env.step({"command": "run", "seeds": 3})
    same = {name: text + "\n# the same\n" for name, text in base_modules(env.task).items()}
    observation = env.step(writing(same, seeds=3))[0]
    assert "difference +0.000" in observation["text"]
    assert "the difference is within noise" in observation["text"]


def test_the_history_lists_all_runs_and_costs_nothing(make_env: MakeEnv, good: dict[str, str]) -> None:
    env = make_env()
    assert env.step("history")[0]["text"] == "There was no run yet.\n"
    env.step({"command": "run", "seeds": 2})
    env.step(writing(good, seeds=3))
    env.step("run")
    observation = env.step("history")[0]
    rows = [line for line in observation["text"].splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[0] for row in rows] == ["| 1", "| 2", "| 3"]
    assert "best" in rows[1]
    assert "same as run 2" in rows[2]
    assert int(observation["steps_left"]) == 8
    view = EpisodeView(Path(str(env.run_directory)))
    view.update()
    history = view.overview()["history"]
    assert [(run["run"], run["exams"], run["same_as"], run["is_best"]) for run in history] == [
        (1, 2, None, False),
        (2, 3, None, True),
        (3, 1, 2, False),
    ]
    assert history[0]["difference"]["exams"] == 2


def test_a_race_ends_when_it_is_decided(make_env: MakeEnv, good: dict[str, str]) -> None:
    env = make_env()
    env.step(writing(good))
    broken = good | {
        "model.py": good["model.py"].replace("return phi @ self.weights", "return 0 * (phi @ self.weights)")
    }
    assert broken != good
    observation, _, _, _, info = env.step(writing(broken, seeds=8, race=True))
    found = info["comparison"]
    assert (found["ended"], found["verdict"], found["runs"]) == ("decided", "worse", [2, 1])
    assert 2 <= found["seeds"] < 8
    assert len(info["meta_train"]["Line"]["exams"]) == found["seeds"]
    assert "The race was decided after" in observation["text"]
    assert observation["files"] == broken
    assert int(observation["steps_left"]) == 8


def run(number: int, exams: dict[str, dict[int, float]], *, full: bool = True) -> RunRecord:
    """A run whose reward is what its exams are worth."""
    mean = sum(sum(each.values()) / len(each) for each in exams.values()) / len(exams)
    return RunRecord(number, number, mean, mean, tuple(exams), full, exams)


def test_the_best_run_is_found_in_the_exams_that_runs_have_in_common() -> None:
    lucky, solid = run(1, {"A": {0: 1.0}}), run(2, {"A": {0: 1.1, 1: 0.2, 2: 0.3}})
    assert solid.score < lucky.score
    assert best_run([lucky, solid]) is solid
    assert best_run([solid, lucky]) is solid
    partial = run(3, {"A": {0: 9.0}}, full=False)
    assert best_run([lucky, partial]) is lucky
    assert best_run([run(1, {"A": {0: 1.0}}), run(2, {"A": {0: 1.0}})]) is not None
    equal = [run(1, {"A": {0: 1.0}}), run(2, {"A": {0: 1.0, 1: 5.0}})]
    assert best_run(equal) is equal[0]


def test_where_costs_decide_rewards_are_compared_and_not_exams() -> None:
    cheap = RunRecord(1, 1, 1.0, 3.0, ("A",), True, {"A": {0: 1.0}})
    dear = RunRecord(2, 2, 1.2, 2.0, ("A",), True, {"A": {0: 1.2, 1: 1.2}})
    assert best_run([cheap, dear]) is cheap


def test_tools_run_more_seeds_and_compare_without_a_step(make_session: MakeSession, good: dict[str, str]) -> None:
    session = make_session()
    assert "two runs are needed" in session.call("compare").text
    session.write(base_modules(session.env.unwrapped.task))  # type: ignore[attr-defined]
    session.run(seeds=3)
    session.write(good)
    session.run(seeds=3)
    before = session.steps_left
    text = session.call("compare", {"first": 2, "second": 1}).text
    assert text.startswith("Run 2 against run 1, in the 3 exams that both have had: difference +")
    assert session.call("compare").text == text
    assert "| 1 | 1 | Line | 3 |" in session.call("history").text
    assert "there is no run 5" in session.call("compare", {"first": 5}).text
    assert "Same as run 2" in session.run().text
    assert session.steps_left == before
    assert [each.number for each in session.runs] == [1, 2, 3]
    assert session.best is not None
    assert session.best.number == 2
