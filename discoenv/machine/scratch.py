"""Temporary directories that know their owner, so that what a killed process left behind is found and removed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from discoenv.machine.owner import is_abandoned, is_owned, owner_tag


def make(root: Path | None = None) -> Path:
    """A new private directory, in the system's one for temporary files, whose name contains its owner's PID.

    Its path is kept short because Unix sockets, whose paths are limited to 107 bytes, live in it.
    """
    return Path(tempfile.mkdtemp(prefix=f"discoenv-{owner_tag()}-", dir=root))


def remove(directory: Path) -> None:
    """Remove a directory made by :func:`make`, or one in it; it may be gone already.

    A child made by ``os.fork()`` removes nothing of its parent's.
    """
    if is_owned(directory):
        shutil.rmtree(directory, ignore_errors=True)


def reap(root: Path | None = None) -> list[Path]:
    """Remove the directories of processes that no longer run, and return them."""
    removed = []
    for path in Path(root or tempfile.gettempdir()).glob("discoenv-*"):
        if is_abandoned(path.name):
            with contextlib.suppress(OSError):
                if path.stat().st_uid == os.getuid():
                    shutil.rmtree(path)
                    removed.append(path)
    return removed
