"""What adapters share: lists of tasks, an episode's tools, its reward exactly once, its end."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import psutil
import pytest

from discoenv.adapters.frameworks import FRAMEWORKS, Framework, require
from discoenv.adapters.session import Outcome, Session, SessionHost, TaskEntry
from discoenv.env import DiscoGenEnv
from discoenv.episodes.record import EpisodeRecord
from discoenv.episodes.transcript import read_calls
from discoenv.errors import ArgumentError, EpisodeLeft, InfraError, PackageMissing, UnknownName
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules
from discoenv.tools import TOOLS, ToolSession
from tests.conftest import FailingSandbox

SLOW = "import time\n\n\ndef features(x):\n    time.sleep(60)\n    return x[:, None]\n"

MakeHost = Callable[..., SessionHost]


@pytest.fixture
def make_host(sandbox: Sandbox, tmp_path: Path) -> Iterator[MakeHost]:
    """Session hosts that are closed after the test."""
    made: list[SessionHost] = []

    def make(**arguments: Any) -> SessionHost:
        settings: dict[str, Any] = {"sandbox": sandbox, "scale": "tiny", "runs_dir": tmp_path / "runs"}
        made.append(SessionHost(**(settings | arguments)))
        return made[-1]

    yield make
    for host in made:
        host.close()


def written(session: Session, files: dict[str, str]) -> None:
    for name, text in files.items():
        assert session.call("write_file", {"path": name, "content": text}).ok


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gym_reward(task: Task, sandbox: Sandbox, files: dict[str, str], seed: int) -> float:
    """The reward of the same episode through ``gym.make``."""
    env = gymnasium.make("DiscoGen-v0", task=task, sandbox=sandbox, runs_dir=None)
    env.reset(seed=seed)
    edits = [{"path": name, "content": text} for name, text in files.items()]
    *_, reward, _, _, _ = env.step({"command": "submit", "edits": edits})
    env.close()
    return float(reward)


# ---- tasks


def test_training_tasks_are_those_that_the_environment_samples(
    make_host: MakeHost, toy: Domain, sandbox: Sandbox
) -> None:
    host = make_host()
    entries = list(host.tasks("train", 3, first=2))
    assert [entry.index for entry in entries] == [entry.seed for entry in entries] == [2, 3, 4]
    env = DiscoGenEnv(scale="tiny", sandbox=sandbox, runs_dir=None)
    for entry in entries:
        env.reset(seed=entry.seed)
        assert env.task == entry.task
    env.close()
    assert host.find("train-3") == entries[1]
    assert host.num_tasks("train") is None
    assert len(list(itertools.islice(host.tasks("train"), 5))) == 5
    assert entries[0].facts()["task_id"] == entries[0].id


def test_discobench_is_a_list_that_does_not_change(make_host: MakeHost) -> None:
    host = make_host(domain="GreenhouseGasPrediction")
    entries = list(host.tasks("discobench"))
    suffixes = sorted(["all", "scale", "shift", *entries[0].task.modules])
    assert [entry.name for entry in entries] == [f"GreenhouseGasPrediction_{suffix}" for suffix in suffixes]
    assert host.num_tasks("discobench") == len(entries)
    assert {entry.task.scale for entry in entries} == {"tiny"}
    assert host.find(entries[1].name) == entries[1] == host.task("discobench", 1)
    assert [entry.index for entry in host.tasks("discobench", 2, first=1)] == [1, 2]


def test_what_does_not_exist_is_named(make_host: MakeHost, toy: Domain) -> None:
    host = make_host()
    with pytest.raises(UnknownName, match="no split is called 'test'; known are train, discobench"):
        host.num_tasks("test")
    with pytest.raises(UnknownName, match="no task is called 'Toy_modell'"):
        host.find("Toy_modell")
    with pytest.raises(ArgumentError, match="index is -1"):
        host.task("train", -1)
    with pytest.raises(UnknownName):
        host.task("discobench", 10_000)


# ---- the course of an episode


def test_an_episode_is_worth_what_it_is_worth_in_gymnasium(
    make_host: MakeHost, task: Task, sandbox: Sandbox, good: dict[str, str]
) -> None:
    session = make_host().open(task, seed=5)
    assert session.tools == TOOLS
    assert "## Your tools" in session.introduction
    session.played_by("tests", {"model": "none"})
    written(session, good)
    assert session.call("run").ok
    assert session.call("submit", "{}", call_id="c7").stepped
    assert session.over
    outcome = session.reward()
    assert outcome.reward == gym_reward(task, sandbox, good, 5) > 1
    assert outcome.ended_by == "submit"
    assert (outcome.steps, outcome.runs) == (2, 1)
    assert set(outcome.meta_test) == {"Wave"}
    assert set(outcome.meta_train) == {"Line"}
    assert outcome.integrity["sandbox"] == sandbox.name
    assert outcome.facts()["task_id"] == task.task_id
    assert session.run_directory is not None
    recorded = EpisodeRecord.load(session.run_directory)
    assert recorded.result is not None
    assert recorded.result.reward == outcome.reward
    calls = read_calls(session.run_directory)
    assert calls[0]["name"] == "tests"
    assert calls[-1]["reward"] == outcome.reward


def test_the_best_run_is_submitted_once_whoever_asks(make_host: MakeHost, task: Task, good: dict[str, str]) -> None:
    session = make_host().open(task, seed=5)
    written(session, good)
    session.call("run")
    session.call("write_file", {"path": "features.py", "content": "broken("})
    session.call("run")
    found: list[Outcome] = []
    threads = [threading.Thread(target=lambda: found.append(session.reward())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(outcome) for outcome in found}) == 1
    assert (found[0].ended_by, found[0].steps, found[0].runs) == ("best_run", 3, 2)
    assert found[0].reward > 1
    assert not session.call("submit").ok
    assert session.reward() is found[0]


def test_an_episode_that_was_left_goes_on_from_its_record(
    make_host: MakeHost, task: Task, good: dict[str, str]
) -> None:
    host = make_host()
    left = host.open(task, seed=5)
    written(left, good)
    left.call("run")
    restored = host.open(task, seed=5, restore=left.run_directory)
    assert [run.number for run in restored.play.runs] == [1]
    outcome = restored.reward()
    assert outcome.ended_by == "best_run"
    assert outcome.reward == left.reward().reward


def test_without_a_run_the_files_are_submitted(make_host: MakeHost, task: Task, good: dict[str, str]) -> None:
    session = make_host().open(task)
    written(session, good)
    assert session.reward().ended_by == "files"
    assert session.reward().reward > 1


def test_actions_that_are_used_up_end_it(make_host: MakeHost, task: Task, good: dict[str, str]) -> None:
    session = make_host(max_steps=1).open(task)
    written(session, good)
    assert "The episode is over" in session.call("run").text
    assert session.reward().ended_by == "steps"


def test_a_run_that_nobody_waits_for_is_stopped_before_the_best_is_submitted(
    make_host: MakeHost, task: Task, good: dict[str, str]
) -> None:
    session = make_host().open(task)
    written(session, good)
    session.call("run")
    session.call("write_file", {"path": "features.py", "content": SLOW})
    step = session.submit("run")
    eventually(lambda: bool(session.poll(step).running))
    assert session.reward().ended_by == "best_run"
    assert session.poll(step).status == "done"
    assert session.reward().reward > 1


# ---- failures


def test_a_failing_machine_is_an_error_and_no_reward(
    make_host: MakeHost, task: Task, sandbox: Sandbox, good: dict[str, str]
) -> None:
    session = make_host(sandbox=FailingSandbox(sandbox, 2)).open(task)
    written(session, good)
    with pytest.raises(InfraError, match="no space for another sandbox"):
        session.call("submit")
    for _ in range(2):
        with pytest.raises(InfraError, match="play it again"):
            session.reward()
    another = make_host(sandbox=FailingSandbox(sandbox, 1)).open(task)  # the first attempt alone fails
    written(another, good)
    assert another.reward().reward > 1
    with pytest.raises(InfraError, match="no space"):
        make_host(sandbox=FailingSandbox(sandbox, 2)).open(task).reward()


def test_closing_ends_what_trains_and_leaves_no_reward(make_host: MakeHost, task: Task) -> None:
    host = make_host()
    session = host.open(task)
    session.call("write_file", {"path": "features.py", "content": SLOW})
    step = session.submit("submit")
    eventually(lambda: bool(session.poll(step).running))
    session.close()
    session.close()
    with pytest.raises(EpisodeLeft):
        session.result(step)
    with pytest.raises(EpisodeLeft, match="before it was over"):
        session.reward()
    with pytest.raises(EpisodeLeft, match="closed"):
        session.call("list_files")
    host.close()
    eventually(lambda: not psutil.Process().children(recursive=True) or not _children_of_exams())
    with pytest.raises(EpisodeLeft, match="make another one"):
        host.open(task)


def _children_of_exams() -> list[str]:
    """Command lines below this process that have to do with exams."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            line = " ".join(child.cmdline())
        except psutil.Error:
            continue
        if "main.py" in line:
            found.append(line)
    return found


def test_a_deadline_holds(make_host: MakeHost, task: Task) -> None:
    session = make_host().open(task)
    session.call("write_file", {"path": "features.py", "content": SLOW})
    assert "stopped" in session.call("run", deadline_s=0.5).text
    with pytest.raises(EpisodeLeft, match="deadline"):
        session.reward(deadline_s=0.5)
    with pytest.raises(EpisodeLeft, match="deadline"):
        session.reward()


# ---- many, and event loops


def test_many_sessions_play_in_threads_and_in_an_event_loop(
    make_host: MakeHost, task: Task, sandbox: Sandbox, good: dict[str, str]
) -> None:
    host = make_host()

    async def play(seed: int) -> float:
        session = await host.aopen(task, seed=seed)
        for name, text in good.items():
            await session.acall("write_file", {"path": name, "content": text})
        assert (await session.acall("run")).ok
        outcome = await session.areward()
        await session.aclose()
        return outcome.reward

    async def all_of_them() -> list[float]:
        return list(await asyncio.gather(*(play(seed) for seed in range(4))))

    assert asyncio.run(all_of_them()) == [gym_reward(task, sandbox, good, seed) for seed in range(4)]


def test_cancelling_in_an_event_loop_ends_the_step_or_the_episode(make_host: MakeHost, task: Task) -> None:
    host = make_host()

    async def play() -> None:
        session = await host.aopen(task)
        await session.acall("write_file", {"path": "features.py", "content": SLOW})
        run = asyncio.create_task(session.acall("run"))
        while not session.play.env.unwrapped.running:  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert (await session.acall("list_files")).ok  # the episode goes on
        reward = asyncio.create_task(session.areward())
        while not (session.poll("step-1").over and session.play.env.unwrapped.running):  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)
        reward.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reward
        with pytest.raises(EpisodeLeft):
            await session.areward()
        opening = asyncio.create_task(host.aopen(task))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    asyncio.run(play())
    eventually(lambda: not host._sessions)


def test_a_shared_host_is_not_closed(make_host: MakeHost, task: Task, sandbox: Sandbox) -> None:
    from discoenv.exams.host import Host

    with Host(sandbox) as shared:
        with make_host(host=shared, sandbox="auto") as host:
            host.open(task)
        again = make_host(host=shared).open(task)
        assert again.reward().ended_by == "files"


def test_an_entry_keeps_its_seed_unless_another_is_given(make_host: MakeHost, task: Task) -> None:
    host = make_host()
    entry = TaskEntry("train", 4, "train-4", 4, task)
    assert host.open(entry).entry.seed == 4
    assert host.open(entry, seed=9).entry.seed == 9


# ---- frameworks


def test_a_missing_framework_is_one_message_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, framework in FRAMEWORKS.items():
        monkeypatch.setitem(FRAMEWORKS, name, Framework(framework.title, "no_such_package", framework.extra))
        with pytest.raises(PackageMissing) as caught:
            require(name)
        assert str(caught.value) == (
            f"the adapter for {framework.title} needs the package no-such-package: "
            f"pip install 'discoenv[{framework.extra}]'"
        )
    monkeypatch.setitem(FRAMEWORKS, "harbor", Framework("Harbor", "no_such_package", "harbor", (9, 1)))
    with pytest.raises(PackageMissing, match=r"needs Python 9.1 or newer, and this is 3"):
        require("harbor")


@pytest.mark.parametrize("name", ["inspect_ai", "openenv", "nemo_gym"])
def test_an_adapter_without_its_framework_says_how_to_install_it(name: str) -> None:
    if importlib.util.find_spec(FRAMEWORKS[name].module) is not None:
        pytest.skip(f"{FRAMEWORKS[name].title} is installed here")
    with pytest.raises(PackageMissing, match=re.escape(FRAMEWORKS[name].command)):
        importlib.import_module(f"discoenv.adapters.{name}")


def test_the_tool_session_of_a_session_is_the_usual_one(make_host: MakeHost, task: Task) -> None:
    session = make_host().open(task)
    assert isinstance(session.play, ToolSession)
    assert session.play.files.keys() == base_modules(task).keys()
