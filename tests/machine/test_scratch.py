"""Temporary directories are found again when their owner was killed, and only then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from discoenv.machine import scratch


def test_a_directory_is_private_and_removed(tmp_path: Path) -> None:
    directory = scratch.make(tmp_path)
    assert directory.parent == tmp_path
    assert directory.stat().st_mode & 0o777 == 0o700
    (directory / "sub").mkdir()
    (directory / "sub" / "file").write_text("x")
    scratch.remove(directory)
    scratch.remove(directory)
    assert list(tmp_path.iterdir()) == []


def test_a_socket_fits_into_its_path() -> None:
    directory = scratch.make(Path("/tmp"))
    try:
        assert len(str(directory / "exam" / "socket")) < 80
    finally:
        scratch.remove(directory)


def test_what_a_killed_process_left_is_reaped_and_nothing_else(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from discoenv.machine import scratch
directory = scratch.make(Path({str(tmp_path)!r}))
(directory / "file").write_text("x")
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    (orphan,) = tmp_path.iterdir()
    mine = scratch.make(tmp_path)
    others = [tmp_path / name for name in ("discoenv-1", "discoenv-x-y-z", "other", "discoenv-12-")]
    for other in others:
        other.mkdir()
    (tmp_path / "discoenv-1-1-file").write_text("a file whose name looks alike")
    assert scratch.reap(tmp_path) == [orphan]
    assert mine.is_dir()
    assert all(other.is_dir() for other in others)
    assert scratch.reap(tmp_path) == []


def test_a_reused_process_id_is_distinguished(tmp_path: Path) -> None:
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    stale = tmp_path / f"discoenv-{namespace}-{os.getpid()}-1-abc"
    stale.mkdir()
    assert scratch.reap(tmp_path) == [stale]


def test_a_directory_of_another_pid_namespace_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "discoenv-1-99999999-1-abc"
    other.mkdir()
    assert scratch.reap(tmp_path) == []
