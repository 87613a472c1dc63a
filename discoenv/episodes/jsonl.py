"""JSON lines: one object per line, appended as things happen, and read while the file still grows.

This is the only reader and the only writer of such files. A reader takes nothing on trust: it opens regular files only
(no links, no devices), holds one line at a time, skips lines that are damaged or too long, and leaves a last line
without its line end for later.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from discoenv.machine.regular import open_regular
from discoenv.text import encoded

Json = dict[str, Any]

#: Longer lines, in bytes, are skipped.
MOST_LINE_BYTES: Final = 256 << 20


class NotThere(LookupError):
    """What was asked for is not in the file, or not any more; the message says what."""


def append(path: Path, line: str) -> None:
    """Append one line of JSON and flush it to the disk; the whole line, or nothing where that fails.

    If the last line of the file was cut off, by a crash, the new one starts behind it: the torn line is lost, and no
    other.

    Args:
        path: the file; made if it does not exist.
        line: one JSON object without a line end, or several with line ends between them.

    Raises:
        OSError: it cannot be written, for example for lack of space.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        end = os.fstat(descriptor).st_size
        torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
        left = memoryview((b"\n" if torn else b"") + encoded(line) + b"\n")
        try:
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        except OSError:  # no reader may take a part of a line for the whole, and no later line may begin in it
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, end)
            raise
    finally:
        os.close(descriptor)


def read(path: Path) -> Iterator[Json]:
    """The objects of a file, from the first complete line to the last; none if there is no such file."""
    return JsonLines(path).new()


class JsonLines:
    """A file of JSON lines that may grow; only what is new is read.

    Args:
        path: the file; it need not exist yet.
        most_line_bytes: longer lines are skipped.

    Attributes:
        path: the file.
        generation: raised whenever the file was replaced or cut, so that all was read anew.
    """

    def __init__(self, path: Path, most_line_bytes: int = MOST_LINE_BYTES) -> None:
        self.path = path
        self.generation = 0
        self._most = most_line_bytes
        self._identity = 0
        self._end = 0
        self._places: list[tuple[int, int]] = []

    def __len__(self) -> int:
        """Number of objects that were read."""
        return len(self._places)

    def new(self) -> Iterator[Json]:
        """Objects that were added since the last call; all of them if the file is another one than before."""
        with open_regular(self.path) as file:
            if file is None:
                return
            status = os.fstat(file.fileno())
            if status.st_ino != self._identity or status.st_size < self._end:
                self.generation += bool(self._identity)
                self._identity, self._end, self._places = status.st_ino, 0, []
            file.seek(self._end)
            for length, line in _complete_lines(file, self._most):
                place = (self._end, length)
                self._end += length
                content = None if line is None else _parsed(line)
                if content is not None:
                    self._places.append(place)
                    yield content

    def read(self, index: int) -> Json:
        """One object, from the disk.

        Raises:
            NotThere: there is none with this index, or not any more.
        """
        if not 0 <= index < len(self._places):
            raise NotThere(f"{self.path.name} has no line {index}")
        start, length = self._places[index]
        with open_regular(self.path) as file:
            if file is None:
                raise NotThere(f"{self.path.name} is gone")
            file.seek(start)
            content = _parsed(file.read(length))
        if content is None:
            raise NotThere(f"line {index} of {self.path.name} is gone")
        return content


def _complete_lines(file: Any, most: int) -> Iterator[tuple[int, bytes | None]]:
    """Length in bytes and text of each line up to the last line end; the text is None if it is longer than ``most``."""
    while line := file.readline(most):
        length, last = len(line), line
        while not last.endswith(b"\n"):
            last = file.readline(most)
            if not last:
                return
            length += len(last)
        yield length, line if length == len(line) else None


def _parsed(line: bytes) -> Json | None:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
