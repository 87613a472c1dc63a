"""Temporary directories that know their owner, so that what a killed process left behind is found and removed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

_NAME = re.compile(r"^discoenv-(\d+)-(\d+)-")


def make(root: Path | None = None) -> Path:
    """A new private directory whose name holds this process's id and start time.

    Its path is kept short because Unix sockets, whose paths are limited to 107 bytes, live in it.
    """
    prefix = f"discoenv-{os.getpid()}-{start_time(os.getpid())}-"
    return Path(tempfile.mkdtemp(prefix=prefix, dir=root))


def remove(directory: Path) -> None:
    """Remove a directory made by :func:`make`; it may be gone already."""
    shutil.rmtree(directory, ignore_errors=True)


def reap(root: Path | None = None) -> list[Path]:
    """Remove the directories of processes that no longer run, and return them."""
    removed = []
    for path in Path(root or tempfile.gettempdir()).glob("discoenv-*"):
        match = _NAME.match(path.name)
        if match and start_time(int(match.group(1))) != int(match.group(2)):
            with contextlib.suppress(OSError):
                if path.stat().st_uid == os.getuid():
                    shutil.rmtree(path)
                    removed.append(path)
    return removed


def start_time(pid: int) -> int:
    """Start time of a process in clock ticks since boot, or −1 if it does not run; tells reused ids apart."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return -1
    return int(fields[19])
