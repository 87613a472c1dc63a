"""What README.md and docs/usage.md say is true: their code runs, their commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
USAGE = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every command of the pages that is not covered by ``.ci/run`` itself (make) or by the installation."""
    found = [block for page in (README, USAGE) for block in blocks("bash", page)]
    lines = [line.partition("  #")[0].strip() for block in found for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(("make ", "pip ", "git "))]


def test_the_ten_lines_run(tmp_path: Path) -> None:
    example = blocks("python")[0]
    assert len(example.strip().splitlines()) <= 15
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    (reward,) = re.findall(r"^(-?\d+\.\d+) runs/", done.stdout, flags=re.MULTILINE)
    assert float(reward) > 0


def table(page: str) -> list[list[str]]:
    """The cells of the table that has a column for MLS-Bench, its heads first."""
    lines = [line for line in page.partition("| | discoenv | DiscoGen |")[2].splitlines() if line.startswith("|")]
    rows = [line for line in lines if not line.startswith("|---")]
    return [["heads"], *([cell.strip() for cell in row.strip("|").split("|")] for row in rows[:4])]


def test_each_cell_of_the_comparison_has_its_evidence() -> None:
    coming_from = (ROOT / "docs" / "coming_from.md").read_text(encoding="utf-8")
    compared, evidence = table(README)[1:], table(coming_from)[1:]
    assert len(compared) == 4
    assert [row[0] for row in evidence] == [row[0] for row in compared]
    for row, places in zip(compared, evidence, strict=True):
        assert len(row) == len(places) == 7
        assert all(re.search(r"\]\([^)]+\)$", place) for place in places[1:]), row[0]


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 120


def test_an_environment_on_a_shared_host_runs(tmp_path: Path) -> None:
    (example,) = blocks("python", USAGE)
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['data_processing.py', 'model.py']\n"


def test_the_loop_for_an_agent_plays_an_episode(tmp_path: Path) -> None:
    import gymnasium as gym

    import discoenv  # noqa: F401

    namespace: dict[str, object] = {}
    exec(blocks("python")[1], namespace)
    replies = iter(["not JSON", '{"edits": [{"path": "elsewhere.py", "content": ""}]}', '{"command": "submit"}'])
    env = gym.make("DiscoGen-v0", domain="GreenhouseGasPrediction", scale="tiny", runs_dir=tmp_path / "runs")
    try:
        assert namespace["play"](env, lambda prompt: next(replies)) == -1.0  # type: ignore[operator]
    finally:
        env.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One working directory for all commands: some need what the one before has made."""
    return tmp_path_factory.mktemp("readme")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme_works(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    words = shlex.split(command)
    program = {"python": [sys.executable], "discoenv": [sys.executable, "-m", "discoenv.cli.main"]}[words[0]]
    arguments = [str(ROOT / word) if (ROOT / word).is_file() else word for word in words[1:]]
    done = subprocess.run([*program, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
