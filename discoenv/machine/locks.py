"""File locks that all users of a machine share; the kernel frees what a dead process held.

They lie in one place whatever ``TMPDIR`` says, because those who do not share it do share the cores. Children made by
``os.fork()`` do not hold them, see :mod:`discoenv.machine.forks`.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import math
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

from discoenv.errors import SandboxError
from discoenv.machine import forks

_logger = logging.getLogger(__name__)
_LONG_S: Final = 10.0
_SHARED_MODE: Final = 0o1777
_PLACES: Final = (Path("/dev/shm"), Path("/tmp"))  # noqa: S108 (what is below them is checked)

#: The folder that the machine's folders of locks are in, instead of one for all users: for tests, and for containers
#: that share a machine and a folder.
FOLDER_VARIABLE: Final = "DISCOENV_LOCKS"
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


def machine_folder(name: str) -> Path:
    """The folder of this machine's locks of one kind, the same for all its users and for every ``TMPDIR``.

    It is made where it is missing. Where another user holds its name with something else, such as a folder that only
    they may write to, it is one of this user's own, and a warning says so.

    Raises:
        OSError: no folder can be made.
        SandboxError: ``DISCOENV_LOCKS`` names something that is no folder.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        folder = Path(chosen) / name
        shared_folder(folder)
        return folder
    place = next((each for each in _PLACES if _is_shared(each)), Path(tempfile.gettempdir()))
    folder = place / name
    try:
        shared_folder(folder)
        if _is_shared(folder) or folder.lstat().st_uid == os.getuid():
            return folder
    except (SandboxError, PermissionError):
        pass
    own = place / f"{name}-{os.getuid()}"
    message = (
        f"{folder} is no folder that all users may write to, so exams do not wait for those of other users: its owner "
        "should remove it"
    )
    say_if_long(-math.inf, message)
    shared_folder(own)
    if own.lstat().st_uid != os.getuid():
        raise SandboxError(f"{own} belongs to another user, it should hold locks: set {FOLDER_VARIABLE} to a folder")
    return own


def _is_shared(path: Path) -> bool:
    """Whether it is a folder in which every user may make files and only their owners remove them."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) and stat.S_IMODE(mode) & _SHARED_MODE == _SHARED_MODE


def shared_folder(path: Path) -> None:
    """Make a folder in which every user may make files and only their owners remove them, as in ``/tmp``.

    Raises:
        SandboxError: something else is there.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(parents=True)
        path.chmod(_SHARED_MODE)
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
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        if not create:
            raise
        descriptor = _made(path, flags)
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


def _made(path: Path, flags: int) -> int:
    """Open a file that was missing, for all users to lock, whatever the umask."""
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:  # another process was faster
        return os.open(path, flags)
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, 0o644)
    return descriptor
