"""``discoenv replay`` and ``gc``."""

from __future__ import annotations

import os
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
    assert f"recorded {reward:.6f}, again 0.000000" in result.stdout
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
    assert "reward: recorded not finished, again 0.000000" in result.stdout


def test_gc_removes_what_killed_processes_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: Domain) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    (tmp_path / f"discoenv-{namespace}-{os.getpid()}-1-orphan").mkdir()
    result = invoke("gc")
    assert result.exit_code == 0
    assert "removed 1" in result.stdout
    assert not list(tmp_path.glob("discoenv-*"))
