"""``discoenv replay`` and ``gc``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from discoenv import objectives
from discoenv.env import DiscoGenEnv
from discoenv.exams import secrets
from discoenv.exams.host import Host
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules
from tests.cli.commands import fails, invoke
from tests.conftest import POLYNOMIAL_FEATURES


def test_replay_gives_the_recorded_reward(task: Task, sandbox: Sandbox, tmp_path: Path) -> None:
    env = DiscoGenEnv(task=task, sandbox=sandbox, runs_dir=tmp_path)
    _, info = env.reset(seed=11)
    modules = base_modules(task) | {"features.py": POLYNOMIAL_FEATURES}
    edits = [{"path": name, "content": text} for name, text in modules.items()]
    _, reward, *_ = env.step({"edits": edits, "command": "submit"})
    env.close()
    result = invoke("replay", info["run_directory"])
    assert result.exit_code == 0, result.output
    assert f"reward: recorded {reward:.6f}, again {reward:.6f}" in result.stdout
    assert "Wave" in result.stdout


def test_replay_finds_the_secret_of_a_benchmark(
    task: Task, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    secret = secrets.new()
    path = secrets.keep(secret)
    with Host(sandbox, secret=secret) as host:
        env = DiscoGenEnv(task=task.model_copy(update={"start": "base"}), host=host, runs_dir=tmp_path)
        _, info = env.reset(seed=11)
        _, reward, *_ = env.step("submit")
        env.close()
    result = invoke("replay", info["run_directory"])
    assert f"reward: recorded {reward:.6f}, again {reward:.6f}" in result.stdout
    assert "another secret" not in result.stderr
    path.unlink()
    result = invoke("replay", info["run_directory"])
    assert f"reward: recorded {reward:.6f}, again {reward:.6f}" not in result.stdout
    assert "exams came from another secret" in " ".join(result.stderr.split())


def shortest(task: Task, scores: Any, modules: Any) -> objectives.Reward:
    """A reward function of a user."""
    return objectives.Reward(-float(sum(len(text) for text in modules.values())), {})


def test_replay_takes_the_users_reward_function(
    task: Task, sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = DiscoGenEnv(task=task, sandbox=sandbox, runs_dir=tmp_path, reward_fn=shortest)
    _, info = env.reset(seed=11)
    _, reward, *_ = env.step("submit")
    env.close()
    run, name = info["run_directory"], f"{__name__}:shortest"
    result = invoke("replay", run)
    assert f"recorded {reward:.6f}, again -1.000000" in result.stdout
    assert f"The recorded reward was made by {name}," in " ".join(result.stderr.split())
    result = invoke("replay", run, "--reward-fn", name)
    assert f"recorded {reward:.6f}, again {reward:.6f}" in result.stdout
    assert "made by" not in result.stderr
    for wrong, message in (("nowhere:f", "No module named 'nowhere'"), ("math:pi", "is float, which cannot be called")):
        assert f"--reward-fn {wrong}: {message}" in fails(capsys, "replay", run, "--reward-fn", wrong)


def test_replay_scores_a_run_that_was_cut_off(task: Task, sandbox: Sandbox, tmp_path: Path) -> None:
    env = DiscoGenEnv(task=task, sandbox=sandbox, runs_dir=tmp_path)
    _, info = env.reset(seed=11)
    env.close()
    with (Path(info["run_directory"]) / "episode.jsonl").open("a") as file:
        file.write('{"event": "st')
    result = invoke("replay", info["run_directory"])
    assert "reward: recorded not finished, again -1.000000" in result.stdout


def test_gc_removes_what_killed_processes_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: Domain) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    (tmp_path / f"discoenv-{namespace}-{os.getpid()}-1-orphan").mkdir()
    result = invoke("gc")
    assert result.exit_code == 0
    assert "removed 1" in result.stdout
    assert not list(tmp_path.glob("discoenv-*"))


# ---- run directories may come from anywhere


def recorded(task: Task, sandbox: Sandbox, runs: Path, change: Mapping[str, Any]) -> str:
    """The directory of an episode, whose ``episode.json`` was changed."""
    env = DiscoGenEnv(task=task, sandbox=sandbox, runs_dir=runs)
    _, info = env.reset(seed=11)
    env.step("submit")
    env.close()
    path = Path(info["run_directory"]) / "episode.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | dict(change)))
    return str(info["run_directory"])


def test_packs_that_a_run_names_are_loaded_on_request_only(
    task: Task, sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = tmp_path / "no pack"
    run = recorded(task, sandbox, tmp_path / "runs", {"packs": [str(pack)]})
    for command in (("replay", run), ("draw", run)):
        message = fails(capsys, *command)
        assert f"the run names packs of domains, whose code would be run: {pack}" in message
        assert "give --trust" in message
        assert "give --trust" not in (looked_for := fails(capsys, *command, "--trust"))
        assert str(pack) in looked_for


def test_the_sandbox_that_a_run_names_is_used_on_request_only(
    task: Task, sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = recorded(task, sandbox, tmp_path, {"sandbox": "process"})
    assert invoke("replay", run).exit_code == 0
    run = recorded(task, sandbox, tmp_path, {"sandbox": "no_such_package:Sandbox"})
    assert invoke("replay", run).exit_code == 0
    assert "no_such_package" in fails(capsys, "replay", run, "--trust")


def test_replay_says_when_the_exams_are_others(
    task: Task, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded(task, sandbox, tmp_path, {})
    assert invoke("replay", run).stderr == "[1/1] Wave …\n"
    older = recorded(task, sandbox, tmp_path, {"secret": None})
    assert "of an older protocol, whose exams had public seeds" in " ".join(invoke("replay", older).stderr.split())
    secrets.write(tmp_path / "secret", secrets.new())
    monkeypatch.setenv(secrets.VARIABLE, str(tmp_path / "secret"))
    assert "came from another secret" in " ".join(invoke("replay", run).stderr.split())
