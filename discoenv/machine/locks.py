"""File locks that all users of a machine share; the kernel frees what a dead process held.

Children made by ``os.fork()`` do not hold them, see :mod:`discoenv.machine.forks`.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import time
from pathlib import Path
from typing import Final

from discoenv.errors import SandboxError
from discoenv.machine import forks

_logger = logging.getLogger(__name__)
_LONG_S: Final = 10.0
_said: set[str] = set()


def say_if_long(since: float, message: str) -> None:
    """Log a warning, once per process, when a wait takes longer than 10 s, so that it does not look like a hang.

    Args:
        since: when the wait began, in seconds of ``time.monotonic()``.
        message: what is waited for.
    """
    if message not in _said and time.monotonic() - since >= _LONG_S:
        _said.add(message)
        _logger.warning(message)


def shared_folder(path: Path) -> None:
    """Make a folder in which every user may make files and only their owners remove them, as in ``/tmp``.

    Raises:
        SandboxError: something else is there.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(parents=True)
        path.chmod(0o1777)
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise SandboxError(f"{path} must be a folder, it holds locks: remove what is there")


def try_lock(path: Path, kind: int, *, create: bool = True) -> int | None:
    """A descriptor that holds the lock, or None; :func:`unlock` it.

    Locking takes no right to write, so users can share the files.

    Args:
        path: the file.
        kind: ``fcntl.LOCK_EX`` or ``fcntl.LOCK_SH``.
        create: make the file if it is missing.

    Raises:
        FileNotFoundError: it is missing and may not be made.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        if not create:
            raise
        descriptor = os.open(path, flags | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return forks.keep(descriptor)


def unlock(descriptor: int) -> None:
    """Let a lock go that :func:`try_lock` got. Nothing in a child, which does not hold it."""
    forks.release(descriptor)
