"""Temporary directories that know their owner, so that what a killed process left behind is found and removed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from discoenv.machine.owner import is_abandoned, is_owned, owner_tag

#: Where Unix sockets can be, whose paths are limited to 107 bytes, if TMPDIR has a long path.
_SHORT: Final = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - the directories made there are private
#: Bytes of a path in which a directory of :func:`make` and a socket in a folder of it have room.
_ROOM: Final = 40


def make(root: Path | None = None, *, for_sockets: bool = False) -> Path:
    """A new private directory, in the system's one for temporary files, whose name contains its owner's PID.

    Args:
        root: another place.
        for_sockets: if the path of the system's one is too long for Unix sockets, it is made in ``/tmp`` or
            ``/var/tmp``, where these can be written.
    """
    if root is None and for_sockets and len(os.fsencode(tempfile.gettempdir())) > _ROOM:
        root = next((place for place in _SHORT if os.access(place, os.W_OK)), None)
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
    for place in [root] if root else {Path(tempfile.gettempdir()), *_SHORT}:
        for path in place.glob("discoenv-*"):
            if is_abandoned(path.name):
                with contextlib.suppress(OSError):
                    if path.stat().st_uid == os.getuid():
                        shutil.rmtree(path)
                        removed.append(path)
    return removed
