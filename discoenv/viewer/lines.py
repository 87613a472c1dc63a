"""JSON from files that another process is still writing, and back to JSON that browsers accept."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class NotThere(LookupError):
    """What was asked for is not in the runs; the message says what."""


class JsonLines:
    """The records of a ``.jsonl`` file that may grow; only what is new is read.

    A last line without its line end is left for later, a complete line that is not a JSON object is skipped.

    Attributes:
        generation: raised whenever the file was replaced or cut, so that all was read anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0
        self._identity = 0
        self._end = 0
        self._places: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._places)

    def new(self) -> Iterator[Record]:
        """Records that were added since the last call; all of them if the file is another one than before."""
        with open_regular(self.path) as file:
            if file is None:
                return
            status = os.fstat(file.fileno())
            if status.st_ino != self._identity or status.st_size < self._end:
                self.generation += bool(self._identity)
                self._identity, self._end, self._places = status.st_ino, 0, []
            file.seek(self._end)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                place = (self._end, len(line))
                self._end += len(line)
                record = _parsed(line)
                if record is not None:
                    self._places.append(place)
                    yield record

    def read(self, index: int) -> Record:
        """One record, from the disk.

        Raises:
            NotThere: there is none with this index, or not any more.
        """
        if not 0 <= index < len(self._places):
            raise NotThere(f"{self.path.name} has no record {index}")
        start, length = self._places[index]
        with open_regular(self.path) as file:
            if file is None:
                raise NotThere(f"{self.path.name} is gone")
            file.seek(start)
            record = _parsed(file.read(length))
        if record is None:
            raise NotThere(f"record {index} of {self.path.name} is gone")
        return record


class open_regular:  # noqa: N801 - it is used as ``open`` is
    """Open a file for reading bytes; None if there is none. A link or a device is not followed: it counts as none.

    Somebody else's run directory could hold a link to a private file, and an exported page would carry its content.
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


def read_text(path: Path, most: int = 4 << 20) -> str:
    """A regular file's text, at most ``most`` bytes of it; empty if there is no such file."""
    with open_regular(path) as file:
        return "" if file is None else file.read(most).decode("utf-8", errors="replace")


def dumps(value: Any) -> str:
    """ASCII JSON. Numbers that JSON does not know become the strings ``NaN``, ``Infinity`` and ``-Infinity``."""
    return json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def mapping(value: Any) -> Record:
    """A dict, or an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """A list, or an empty one."""
    return value if isinstance(value, list) else []


def total(values: Any) -> float | None:
    """Sum of the finite numbers of a list; None if it has none."""
    numbers = [found for found in map(number, sequence(values)) if found is not None]
    return math.fsum(numbers) if numbers else None


def _parsed(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else json.dumps(value)
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return value
