"""A served episode of the toy domain: the command, its settings, and what its results say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from discoenv.sandbox.base import Sandbox
from tests.adapters.playing import REAL, Played, base_of, real_task
from tests.conftest import TOY

TASK = (
    "domain: toy/Toy\nmodules: [model, features]\nmeta_train: [Line]\nmeta_test: [Wave]\nscale: tiny\ntest_seeds: 1\n"
)


if TYPE_CHECKING:
    from mcp_types import CallToolResult


def text(result: CallToolResult) -> str:
    from mcp_types import TextContent  # only where the package is

    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.fixture(params=["toy", *REAL])
def played(request: pytest.FixtureRequest) -> Played:
    """The toy task with better modules, and a task of each of three domains with its base modules."""
    if request.param == "toy":
        return Played(request.getfixturevalue("task"), request.getfixturevalue("good"))
    task = real_task(request.param)
    return Played(task, base_of(task))


@pytest.fixture
def arguments(tmp_path: Path, sandbox: Sandbox) -> list[str]:
    """Of the command that serves a toy task."""
    task = tmp_path / "task.yaml"
    task.write_text(TASK)
    rest = ["--sandbox", sandbox.name, "--seed", "0", "--max-steps", "4", "--runs", str(tmp_path / "runs")]
    return ["-m", "discoenv.cli.main", "mcp", "--task", str(task), *rest]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "DISCOENV_PACKS": str(TOY), "XDG_CACHE_HOME": str(tmp_path / "cache")}


@contextmanager
def served(arguments: list[str], environment: dict[str, str]) -> Iterator[str]:
    """The command with --http, and its URL."""
    command = [sys.executable, *arguments, "--http", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = []
    try:
        for line in process.stderr:
            lines.append(line)
            found = re.search(r"serving at (\S+)", line)
            if found:
                break
        else:
            raise AssertionError("".join(lines))
        reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
        reader.start()
        yield found[1]
    finally:
        process.terminate()
        process.wait(120)
    reader.join(120)
    assert "Traceback" not in "".join(lines)
