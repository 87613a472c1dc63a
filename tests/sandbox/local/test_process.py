"""The provider without isolation: limits, paths and cleaning up still hold."""

from __future__ import annotations

import os
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from discoenv.sandbox import Command, Limits, Mount
from discoenv.sandbox.local.process import ProcessSandbox


@pytest.fixture
def process() -> Iterator[ProcessSandbox]:
    provider = ProcessSandbox()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield provider
    provider.close()


def alive_with(mark: str) -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in file.read_bytes():
                found.append(str(file))
        except OSError:
            continue
    return found


def test_it_warns_once_and_says_that_it_does_not_isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProcessSandbox, "_warned", False)
    command = Command(("python", "-c", ""), cwd="/tmp")
    with pytest.warns(UserWarning, match="does not isolate") as warned:
        ProcessSandbox().run(command, Limits())
        ProcessSandbox().run(command, Limits())
    assert len(warned) == 1
    assert not ProcessSandbox.isolated


def test_paths_of_mounts_are_rewritten(process: ProcessSandbox, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import os; print(os.getcwd(), os.environ['DATA'], os.environ['HOME'])")
    command = Command(
        ("python", "/workspace/main.py"), cwd="/workspace", mounts=(Mount(tmp_path, "/workspace"),),
        env={"DATA": "/workspace/data:/workspaces"},
    )  # fmt: skip
    outcome = process.run(command, Limits())
    cwd, data, home = outcome.stdout.split()
    assert (cwd, data) == (str(tmp_path), f"{tmp_path}/data:/workspaces")
    assert home.startswith(tempfile.gettempdir() + "/discoenv-scratch-")


def test_scratch_is_private_and_removed(process: ProcessSandbox) -> None:
    outcome = process.run(
        Command(("python", "-c", "import os; open('x', 'w'); print(os.getcwd())"), cwd="/tmp"), Limits()
    )
    assert outcome.exit_code == 0, outcome
    assert not Path(outcome.stdout.strip()).exists()


def test_the_environment_is_not_inherited(process: ProcessSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    outcome = process.run(Command(("python", "-c", "import os; print(dict(os.environ))"), cwd="/tmp"), Limits())
    assert "secret" not in outcome.stdout


def test_limits_and_exit_codes(process: ProcessSandbox) -> None:
    def run(code: str, **limits: float) -> tuple[str, int | None]:
        outcome = process.run(Command(("python", "-c", code), cwd="/tmp"), Limits(**limits))  # type: ignore[arg-type]
        return outcome.reason, outcome.exit_code

    assert run("raise SystemExit(3)") == ("exited", 3)
    assert run("import os; os.abort()") == ("exited", -6)
    assert run("while True: pass", wall_s=0.3) == ("wall_time", None)
    hungry = "kept = []\nwhile True: kept.append(bytearray(b'x' * 1_000_000))"
    assert run(hungry, memory_bytes=100 << 20) == ("memory", None)


def test_a_daemon_that_left_session_and_parent_is_killed(process: ProcessSandbox) -> None:
    mark = uuid.uuid4().hex
    code = f"""
import os, time  # {mark}
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 3)
        time.sleep(600)
    os._exit(0)
os.wait()
"""
    assert process.run(Command(("python", "-c", code), cwd="/tmp"), Limits()).exit_code == 0
    assert alive_with(mark) == []


def test_an_unknown_directory_is_reported(process: ProcessSandbox) -> None:
    from discoenv.errors import SandboxError

    with pytest.raises(SandboxError, match="/nowhere"):
        process.run(Command(("python", "-c", ""), cwd="/nowhere"), Limits())


def test_a_command_begins_on_the_cores_that_it_is_given(process: ProcessSandbox) -> None:
    core = max(os.sched_getaffinity(0))
    code = "import os; print(os.sched_getaffinity(0))"
    outcome = process.run(Command(("python", "-c", code), cwd="/tmp"), Limits(wall_s=60.0, cores=(core,)))
    assert outcome.stdout == f"{{{core}}}\n"
