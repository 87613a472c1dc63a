"""Episodes on the toy domain, in a real sandbox: what a user of Gymnasium, and an agent that cheats, can rely on."""

from __future__ import annotations

import gc
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import psutil
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discoenv import objectives, registration
from discoenv.env import DiscoGenEnv
from discoenv.episodes.action import Action, Edit
from discoenv.episodes.evaluation import Evaluation
from discoenv.episodes.record import EpisodeRecord
from discoenv.errors import NoBaseline, RewardFailed, TaskError, UnknownName
from discoenv.exams.host import Host
from discoenv.exams.spec import Progress
from discoenv.machine import speed
from discoenv.sandbox.base import Sandbox
from discoenv.scoring import baselines, budgets, calibration
from discoenv.scoring.scores import Score
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting, Task
from discoenv.tasks.workspace import base_modules
from tests.conftest import POLYNOMIAL_FEATURES, TOY, FailingSandbox, MakeVariant, each_exam
from tests.tasks.test_workspace import fingerprint

MakeEnv = Callable[..., DiscoGenEnv]
BASE_MODEL = (TOY / "Toy" / "templates" / "default" / "model.py").read_text()
GOOD = {"edits": [{"path": "model.py", "content": BASE_MODEL}, {"path": "features.py", "content": POLYNOMIAL_FEATURES}]}


@pytest.fixture
def make_env(sandbox: Sandbox, task: Task, tmp_path: Path) -> Iterator[MakeEnv]:
    """Environments of the toy task, closed after the test."""
    made: list[DiscoGenEnv] = []

    def make(**arguments: Any) -> DiscoGenEnv:
        defaults: dict[str, Any] = {"task": task, "sandbox": sandbox, "runs_dir": tmp_path / "runs"}
        made.append(DiscoGenEnv(**(defaults | arguments)))
        return made[-1]

    yield make
    for env in made:
        env.close()


def leftovers() -> list[str]:
    return [str(path) for path in Path(tempfile.gettempdir()).glob(f"discoenv-*-{os.getpid()}-*")]


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


# ---- the course of an episode


def test_reset_describes_the_task(make_env: MakeEnv, task: Task) -> None:
    env = make_env(max_steps=5)
    observation, info = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert sorted(observation["files"]) == ["features.py", "model.py"]
    assert all("NotImplementedError" in text for text in observation["files"].values())
    assert observation["score"] == 0
    assert observation["steps_left"] == 5
    setting = task.setting("Line")
    budget_s = budgets.budget_s(setting, baselines.entry(setting), None, scale=2.0)
    budget = f"* Line: {budget_s:.3g} s\n"
    for part in ("# Toy regression", "You may edit model.py, features.py", "You have 5 actions", budget):
        assert part in observation["text"]
    assert Task.parse(info["task"]) == task
    assert info["task_id"] == task.task_id
    assert info["integrity"]["level"] == "examined"
    assert json.loads(json.dumps(info)) == info


def test_good_modules_are_worth_more_than_one(make_env: MakeEnv) -> None:
    env = make_env()
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step({**GOOD, "command": "run"})
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert observation["score"] == info["meta_train"]["Line"]["normalised"] > 1
    assert info["changed"] == ["features.py", "model.py"]
    assert "Meta-train scores (mean normalised 1.0" in observation["text"]
    assert "fitted 128 points" in observation["text"]
    assert "9 actions left" in observation["text"]
    observation, reward, terminated, truncated, info = env.step("submit")
    assert (terminated, truncated) == (True, False)
    assert 1 < float(reward) < 2
    assert reward == pytest.approx(1 + np.log(info["meta_test"]["Wave"]["normalised"]))
    assert reward == info["meta_test"]["Wave"]["outcome"]
    assert info["reward_parts"]["outcomes"] == {"Wave": reward}
    assert "Meta-test scores (reward 1." in observation["text"]
    assert env.observation_space.contains(observation)
    assert json.loads(json.dumps(info)) == info
    assert type(reward) is float


def test_a_run_may_be_of_chosen_datasets_only(make_env: MakeEnv, task: Task) -> None:
    env = make_env(task=task.model_copy(update={"meta_train": ("Line", "Steps", "Noise")}))
    env.reset(seed=0)
    observation, _, _, _, info = env.step({**GOOD, "datasets": ["Noise", "Line"]})
    assert list(info["meta_train"]) == ["Line", "Noise"]
    assert observation["score"] == np.mean([record["normalised"] for record in info["meta_train"].values()])
    assert "over 2 of 3 datasets" in observation["text"]
    observation, _, _, _, info = env.step({"command": "run"})
    assert list(info["meta_train"]) == ["Line", "Steps", "Noise"]
    assert "of 3 datasets" not in observation["text"]


def test_a_run_of_datasets_that_are_not_there_is_refused(make_env: MakeEnv) -> None:
    env = make_env()
    before, _ = env.reset(seed=0)
    observation, _, _, _, info = env.step({**GOOD, "datasets": ["Line", "Wave"]})
    assert info["refused"] == "'Wave' is not a meta-train dataset; they are Line"
    assert observation["files"] == before["files"]
    assert observation["steps_left"] == 9


def test_a_submitted_stub_is_worth_less_than_nothing_and_names_its_function(make_env: MakeEnv) -> None:
    env = make_env()
    env.reset(seed=0)
    observation, reward, terminated, _, info = env.step({"command": "submit"})
    assert (reward, terminated) == (-1.0, True)
    assert info["meta_test"]["Wave"]["normalised"] == info["meta_test"]["Wave"]["valid"] == 0
    assert "NotImplementedError: features.py: features is not implemented" in observation["text"]
    assert each_exam(info["meta_test"]["Wave"], "status") == ["error"]
    assert info["meta_test"]["Wave"]["metric"] == info["meta_test"]["Wave"]["floor"]
    assert "site-packages" not in observation["text"]


def test_the_baseline_is_worth_about_one(make_env: MakeEnv, task: Task) -> None:
    env = make_env(task=task.model_copy(update={"start": "base", "test_seeds": 3}))
    observation, _ = env.reset(seed=0)
    assert observation["files"] == base_modules(task)
    _, reward, _, _, info = env.step("submit")
    assert 0.8 < float(reward) < 1.2
    assert len(info["meta_test"]["Wave"]["exams"]) == 3
    assert info["meta_test"]["Wave"]["standard_error"] > 0


def test_a_minimised_metric_is_rewarded_in_its_direction(
    make_variant: MakeVariant, make_env: MakeEnv, task: Task, sandbox: Sandbox
) -> None:
    metric = {"name": "mse", "unit": "y²", "direction": "min", "lower": 0}
    domain = make_variant("Toy", change=lambda c: c.update(metric=metric))
    for dataset in ("Line", "Wave"):
        setting = Setting(domain, "default", dataset, "tiny")
        with Host(sandbox) as host:
            entry = calibration.calibrate(host, setting, seeds=[0])
        baselines.write(domain.directory / "baselines.json", {setting.key: entry})
    env = make_env()
    env.reset(seed=0)
    observation, reward, _, _, info = env.step({**GOOD, "command": "submit"})
    assert 1 < float(reward) < 10
    assert info["meta_test"]["Wave"]["metric"] < info["meta_test"]["Wave"]["baseline"]
    assert "| dataset | mse |" in observation["text"]
    env.reset(seed=0)
    assert env.step("submit")[1] == -1


def test_an_edit_costs_an_action_and_no_time(make_env: MakeEnv) -> None:
    env = make_env(max_steps=3)
    env.reset(seed=0)
    edit = {"edits": [{"path": "model.py", "content": "x = 1\n"}], "command": "edit"}
    observation, reward, terminated, truncated, info = env.step(edit)
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert observation["files"]["model.py"] == "x = 1\n"
    assert observation["steps_left"] == 2
    assert observation["text"] == "Changed: model.py.\n"
    assert info["compute_spent_s"] == 0
    assert env.step(edit)[0]["text"] == "Nothing was changed.\n"


def test_an_episode_out_of_actions_is_truncated_and_rewarded_as_if_submitted(make_env: MakeEnv) -> None:
    rewards = []
    for last in ({"command": "submit"}, {"command": "edit"}, {"command": "stop"}, {"command": "run"}):
        env = make_env(max_steps=2)
        env.reset(seed=3)
        env.step({**GOOD, "command": "edit"})
        observation, reward, terminated, truncated, info = env.step(last)
        assert (terminated, truncated) == (last["command"] == "submit", last["command"] != "submit")
        assert observation["steps_left"] == 0
        assert "meta_test" in info
        rewards.append(reward)
    assert len(set(rewards)) == 1
    assert float(rewards[0]) > 1


def test_a_spent_compute_budget_truncates_the_episode(make_env: MakeEnv) -> None:
    env = make_env(limits={"compute_budget_s": 0.01})
    observation, _ = env.reset(seed=0)
    assert "All your runs together may take 0 s" in observation["text"]
    assert env.step({**GOOD, "command": "edit"})[3] is False
    _, reward, terminated, truncated, info = env.step("run")
    assert (terminated, truncated) == (False, True)
    assert float(reward) > 1
    assert info["compute_spent_s"] > 0.01


def test_the_number_of_actions_is_an_argument_or_a_limit(make_env: MakeEnv) -> None:
    assert make_env().limits.max_steps == 10
    assert make_env(limits={"max_steps": 20}).limits.max_steps == 20
    assert make_env(limits={"max_steps": 20}, max_steps=3).limits.max_steps == 3
    observation, _ = make_env(limits={"max_steps": 20}).reset(seed=0)
    assert observation["steps_left"] == 20


def test_the_same_modules_are_not_trained_twice_on_the_same_seed(make_env: MakeEnv) -> None:
    env = make_env()
    env.reset(seed=0)
    first = env.step({**GOOD, "command": "run"})
    again = env.step("run")
    assert first[4]["meta_train"] == again[4]["meta_train"]
    assert again[4]["compute_spent_s"] == first[4]["compute_spent_s"]


def test_a_reward_function_of_the_user_replaces_the_objective(make_env: MakeEnv) -> None:
    def reward(task: Task, scores: Any, modules: Any) -> objectives.Reward:
        assert [score.dataset for score in scores] in (["Wave"], ["Line"])
        return objectives.Reward(float(sum(len(text) for text in modules.values())), {"mine": True})

    env = make_env(reward_fn=reward)
    files = env.reset(seed=0)[0]["files"]
    _, got, _, _, info = env.step("submit")
    assert got == sum(len(text) for text in files.values())
    assert info["reward_parts"] == {"mine": True}


def test_progress_is_reported_before_and_after_each_exam(
    make_env: MakeEnv, task: Task, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "slowness", lambda: 1.0)
    seen: list[Progress] = []
    host = Host(sandbox, exams_at_once=1)
    env = make_env(task=task.model_copy(update={"test_seeds": 2}), host=host, on_progress=seen.append)
    env.reset(seed=0)
    env.step({**GOOD, "command": "run"})
    env.step("submit")
    assert [(p.spec.side, p.spec.dataset, p.number, p.total, p.result is None) for p in seen] == [
        ("meta_train", "Line", 1, 1, True),
        ("meta_train", "Line", 1, 1, False),
        ("meta_test", "Wave", 1, 2, True),
        ("meta_test", "Wave", 1, 2, False),
        ("meta_test", "Wave", 2, 2, True),
        ("meta_test", "Wave", 2, 2, False),
    ]
    work = {name: baselines.entry(task.setting(name)).seconds.mean for name in ("Line", "Wave")}
    for p in seen:  # 2 s to import NumPy, and twice the baseline's seconds, up to a tenth of a second
        assert 2.0 + 2.0 * work[p.spec.dataset] <= p.spec.budget_s < 2.1 + 2.0 * work[p.spec.dataset]
    host.close()


def test_rendering_gives_the_last_text(make_env: MakeEnv) -> None:
    env = make_env(render_mode="ansi")
    observation, _ = env.reset(seed=0)
    assert env.render() == observation["text"]
    assert make_env().render() is None


# ---- what is the same, and what is hidden


def test_a_seed_fixes_the_workspace_the_task_and_the_reward(make_env: MakeEnv) -> None:
    env = make_env(task=None, domain="Toy", scale="tiny", sampling={"test_seeds": 1})
    seen = []
    for _ in range(2):
        _, info = env.reset(seed=7)
        shape = fingerprint(Path(info["workspace"]))
        path = sorted(env.task.modules)[0]
        edits = [
            {"path": f"{m}.py", "content": t} for m, t in (("model", BASE_MODEL), ("features", POLYNOMIAL_FEATURES))
        ]
        edits = [edit for edit in edits if edit["path"].removesuffix(".py") in env.task.modules]
        _, reward, _, _, info = env.step({"edits": edits, "command": "submit"})
        records = {name: each_exam(record, "metric") for name, record in info["meta_test"].items()}
        seen.append((info["task_id"], shape, path, reward, records))
    assert seen[0] == seen[1]


def test_without_a_seed_episodes_differ(make_env: MakeEnv) -> None:
    env = make_env(task=None, domain="Toy", scale="tiny")
    ids = {env.reset(seed=0 if number == 0 else None)[1]["task_id"] for number in range(8)}
    assert len(ids) > 3


def test_exam_seeds_differ_between_sides_datasets_and_episodes(make_env: MakeEnv, task: Task) -> None:
    wide = task.model_copy(
        update={"meta_train": ("Line", "Steps"), "meta_test": ("Wave", "Noise"), "train_seeds": 2, "test_seeds": 2}
    )
    env = make_env(task=wide)
    seeds: list[int] = []
    for seed in (0, 1):
        env.reset(seed=seed)
        assert env._episode
        evaluation = env._episode._evaluation
        for dataset in ("Line", "Steps", "Wave", "Noise"):
            seeds += evaluation.seeds("meta_train", dataset) + evaluation.seeds("meta_test", dataset)
    assert len(set(seeds)) == len(seeds) == 32
    assert all(0 <= seed < 2**128 for seed in seeds)


def test_nothing_of_the_meta_test_side_exists_before_submission(make_env: MakeEnv) -> None:
    """Neither in the workspace, nor in any temporary file of ours, nor in what the agent reads."""
    env = make_env()
    observation, info = env.reset(seed=0)
    seen = [observation["text"]]
    seen.append(env.step({**GOOD, "command": "run"})[0]["text"])
    for directory in map(Path, leftovers()):
        assert not [path for path in directory.rglob("*") if "Wave" in str(path)]
        seen += [path.read_text(errors="replace") for path in directory.rglob("*") if path.is_file()]
    assert Path(info["workspace"]).is_dir()
    assert not [text for text in seen if "Wave" in text or "one period of a sine" in text.lower()]


def test_the_meta_test_side_is_removed_after_it_was_scored(make_env: MakeEnv) -> None:
    env = make_env()
    env.reset(seed=0)
    env.step("submit")
    assert not [path for directory in leftovers() for path in Path(directory).rglob("Wave")]


def test_what_the_user_does_to_an_observation_does_not_reach_the_environment(make_env: MakeEnv) -> None:
    env = make_env()
    observation, info = env.reset(seed=0)
    observation["files"]["model.py"] = "changed"
    observation["files"]["other.py"] = "new"
    info["task"]["domain"] = "Other"
    after, _, _, _, info = env.step({"command": "edit"})
    assert "NotImplementedError" in after["files"]["model.py"]
    assert sorted(after["files"]) == ["features.py", "model.py"]
    assert info["task"]["domain"] == "Toy"


# ---- tricks and failures of the agent


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("def f(:\n", "error"),
        ("import os\nprint('{\"skill\": 1e9}', flush=True)\nos._exit(0)\n", "error"),
        ('import atexit\natexit.register(print, \'{"results": {"Wave": {"r2": 1e9}}}\')\n1 / 0\n', "error"),
        (
            "class Model:\n    fit = lambda *a: None\n    predict = lambda s, phi: phi[:, 0] * float('nan')\n",
            "protocol_error",
        ),
        ("class Model:\n    fit = lambda *a: None\n    predict = lambda s, phi: {'r2': 1e9}\n", "protocol_error"),
    ],
)
def test_a_failing_or_cheating_module_is_worth_less_than_nothing_and_says_why(
    make_env: MakeEnv, code: str, status: str
) -> None:
    env = make_env()
    env.reset(seed=0)
    edits = [{"path": "features.py", "content": POLYNOMIAL_FEATURES}, {"path": "model.py", "content": code}]
    observation, reward, _, _, info = env.step({"edits": edits, "command": "submit"})
    assert reward == -1
    assert each_exam(info["meta_test"]["Wave"], "status") == [status]
    assert f"### Wave: {status}" in observation["text"]


def test_endless_training_is_worth_less_than_nothing(make_variant: MakeVariant, make_env: MakeEnv) -> None:
    make_variant("Toy", change=lambda c: c["limits"].update(minimum_budget_s=1.5, start_s=0.0))
    env = make_env()
    env.reset(seed=0)
    loop = {"edits": [{"path": "features.py", "content": "while True: pass\n"}], "command": "submit"}
    observation, reward, _, _, info = env.step(loop)
    assert (reward, each_exam(info["meta_test"]["Wave"], "status")) == (-1, ["timeout"])
    assert "the compute budget was spent before training was over (1.5 s)" in observation["text"]


def test_refused_actions_change_nothing_say_why_and_count(make_env: MakeEnv) -> None:
    env = make_env(max_steps=5)
    before, _ = env.reset(seed=0)
    half = {"edits": [{"path": "model.py", "content": "new"}, {"path": "../escape.py", "content": "x"}]}
    for number, action in enumerate((half, None, "nonsense", {"command": "halt"}), start=1):
        observation, reward, terminated, truncated, info = env.step(action)
        assert (reward, terminated, truncated) == (0.0, False, False)
        assert observation["files"] == before["files"]
        assert observation["steps_left"] == 5 - number
        assert observation["text"].startswith("The action was refused and nothing was changed: ")
        assert info["refused"] in observation["text"]


def test_a_file_that_is_too_large_is_refused(make_env: MakeEnv) -> None:
    env = make_env(limits={"max_file_bytes": 1000})
    assert "at most 1000 bytes each" in env.reset(seed=0)[0]["text"]
    _, _, _, _, info = env.step({"edits": [{"path": "model.py", "content": "x" * 1001}]})
    assert "model.py: the new text has 1001 bytes; the limit is 1000" in info["refused"]


@pytest.mark.parametrize(
    "action",
    [
        pickle.loads(pickle.dumps(Action((Edit("model.py", content="x = 1\n"),), "edit"))),
        {"edits": [{"path": "discovered/model.py", "content": "x = 1\n"}], "command": "edit"},
        '{"edits": [{"path": "model.py", "content": "x = 1\\n"}], "command": "edit"}',
        {"edits": ({"path": "model.py", "content": "x = 1\n", "old": "", "new": ""},), "command": 0},
    ],
)
def test_actions_come_in_many_forms(make_env: MakeEnv, action: Any) -> None:
    env = make_env()
    env.reset(seed=0)
    assert env.step(action)[0]["files"]["model.py"] == "x = 1\n"


# ---- random actions, without exams


@pytest.fixture
def quick(make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch, toy: Domain) -> DiscoGenEnv:
    """An environment whose exams are all scored 1 at once."""
    entry = baselines.entry(Setting(toy, "default", "Line", "tiny"))

    def examine(self: Evaluation, modules: Any, side: str, datasets: Any = (), seeds: int | None = None) -> list[Score]:
        names = datasets or getattr(self.task, side)
        return [Score(name, (SCORED,), (0.5,), 1.0, None, entry) for name in names]

    monkeypatch.setattr(Evaluation, "examine", examine)
    return make_env(max_steps=50, runs_dir=None)


def _scored() -> Any:
    from tests.scoring.test_baselines import result

    return result(0.5)


SCORED = _scored()


def check_step(env: DiscoGenEnv, files: dict[str, str], left: int, action: Any) -> tuple[dict[str, str], int]:
    """Take a step, check what always holds, and return files and actions left (of a new episode if this one ended)."""
    observation, reward, terminated, truncated, info = env.step(action)
    assert env.observation_space.contains(observation)
    free = observation["text"].startswith(("## Runs", "There was no run", "Run "))
    assert observation["steps_left"] == left - (not free)
    assert type(reward) is float
    assert type(terminated) is type(truncated) is bool
    assert not (terminated and truncated)
    assert ("refused" in info) != ("changed" in info)
    if "refused" in info:
        assert observation["files"] == files
        assert not terminated
    assert sorted(observation["files"]) == sorted(files)
    json.dumps(info)
    if terminated or truncated:
        assert reward == 1.0
        observation, _ = env.reset()
    return observation["files"], int(observation["steps_left"])


def test_two_hundred_samples_of_the_action_space_can_be_taken(quick: DiscoGenEnv) -> None:
    quick.action_space.seed(0)
    observation, _ = quick.reset(seed=0)
    files, left = observation["files"], int(observation["steps_left"])
    for _ in range(200):
        files, left = check_step(quick, files, left, quick.action_space.sample())
    assert quick.step("submit")[2], "the episode goes on, until it is submitted"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20)
EDIT = st.fixed_dictionaries(
    {"path": st.sampled_from(["model.py", "features.py", "discovered/model.py", "main.py", "../model.py", "\0"])},
    optional={"content": st.text(st.characters(exclude_categories=())), "old": st.text(max_size=3), "new": st.text()},
)
ACTION = st.fixed_dictionaries(
    {"command": st.sampled_from(["edit", "run", "submit", "history", "compare", "stop", 0, 1, 7, None])},
    optional={
        "edits": st.lists(EDIT | SCALARS, max_size=3) | SCALARS,
        "seeds": st.integers(-1, 9) | SCALARS,
        "race": st.booleans() | SCALARS,
        "runs": st.lists(st.integers(-1, 3), max_size=3) | SCALARS,
    },
)


FIVE_ACTIONS = st.lists(ACTION | SCALARS | ACTION.map(partial(json.dumps, default=str)), min_size=5, max_size=5)
SHARED_ENV = HealthCheck.function_scoped_fixture


@given(FIVE_ACTIONS)
@settings(max_examples=100, deadline=None, suppress_health_check=[SHARED_ENV])
def test_five_hundred_arbitrary_actions_are_taken_or_refused(quick: DiscoGenEnv, actions: list[Any]) -> None:
    assert take_all(quick, actions)


@pytest.mark.slow
@given(FIVE_ACTIONS)
@settings(max_examples=400, deadline=None, suppress_health_check=[SHARED_ENV])
def test_two_thousand_arbitrary_actions_are_taken_or_refused(quick: DiscoGenEnv, actions: list[Any]) -> None:
    assert take_all(quick, actions)


def take_all(env: DiscoGenEnv, actions: list[Any]) -> bool:
    """Take them, and check each step; whether the episode can still be submitted."""
    observation, _ = env.reset()
    files, left = observation["files"], int(observation["steps_left"])
    for action in actions:
        files, left = check_step(env, files, left, action)
    return env.step("submit")[2]


# ---- failures of the machine


def test_one_failure_of_the_machine_is_repaired_in_silence(make_env: MakeEnv, sandbox: Sandbox) -> None:
    failing = FailingSandbox(sandbox, failures=1)
    env = make_env(sandbox=failing)
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step({**GOOD, "command": "submit"})
    assert failing.failures == 0
    assert terminated
    assert float(reward) > 1
    assert "infra_error" not in info


@pytest.mark.parametrize("command", ["run", "submit"])
def test_two_failures_of_the_machine_end_the_episode_without_a_score(
    make_env: MakeEnv, sandbox: Sandbox, command: str
) -> None:
    env = make_env(sandbox=FailingSandbox(sandbox, failures=2))
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step({**GOOD, "command": command})
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["infra_error"] == "the sandbox failed: no space for another sandbox"
    assert "meta_test" not in info
    assert "The machine failed, and the episode ends without a score" in observation["text"]
    assert env.observation_space.contains(observation)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("run")
    env.reset(seed=0)
    assert float(env.step({**GOOD, "command": "submit"})[1]) > 1


@pytest.mark.parametrize(("command", "failing"), [("run", "write_modules"), ("submit", "materialise")])
def test_a_full_disk_is_no_score(
    make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch, command: str, failing: str
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    env = make_env()
    env.reset(seed=0)
    monkeypatch.setattr(f"discoenv.episodes.evaluation.{failing}", fail)
    _, reward, terminated, truncated, info = env.step({**GOOD, "command": command})
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert "No space left on device" in info["infra_error"]


def test_a_crash_of_the_examiner_is_no_score(make_variant: MakeVariant, make_env: MakeEnv) -> None:
    examiner = (TOY / "Toy" / "examiner.py").read_text().replace("return self._metrics(np.con", "return 1 / 0, (np.con")
    make_variant("Toy", files={"examiner.py": examiner})
    env = make_env()
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step({**GOOD, "command": "submit"})
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert "ZeroDivisionError" in info["infra_error"]


def test_an_examiner_that_forgets_the_metric_is_no_score(make_variant: MakeVariant, make_env: MakeEnv) -> None:
    examiner = (
        (TOY / "Toy" / "examiner.py").read_text().replace('return {"r2": 1 - mse / float(np.var(y)), ', "return {")
    )
    make_variant("Toy", files={"examiner.py": examiner})
    env = make_env()
    env.reset(seed=0)
    _, _, _, truncated, info = env.step({**GOOD, "command": "submit"})
    assert truncated
    assert "r2" in info["infra_error"]


def test_an_interrupted_step_can_be_followed_by_another(make_env: MakeEnv) -> None:
    """Ctrl-C in a notebook, in the middle of an exam."""
    interrupts = iter([True])

    def interrupt(progress: Progress) -> None:
        if progress.result is None and next(interrupts, False):
            signal.setitimer(signal.ITIMER_REAL, 0.1)

    def raise_interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    env = make_env(on_progress=interrupt)
    env.reset(seed=0)
    previous = signal.signal(signal.SIGALRM, raise_interrupt)
    slow = {"edits": [{"path": "model.py", "content": f"import time\ntime.sleep(5)\n{BASE_MODEL}"}], "command": "run"}
    try:
        with pytest.raises(KeyboardInterrupt):
            env.step(slow)
    finally:
        signal.signal(signal.SIGALRM, previous)
    _, reward, _, _, info = env.step({**GOOD, "command": "submit"})
    assert float(reward) > 1, info


# ---- the state machine


def test_a_step_needs_a_reset_before_it(make_env: MakeEnv) -> None:
    env = make_env()
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"call reset\(\) first"):
        env.step("run")
    env.reset(seed=0)
    env.step("submit")
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("submit")
    env.reset()
    env.close()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("submit")


def test_a_failed_reset_leaves_no_episode(make_env: MakeEnv, task: Task) -> None:
    env = make_env()
    env.reset(seed=0)
    full = task.model_copy(update={"meta_train": ("Line",), "meta_test": ("Wave",), "scale": "full"})
    with pytest.raises(UnknownName, match="no scale is called 'full' in Toy, dataset Wave"):
        env.reset(options={"task": full})
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("run")
    assert leftovers() == []


def test_a_dataset_without_a_baseline_is_reported_with_the_command(
    make_variant: MakeVariant, make_env: MakeEnv
) -> None:
    make_variant("Toy", files={"baselines.json": None})
    with pytest.raises(NoBaseline, match="discoenv calibrate Toy --dataset Line"):
        make_env().reset(seed=0)
    with pytest.raises(TaskError, match=r"only \[\] can be used here at scale tiny .*`discoenv calibrate Toy"):
        make_env(task=None, domain="Toy", scale="tiny").reset(seed=0)
    assert leftovers() == []


def test_options_set_the_task_of_one_episode(make_env: MakeEnv, task: Task, tmp_path: Path) -> None:
    env = make_env()
    other = task.model_copy(update={"modules": ("model",)})
    assert sorted(env.reset(options={"task": other.model_dump()})[0]["files"]) == ["model.py"]
    path = tmp_path / "task.yaml"
    path.write_text(other.to_yaml())
    assert sorted(env.reset(options={"task": path})[0]["files"]) == ["model.py"]
    assert sorted(env.reset()[0]["files"]) == ["features.py", "model.py"]


def test_an_unknown_option_is_refused(make_env: MakeEnv) -> None:
    with pytest.raises(ValueError, match="options: unknown key taks; known are 'task' and 'restore'"):
        make_env().reset(options={"taks": None})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_steps": 0}, ValueError, "max_steps is 0"),
        ({"limits": {"budget_scale": 0}}, ValueError, "budget_scale is 0"),
        ({"limits": {"steps": 3}}, ValueError, "limits: unknown key steps; known are max_steps, budget_scale"),
        ({"sampling": {"p_edt": 0.5}}, ValueError, "sampling: unknown key p_edt; known are p_edit, p_data"),
        ({"render_mode": "human"}, ValueError, "render_mode is 'human'; known are None and 'ansi'"),
        ({"domain": "Tyo"}, UnknownName, "did you mean 'Toy'"),
        ({"objective": "preformance"}, UnknownName, "did you mean 'performance'"),
        ({"sandbox": "buble"}, ValueError, "there is no sandbox named 'buble'"),
        ({"task": {"domain": "Toy", "modules": ["model"]}}, TaskError, "meta_train: Field required"),
        ({"task": "absent.yaml"}, (TaskError, UnknownName), "absent"),
    ],
)
def test_wrong_arguments_are_reported_at_construction(
    make_env: MakeEnv, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_env(**arguments)


# ---- what is left behind


@pytest.fixture
def at_rest(task: Task, sandbox: Sandbox) -> set[int]:
    """Our processes between episodes, with what the sandbox keeps from its first learner on."""
    env = DiscoGenEnv(task=task, sandbox=sandbox, runs_dir=None)
    env.reset(seed=0)
    env.step({**GOOD, "command": "run"})
    env.close()
    return children()


def test_closing_leaves_no_process_and_no_directory(make_env: MakeEnv, at_rest: set[int]) -> None:
    env = make_env()
    env.reset(seed=0)
    env.step({**GOOD, "command": "run"})
    assert children() > at_rest
    assert leftovers()
    env.close()
    env.close()
    assert children() <= at_rest
    assert leftovers() == []


def test_an_environment_that_is_forgotten_cleans_up_after_itself(
    sandbox: Sandbox, task: Task, at_rest: set[int]
) -> None:
    env = DiscoGenEnv(task=task, sandbox=sandbox, runs_dir=None)
    env.reset(seed=0)
    env.step({**GOOD, "command": "run"})
    del env
    gc.collect()
    assert children() <= at_rest
    assert leftovers() == []


def test_a_new_episode_replaces_the_old_ones_files(make_env: MakeEnv) -> None:
    env = make_env()
    for _ in range(3):
        env.reset(seed=0)
        assert len(leftovers()) == 1


def test_descriptors_do_not_leak_over_episodes(make_env: MakeEnv) -> None:
    env = make_env()
    counts = []
    for _ in range(4):
        env.reset(seed=0)
        env.step({**GOOD, "command": "submit"})
        gc.collect()
        counts.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208
    assert counts[1] == counts[-1]


def test_what_a_killed_host_left_is_gone_after_the_next_start(make_env: MakeEnv, sandbox: Sandbox) -> None:
    program = f"""
import os, signal, sys
from pathlib import Path
from discoenv.tasks import registry
registry.BUILTIN = Path({str(TOY)!r})
from discoenv.env import DiscoGenEnv
task = dict(domain="Toy", modules=["model"], meta_train=["Line"], meta_test=["Wave"], scale="tiny")
def kill(progress):
    print(os.getpid(), flush=True)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
env = DiscoGenEnv(task=task, sandbox={sandbox.name!r}, runs_dir=None, on_progress=kill)
env.reset(seed=0)
env.step({{"edits": [{{"path": "model.py", "content": "import time; time.sleep(1000)"}}], "command": "run"}})
"""
    host = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert host.returncode == -signal.SIGKILL, host.stderr
    pid = int(host.stdout)
    make_env()
    assert not list(Path(tempfile.gettempdir()).glob(f"discoenv-*-{pid}-*"))


def test_two_environments_do_not_disturb_each_other(make_env: MakeEnv) -> None:
    first, second = make_env(), make_env()
    first.reset(seed=0)
    second.reset(seed=0)
    first.step({**GOOD, "command": "run"})
    assert "NotImplementedError" in second.step("run")[0]["text"]
    second.close()
    assert float(first.step("submit")[1]) > 1


def test_a_run_directory_records_the_whole_episode(make_env: MakeEnv, task: Task, tmp_path: Path) -> None:
    env = make_env(max_steps=4)
    _, info = env.reset(seed=0)
    directory = Path(info["run_directory"])
    assert directory.parent == tmp_path / "runs"
    env.step({**GOOD, "command": "run"})
    env.step(object())
    _, reward, _, _, _ = env.step("submit")
    names = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert names == {
        "task.yaml",
        "episode.json",
        "episode.jsonl",
        "exams.jsonl",
        "owner.json",
        "result.json",
        *(f"files/{step}/{name}.py" for step in ("step_000", "step_001") for name in ("model", "features")),
    }
    events = [json.loads(line) for line in (directory / "episode.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["reset", "step", "step", "step"]
    assert events[1]["action"] == {**GOOD, "command": "run"}
    assert "object object" in events[2]["action"]
    assert events[3]["terminated"] is True
    result = json.loads((directory / "result.json").read_text())
    assert (result["reward"], result["terminated"], result["steps"]) == (reward, True, 3)
    assert result["task_id"] == task.task_id
    assert each_exam(result["meta_test"]["Wave"], "status") == ["ok"]


def test_no_record_is_kept_without_a_folder(make_env: MakeEnv, tmp_path: Path) -> None:
    env = make_env(runs_dir=None)
    _, info = env.reset(seed=0)
    assert info["run_directory"] is None
    assert not (tmp_path / "runs").exists()


def test_an_infrastructure_error_is_recorded(make_env: MakeEnv, sandbox: Sandbox) -> None:
    env = make_env(sandbox=FailingSandbox(sandbox, failures=2))
    _, info = env.reset(seed=0)
    env.step("submit")
    result = json.loads((Path(info["run_directory"]) / "result.json").read_text())
    assert result["infra_error"] == "the sandbox failed: no space for another sandbox"
    assert (result["reward"], result["truncated"]) == (0.0, True)


# ---- Gymnasium's own rules


def test_the_environment_is_registered() -> None:
    assert registration.ENV_ID in gymnasium.registry


def test_gymnasium_accepts_the_environment(sandbox: Sandbox, task: Task) -> None:
    made = gymnasium.make("DiscoGen-v0", task=task, sandbox=sandbox.name, runs_dir=None, render_mode="ansi")
    env = made.unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Box observation space m(in|ax)imum value is -?infinity.*")
        check_env(env)
    assert env.observation_space.contains(env.reset(seed=0)[0]), "it can still be used"
    env.close()


def test_the_environment_is_made_by_gymnasium(sandbox: Sandbox, task: Task) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        env = gymnasium.make("DiscoGen-v0", task=task, sandbox=sandbox, runs_dir=None, render_mode="ansi")
        observation, _ = env.reset(seed=np.int64(0).item())
        assert env.observation_space.contains(observation)
        observation, reward, terminated, *_ = env.step({**GOOD, "command": "submit"})
    assert terminated
    assert float(reward) > 1
    assert env.render() == observation["text"]
    env.close()


# ---- Gymnasium's own limit on steps, and reward functions that fail


@pytest.mark.parametrize("make", ["argument", "wrapper", "spec"])
def test_an_episode_that_a_time_limit_cuts_short_is_scored(
    make: str, task: Task, sandbox: Sandbox, tmp_path: Path
) -> None:
    shared: dict[str, Any] = {"task": task, "sandbox": sandbox, "runs_dir": None}
    env: gymnasium.Env[Any, Any]
    if make == "wrapper":
        env = gymnasium.wrappers.TimeLimit(gymnasium.make("DiscoGen-v0", **shared), 1)
    else:
        env = gymnasium.make("DiscoGen-v0", max_episode_steps=1, **shared)
    if make == "spec":
        shared.pop("sandbox")
        spec = gymnasium.make("DiscoGen-v0", max_episode_steps=1, sandbox=sandbox.name, **shared).spec
        assert spec is not None
        env.close()
        env = gymnasium.make(spec)
    observation, _ = env.reset(seed=0)
    assert observation["steps_left"] == 1
    _, reward, terminated, truncated, info = env.step({**GOOD, "command": "edit"})
    assert (terminated, truncated) == (False, True)
    assert float(reward) > 1
    assert "meta_test" in info
    env.close()


def test_a_time_limit_of_a_vector_environment_is_one_of_each(task: Task, sandbox: Sandbox) -> None:
    env = gymnasium.make_vec("DiscoGen-v0", 1, task=task, sandbox=sandbox, runs_dir=None, max_episode_steps=1)
    env.reset(seed=0)
    _, rewards, _, truncations, infos = env.step([{"command": "edit"}])
    assert (rewards.tolist(), truncations.tolist(), "meta_test" in infos) == ([-1.0], [True], True)
    env.close()


@pytest.mark.parametrize("number", [2, 2.5, np.float32(2.5)])
def test_a_reward_function_may_return_a_number(make_env: MakeEnv, number: Any) -> None:
    env = make_env(reward_fn=lambda task, scores, modules: number)
    env.reset(seed=0)
    _, reward, _, _, info = env.step("submit")
    assert (reward, type(reward), info["reward_parts"]) == (float(number), float, {})


@pytest.mark.parametrize("wrong", [None, "high", math.nan, objectives.Reward(math.inf)])
def test_what_is_no_reward_is_an_error_of_the_function(make_env: MakeEnv, wrong: Any) -> None:
    env = make_env(reward_fn=lambda task, scores, modules: wrong)
    env.reset(seed=0)
    with pytest.raises(RewardFailed, match=r"lambda> returned .*; a reward is a finite number. The results of the"):
        env.step("submit")


def test_a_reward_function_that_raises_loses_no_exam(make_env: MakeEnv) -> None:
    broken = True

    def reward(task: Task, scores: Any, modules: Any) -> float:
        if broken:
            raise ZeroDivisionError("no \ud800 reward")
        return 3.0

    exams: list[Progress] = []
    env = make_env(reward_fn=reward, on_progress=exams.append, max_steps=3)
    env.reset(seed=0)
    for command in ("run", "submit"):
        with pytest.raises(
            RewardFailed, match=r"raised ZeroDivisionError: no \\ud800 reward.*kept here and in"
        ) as error:
            env.step({**GOOD, "command": command})
        assert isinstance(error.value.__cause__, ZeroDivisionError)
    assert env.run_directory is not None
    first, second = EpisodeRecord.load(env.run_directory).events[1:]
    assert first.info.meta_train is not None
    assert second.info.meta_test is not None
    assert second.info.meta_test["Wave"].normalised > 1
    assert (second.terminated, "ZeroDivisionError" in (second.info.reward_error or "")) == (False, True)
    begun = sum(progress.result is None for progress in exams)
    broken = False
    _, value, terminated, truncated, _ = env.step("submit")
    assert (value, terminated, truncated) == (3.0, True, False)
    assert sum(progress.result is None for progress in exams) == begun == 2
