"""Files that others may have written: read only if they are regular files, and only up to a size."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

#: Most bytes that :func:`read_text` reads by default.
MOST_BYTES = 4 << 20


class open_regular:  # noqa: N801 - it is used as ``open`` is
    """Open a file for reading bytes; None if there is none. A link or a device is not followed: it counts as none.

    A run directory that was sent by others could hold a link to a private file, and an exported page would carry its
    content; opening a pipe would wait for ever.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None

    def __enter__(self) -> Any:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, flags)
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return None
        self._file = os.fdopen(descriptor, "rb")
        return self._file

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()


def require_text(path: Path, most: int = MOST_BYTES) -> str:
    """As :func:`read_text`.

    Raises:
        OSError: there is no such file, or it is a link, a pipe or a device.
    """
    text = read_text(path, most)
    if text is None:
        raise OSError(f"{path}: not a regular file that can be read; links are not followed")
    return text


def read_text(path: Path, most: int = MOST_BYTES) -> str | None:
    """The text of a regular file, at most ``most`` bytes of it; None if there is no such file."""
    with open_regular(path) as file:
        return None if file is None else file.read(most).decode("utf-8", errors="replace")
