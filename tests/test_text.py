"""Text that others produced, and terminals that lack characters, end no command."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from discoenv import text
from discoenv.episodes import jsonl
from discoenv.machine import atomic

LONE = "before \ud800 after"


def test_lone_surrogates_are_escaped_wherever_text_is_written(tmp_path: Path) -> None:
    assert text.printable(LONE) == "before \\ud800 after"
    assert text.printable("café … 🎉") == "café … 🎉"
    atomic.write_text(tmp_path / "file", LONE)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "before \\ud800 after"
    jsonl.append(tmp_path / "lines", f'{{"text": "{LONE}"}}')
    assert list(jsonl.read(tmp_path / "lines")) == [{"text": LONE}]


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [("utf-8", b"\xe2\x9c\x93 2\xc3\x97 \\ud800\n"), ("latin-1", b"ok 2\xd7 \\ud800\n"), ("ascii", b"ok 2x \\ud800\n")],
)
def test_a_guarded_stream_takes_any_text(monkeypatch: pytest.MonkeyPatch, encoding: str, printed: bytes) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", None)  # as where there is no console
    text.guard_streams()
    print("✓ 2× \ud800", flush=True)
    assert raw.getvalue() == printed


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["bench", "run", "--help"],
        ["doctor", "--help"],
        ["show", "BayesianOptimisation_all"],
        ["count-tasks"],
        ["show", "BayesianOptimisation_\udcff"],
    ],
)
def test_commands_print_to_any_terminal(encoding: str, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "discoenv.cli.main", *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "100"},
    )
    written = (done.stdout + done.stderr).decode(encoding)
    assert "Traceback" not in written
    assert len(written) > 100
    if "\udcff" in arguments[-1]:
        assert done.returncode == 1
        assert "error: no DiscoBench task is called" in written


def test_the_doctor_prints_to_any_terminal() -> None:  # once, because it tries the imports of every domain
    done = subprocess.run(
        [sys.executable, "-m", "discoenv.cli.main", "doctor"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert b"Traceback" not in done.stdout + done.stderr
    assert len(done.stdout) > 100


def test_scripts_of_agents_print_to_any_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "agents/scripted.py", "--help"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
