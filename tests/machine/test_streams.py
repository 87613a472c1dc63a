"""Programs work whichever of their standard streams are closed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from tests.conftest import TOY

PLAY = """
import os, sys
from pathlib import Path
from discoenv.tasks import registry
registry.BUILTIN = Path({toy!r})
from discoenv.env import DiscoGenEnv
{between}
env = DiscoGenEnv(task={task!r}, sandbox={sandbox!r}, runs_dir=None)
env.reset(seed=0)
_, reward, terminated, _, info = env.step("submit")
env.close()
Path({result!r}).write_text(f"{{terminated}} {{info.get('infra_error')}}")
"""
CLOSED = ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"]


def run(shell: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """A program whose standard streams a shell has closed."""
    command = ["/bin/sh", "-c", f'exec "$@" {shell}', "sh", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)


@pytest.mark.parametrize(
    ("closed", "between"),
    [*((closed, "") for closed in CLOSED), ("", "os.close(0); os.close(1); os.close(2)")],  # later, as daemons do
)
def test_an_episode_is_played_without_standard_streams(
    closed: str, between: str, task: Task, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    result = tmp_path_factory.mktemp("played") / "result"
    program = PLAY.format(
        toy=str(TOY),
        task=task.model_dump(mode="json"),
        sandbox=sandbox.name,
        result=str(result),
        between=between,
    )
    done = run(closed, sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    assert result.read_text() == "True None"


@pytest.mark.parametrize("closed", CLOSED)
def test_commands_work_without_standard_streams(closed: str) -> None:
    done = run(closed, sys.executable, "-m", "discoenv.cli.main", "get-domains")
    assert (done.returncode, done.stderr) == (0, "")
    assert ("OnPolicyRL" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))
