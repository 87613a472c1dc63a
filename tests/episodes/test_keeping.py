"""What was computed is kept: a full disk, or a folder that goes away, ends no episode and loses no result."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from discoenv.env import DiscoGenEnv
from discoenv.episodes import jsonl
from discoenv.episodes.jsonl import JsonLines
from discoenv.episodes.record import EpisodeRecord
from discoenv.episodes.transcript import CallRecorder, read_calls
from discoenv.errors import InfraError, RecordError
from discoenv.sandbox.base import Sandbox
from discoenv.scoring import baselines
from discoenv.tasks.task import Task

MakeEnv = Callable[..., DiscoGenEnv]


@pytest.fixture
def make_env(sandbox: Sandbox, task: Task, tmp_path: Path, good: dict[str, str]) -> Iterator[MakeEnv]:
    """Environments of the toy task, closed after the test."""
    made: list[DiscoGenEnv] = []

    def make(**arguments: Any) -> DiscoGenEnv:
        defaults: dict[str, Any] = {"task": task, "sandbox": sandbox, "runs_dir": tmp_path / "runs"}
        made.append(DiscoGenEnv(**(defaults | arguments)))
        return made[-1]

    yield make
    for env in made:
        env.close()


@pytest.fixture
def submit(good: dict[str, str]) -> dict[str, Any]:
    return {"edits": [{"path": name, "content": text} for name, text in good.items()], "command": "submit"}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel writes what fits, and refuses the rest, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def full(path: Path) -> Iterator[None]:
    """A file that cannot be written for lack of space; what it held comes back after that."""
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    path.symlink_to("/dev/full")
    try:
        yield
    finally:
        path.unlink()
        aside.rename(path)


@pytest.mark.parametrize("room", [0, 1, 5, 8])
@pytest.mark.parametrize("torn", ["", '{"torn'])
def test_a_line_is_written_whole_or_not_at_all_and_all_readers_agree(tmp_path: Path, room: int, torn: str) -> None:
    path = tmp_path / "episode.jsonl"
    jsonl.append(path, '{"a": 1}')
    with path.open("a") as file:
        file.write(torn)
    growing, before = JsonLines(path), path.read_bytes()
    seen = list(growing.new())
    with files_of_at_most(len(before) + room), pytest.raises(OSError, match="too large"):
        jsonl.append(path, '{"a": 2}')
    assert path.read_bytes() == before
    seen += growing.new()
    for number in (3, 4):
        jsonl.append(path, f'{{"a": {number}}}')
        seen += growing.new()
    assert seen == list(jsonl.read(path)) == [{"a": 1}, {"a": 3}, {"a": 4}]


def test_a_reward_outlives_a_disk_that_is_full_when_it_is_recorded(
    make_env: MakeEnv, submit: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    env = make_env()
    _, info = env.reset(seed=0)
    run = Path(info["run_directory"])
    assert "record_error" not in info
    with full(run / "episode.jsonl"), caplog.at_level(logging.WARNING):
        _, reward, terminated, _, info = env.step(submit)
        assert terminated
        assert float(reward) > 1
        assert info["record_error"].startswith(f"{run}: the record cannot be written: No space left on device. ")
        assert "make room there, or make it writable" in info["record_error"]
        assert "infra_error" not in info
        assert [event.event for event in env.history.events] == ["reset", "step"]
    assert caplog.messages == [info["record_error"].replace("2 writes", "1 writes")]
    assert EpisodeRecord.load(run).result is None
    env.close()
    record = EpisodeRecord.load(run)
    assert record.result is not None
    assert record.result.reward == record.events[-1].reward == reward


def test_what_could_not_be_written_is_written_with_the_next_step(make_env: MakeEnv, submit: dict[str, Any]) -> None:
    env = make_env()
    _, info = env.reset(seed=0)
    run = Path(info["run_directory"])
    run.rename(run.with_name("away"))
    _, _, _, _, info = env.step({**submit, "command": "run"})
    assert f"{run}: the record cannot be written: No such file or directory" in info["record_error"]
    assert "record_error" in env.step("run")[-1]
    run.with_name("away").rename(run)
    _, reward, _, _, info = env.step("submit")
    assert "record_error" not in info
    record = EpisodeRecord.load(run)
    assert [event.step for event in record.events] == [0, 1, 1, 2]  # the second run repeats the first one
    assert record.modules(1) == {edit["path"]: edit["content"] for edit in submit["edits"]}
    assert record.result is not None
    assert record.result.reward == reward


def test_what_is_lost_in_the_end_is_named(
    make_env: MakeEnv, submit: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    env = make_env()
    _, info = env.reset(seed=0)
    run = Path(info["run_directory"])
    run.rename(run.with_name("away"))
    assert float(env.step(submit)[1]) > 1
    caplog.clear()
    env.close()
    (lost,) = caplog.records
    assert lost.levelno == logging.ERROR
    assert f"{run}: the record cannot be written" in lost.getMessage()
    assert "lost with this process" in lost.getMessage()


@pytest.mark.parametrize("place", ["runs", "runs/below"])
def test_a_folder_in_which_nothing_can_be_recorded_any_more_is_an_error_of_the_machine_before_the_episode(
    make_env: MakeEnv, tmp_path: Path, place: str
) -> None:
    env = make_env(runs_dir=tmp_path / place)
    (tmp_path / "runs").touch()
    with pytest.raises(RecordError, match=r"no run can be recorded there: .*runs_dir= names another folder") as caught:
        env.reset(seed=0)
    assert str(caught.value).startswith(str(tmp_path / place))
    (tmp_path / "runs").unlink()
    assert env.reset(seed=0)[1]["run_directory"].startswith(str(tmp_path / place))


def test_a_workspace_that_cannot_be_written_is_an_error_of_the_machine(
    make_env: MakeEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(InfraError, match=r"workspace could not be written: .*let TMPDIR name another folder"):
        env.reset(seed=0)


def test_a_conversation_goes_on_while_the_disk_is_full(tmp_path: Path) -> None:
    recorder = CallRecorder(tmp_path)
    recorder.agent("a", {})
    with full(recorder.path):
        recorder.tool_call({"name": "run"})
        recorder.tool_call({"name": "submit"})
    recorder.end({"reason": "over"})
    assert [call["event"] for call in read_calls(tmp_path)] == ["agent", "tool_call", "tool_call", "end"]


def test_costs_are_compared_although_the_cache_cannot_be_written(
    make_env: MakeEnv, task: Task, submit: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(baselines, "write", fail)
    env = make_env(task=task.model_copy(update={"objective": "time"}))
    env.reset(seed=0)
    _, _, _, _, info = env.step(submit)
    assert "ratio" in info["reward_parts"], info.get("infra_error")
