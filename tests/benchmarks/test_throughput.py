"""The benchmarks of throughput and of starting play real episodes, and count what they leave."""

from __future__ import annotations

import os

import pytest

from benchmarks import startup, throughput
from discoenv.sandbox.base import Sandbox
from discoenv.tasks import registry as domains
from discoenv.tasks.registry import load_pack
from discoenv.tasks.task import Task
from tests.conftest import TOY


@pytest.mark.parametrize("episodes", [1, 3])
def test_exams_per_minute_count_both_sides_of_every_episode(task: Task, sandbox: Sandbox, episodes: int) -> None:
    point = throughput.growth(task.model_copy(update={"start": "base"}), episodes, sandbox, repeats=1)
    assert point["exams/min"] == pytest.approx(2 * point["episodes/min"])
    assert point["exams/min"] == pytest.approx(60 * 2 * episodes / point["seconds"][0])


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_two_pinned_episodes_are_compared_with_one(
    task: Task, sandbox_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domains, "_registered", dict(domains._registered))
    monkeypatch.setenv("DISCOENV_PACKS", str(TOY))  # for the processes that play
    (name,) = load_pack(TOY)
    task = task.model_copy(update={"domain": name, "start": "base"})
    found = throughput.two_cores(task, 1, sandbox_name, repeats=2)
    assert found is not None
    assert len(found["ratios"]) == 2
    assert min(found["one exams/min"], found["two exams/min"], found["ratio"]) > 0


def test_on_one_core_there_is_nothing_to_compare(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert throughput.two_cores(task, 1, "auto", repeats=1) is None
    figures = {"cores": 1, "repeats": 1, "rows": [{"domain": "Toy", "scale": "tiny", "growth": [], "two_cores": None}]}
    assert throughput.tables(figures)[1].rows == [["Toy", "—", "—", "needs two cores"]]
    assert [bound.held for bound in throughput.bounds(figures)] == [None]


def test_an_episode_that_the_machine_ended_is_an_error() -> None:
    throughput.require_no_infra_error({"infra_error": [None, None]})
    with pytest.raises(RuntimeError, match="no disk"):
        throughput.require_no_infra_error({"infra_error": "no disk"})


def test_each_reset_is_of_a_sampled_task(sandbox_name: str) -> None:
    times, tasks = startup.resets(6, "tiny", sandbox_name, ("GreenhouseGasPrediction",))
    assert len(times) == len(tasks) == 6 and min(times) > 0
    assert len(set(tasks)) > 1


def test_an_import_is_timed_in_each_new_interpreter() -> None:
    times = startup.imports(2)
    assert len(times) == 2 and min(times) > 0


def test_orphans_are_among_the_processes_left(monkeypatch: pytest.MonkeyPatch, sandbox_name: str) -> None:
    assert startup.processes_left(sandbox_name, play=False) == []
    orphan = "import subprocess; subprocess.run(['sh', '-c', 'sleep 5 & exec true'], stdout=subprocess.DEVNULL)\n"
    monkeypatch.setattr(startup, "_LEFT", startup._LEFT.replace("env.close()\n", f"env.close()\n{orphan}"))
    assert [line.strip() for line in startup.processes_left(sandbox_name, play=False)] == ["sleep 5"]


def test_nothing_is_left_of_an_exam(sandbox_name: str) -> None:
    assert startup.processes_left(sandbox_name, play=True, domains=("GreenhouseGasPrediction",)) == []
