"""Wrong arguments are refused where they are given, by an error that names argument, value and what is allowed."""

from __future__ import annotations

import contextlib
import copy
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from discoenv import arguments
from discoenv.env import DiscoGenEnv
from discoenv.episodes.episode import EpisodeLimits
from discoenv.errors import ArgumentError, TaskError, UnknownName
from discoenv.exams.host import Host
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.domain import Domain
from discoenv.tasks.sampling import Sampling
from discoenv.tasks.task import Task
from discoenv.vector import DiscoGenVectorEnv


def a_coroutine() -> Callable[..., Any]:
    async def reward(task: Any, scores: Any, modules: Any) -> float:
        return 1.0

    return reward


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"max_steps": 2.5}, ["max_steps is 2.5", "whole number"]),
        ({"max_steps": "3"}, ["max_steps is '3'"]),
        ({"max_steps": True}, ["max_steps is True"]),
        ({"max_steps": -1}, ["max_steps is -1", "at least 1"]),
        ({"limits": {"budget_scale": math.nan}}, ["budget_scale is nan", "finite"]),
        ({"limits": {"budget_scale": math.inf}}, ["budget_scale is inf"]),
        ({"limits": {"budget_scale": "10"}}, ["budget_scale is '10'"]),
        ({"limits": {"compute_budget_s": math.nan}}, ["compute_budget_s is nan", "positive", "None is no limit"]),
        ({"limits": {"compute_budget_s": math.inf}}, ["compute_budget_s is inf"]),
        ({"limits": {"compute_budget_s": "10"}}, ["compute_budget_s is '10'"]),
        ({"limits": {"compute_budget_s": -1}}, ["compute_budget_s is -1"]),
        ({"limits": {"max_file_bytes": "64k"}}, ["max_file_bytes is '64k'", "whole number of at least 1"]),
        ({"limits": {"max_file_bytes": 0}}, ["max_file_bytes is 0"]),
        ({"limits": {"paired": "yes"}}, ["paired is 'yes'", "True or False"]),
        ({"limits": 3}, ["limits is 3", "EpisodeLimits", "max_steps, budget_scale"]),
        ({"sampling": [0.3]}, ["sampling is [0.3]", "Sampling", "p_edit"]),
        ({"sampling": {"p_data": None}}, ["p_data must be three weights", "not None"]),
        ({"sampling": {"p_data": "0.4,0.4,0.2"}}, ["p_data must be three weights"]),
        ({"sampling": {"p_edit": 1.5}}, ["p_edit is 1.5", "from 0 to 1"]),
        ({"sampling": {"p_edit": "0.5"}}, ["p_edit is '0.5'"]),
        ({"sampling": {"p_base": math.nan}}, ["p_base is nan"]),
        ({"sampling": {"train_seeds": 0}}, ["train_seeds is 0", "from 1 to 1000"]),
        ({"sampling": {"test_seeds": 2.0}}, ["test_seeds is 2.0"]),
        ({"scale": "Tiny"}, ["scale is 'Tiny'", "tiny, small, full"]),
        ({"scale": 1}, ["scale is 1"]),
        ({"objective": []}, ["objective is []"]),
        ({"objective": [3]}, ["objective is [3]"]),
        ({"domain": 3}, ["domain is 3"]),
        ({"domain": []}, ["domain is []"]),
        ({"reward_fn": 3}, ["reward_fn is 3", "reward_fn(task, scores, modules)"]),
        ({"reward_fn": lambda scores: 1.0}, ["reward_fn(task, scores, modules)", "too many positional arguments"]),
        ({"reward_fn": a_coroutine()}, ["reward_fn", "not a coroutine"]),
        ({"on_progress": "print"}, ["on_progress is 'print'", "on_progress(progress)"]),
        ({"host": "here"}, ["host is 'here'", "Host"]),
        ({"device": "tpu"}, ["device is 'tpu'", "auto, cpu, gpu"]),
        ({"sandbox": 3}, ["sandbox is 3"]),
        ({"secret": 3}, ["secret is 3"]),
        ({"runs_dir": 3}, ["runs_dir is 3", "a path"]),
        ({"runs_dir": "/dev/null/runs"}, ["runs_dir is '/dev/null/runs'", "/dev/null is not a folder"]),
        ({"task": 3}, ["task is 3", "DiscoBench"]),
        ({"task": ""}, ["task is ''", "DiscoBench"]),
        ({"max_steps": 10**30}, ["max_steps is 10000", "below 2**63"]),
        ({"limits": {"max_seeds": 2**63}}, ["max_seeds is 92233", "below 2**63"]),
        ({"render_mode": 3}, ["render_mode is 3", "None and 'ansi'"]),
        ({"packs": 3}, ["packs is 3", "a list of such paths"]),
        ({"reference": "best"}, ["reference is 'best'"]),
    ],
)
def test_a_wrong_argument_of_make_is_refused_there(toy: Domain, given: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"is|must be") as caught:
        DiscoGenEnv(**({"sandbox": "process", "runs_dir": None} | given))
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", [3, "", b"run", "a\0b"])
def test_what_is_no_path_saves_and_restores_nothing(task: Task, path: Any) -> None:
    with contextlib.closing(DiscoGenEnv(task=task, sandbox="bubblewrap", runs_dir=None)) as env:
        env.reset(seed=0)
        for call in (env.save, env.restore):
            with pytest.raises(ArgumentError, match="path is "):
                call(path)
        for wrong in ({"step": 1.5}, {"step": -1}, {"step": "1"}, {"trust": "yes"}):
            with pytest.raises(ArgumentError, match=f"{next(iter(wrong))} is "):
                env.restore("run", **wrong)


def test_a_folder_that_cannot_be_written_is_named(toy: Domain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # as root, everything can be written
    with pytest.raises(ArgumentError, match=f"but {tmp_path} cannot be written to"):
        DiscoGenEnv(runs_dir=tmp_path / "new" / "runs")


def test_numbers_of_numpy_are_numbers() -> None:
    limits = EpisodeLimits(max_steps=np.int64(3), budget_scale=np.float32(2))  # type: ignore[arg-type]
    assert (limits, type(limits.max_steps), type(limits.budget_scale)) == (EpisodeLimits(3, 2.0), int, float)
    assert Sampling(p_data=np.array([1, 1, 2])).p_data == (1.0, 1.0, 2.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", [{"exams_at_once": 2.5}, {"exams_at_once": 0}, {"gpu_sharers": "2"}])
def test_a_wrong_argument_of_a_host_is_refused_there(arguments: dict[str, Any]) -> None:
    (name,) = arguments
    with pytest.raises(ArgumentError, match=f"{name} is "):
        Host("process", **arguments)


def test_a_wrong_number_of_environments_is_refused(toy: Domain) -> None:
    for number in (0, 1.5, "2"):
        with pytest.raises(ArgumentError, match="num_envs is"):
            DiscoGenVectorEnv(number, sandbox="process")  # type: ignore[arg-type]


def test_an_unknown_name_is_a_value_error_too(toy: Domain) -> None:
    with pytest.raises(ValueError, match="did you mean 'Toy'") as caught:
        DiscoGenEnv(domain="tpy", sandbox="process")
    assert isinstance(caught.value, UnknownName)
    assert isinstance(caught.value, LookupError)


def test_of_many_names_the_nearest_are_shown() -> None:
    known = [f"Domain{number}_loss" for number in range(42)]
    message = str(UnknownName("task", "xyz", known))
    assert "the nearest of 42 are Domain" in message
    assert message.count("Domain") == 3
    assert "did you mean 'Domain7_loss'" in str(UnknownName("task", "DOMAIN7_LOS", known))


# ---- what is said beside a task

LOOSE = {"domain": "Toy", "modules": ["model"], "meta_train": ["Line"], "meta_test": ["Wave"]}
FLAT = {"train_task_id": ["Line"], "test_task_id": ["Wave"], "change_model": True}


@pytest.fixture
def made(toy: Domain, sandbox: Sandbox) -> Callable[..., Task]:
    """The task of an environment."""

    def make(**arguments: Any) -> Task:
        env = DiscoGenEnv(sandbox=sandbox, runs_dir=None, **arguments)
        task = env._task
        env.close()
        assert task is not None
        return task

    return make


@pytest.mark.parametrize("task", [LOOSE, FLAT, Task(**LOOSE)])
def test_what_a_task_leaves_open_is_as_asked(made: Callable[..., Task], task: Any) -> None:
    found = made(task=task, scale="tiny", objective="golf", sampling={"train_seeds": 3, "test_seeds": 4})
    assert (found.scale, found.objective, found.train_seeds, found.test_seeds) == ("tiny", "golf", 3, 4)
    assert made(task=task).scale == "small"


@pytest.mark.parametrize("form", [dict, lambda content: Task(**content)])
@pytest.mark.parametrize(
    ("said", "asked", "message"),
    [
        ({"scale": "tiny"}, {"scale": "small"}, "scale is small, but the task says scale: tiny"),
        ({"objective": "golf"}, {"objective": ["time", "energy"]}, "objective is time or energy, .* objective: golf"),
        ({"test_seeds": 2}, {"sampling": {"test_seeds": 3}}, "test_seeds is 3, but the task says test_seeds: 2"),
        ({"train_seeds": 2}, {"sampling": Sampling(train_seeds=3)}, "train_seeds is 3, but the task says"),
        ({}, {"sampling": {"p_edit": 0.5}}, r"sampling\['p_edit'\] has no effect beside task"),
    ],
)
def test_what_contradicts_a_task_is_an_error(
    made: Callable[..., Task], form: Any, said: dict[str, Any], asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        made(task=form({**LOOSE, **said}), **asked)


def test_what_agrees_with_a_task_is_none(made: Callable[..., Task]) -> None:
    task = {**LOOSE, "scale": "tiny", "objective": "golf", "test_seeds": 3}
    assert made(
        task=task, domain="Toy", scale="tiny", objective=["performance", "golf"], sampling={"test_seeds": 3}
    ) == Task.parse(task)


def test_a_domain_beside_a_task_of_another_is_an_error() -> None:
    task = {
        "domain": "GreenhouseGasPrediction",
        "modules": ["model"],
        "meta_train": ["MaunaLoa/CO2"],
        "meta_test": ["BoxModel/CH4"],
    }
    with pytest.raises(ArgumentError, match="domain is OnPolicyRL, but the task says domain: GreenhouseGasPrediction"):
        DiscoGenEnv(task=task, domain="OnPolicyRL", sandbox="process", runs_dir=None)


def test_a_task_of_one_episode_is_held_to_the_same(toy: Domain, sandbox: Sandbox) -> None:
    env = DiscoGenEnv("Toy", scale="tiny", sandbox=sandbox, runs_dir=None)
    env.reset(seed=0, options={"task": LOOSE})
    assert env.task.scale == "tiny"
    with pytest.raises(ArgumentError, match="scale is tiny, but the task says scale: small"):
        env.reset(options={"task": {**LOOSE, "scale": "small"}})
    with pytest.raises(ArgumentError, match="options is 'task'"):
        env.reset(options="task")  # type: ignore[arg-type]
    env.close()


# ---- copies


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("number", [None, 2])
def test_an_environment_says_that_it_cannot_be_copied(
    toy: Domain, task: Task, sandbox: Sandbox, copied: Any, number: int | None
) -> None:
    shared: dict[str, Any] = {"task": task, "sandbox": sandbox, "runs_dir": None}
    env = gymnasium.make("DiscoGen-v0", **shared) if number is None else DiscoGenVectorEnv(number, **shared)
    with pytest.raises(TypeError, match=r"cannot be copied or pickled: .* reset it with the same seed"):
        copied(env)
    env.close()


def test_checks_take_what_they_say() -> None:
    assert arguments.integer("n", np.int8(4), least=4, most=4) == 4
    assert arguments.number("x", 3, above=2, most=3) == 3.0
    assert arguments.names("n", "one") == ("one",)
    assert arguments.flag("f", np.bool_(True)) is True
    assert arguments.as_number(math.nan) is None
    with pytest.raises(ArgumentError, match=r"x is 2; it must be a finite number greater than 2"):
        arguments.number("x", 2, above=2)
    assert issubclass(TaskError, ValueError)
