"""Warm examiner processes that exams take in turn, over episodes and environments of one process."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

from discoenv.exams.client import ExaminerProcess
from discoenv.exams.slots import usable_cores


class ExaminerPool:
    """Keeps examiner processes warm between exams: what they have imported, loaded and compiled is used again.

    Thread safe. Processes in use are as many as exams at a time; those waiting are ended from the one that has waited
    longest. Close it to end them all; it ends them too when it is garbage-collected or the program ends.

    Args:
        idle: most processes that wait for their next exam; None: one per usable core, at least two.
    """

    def __init__(self, idle: int | None = None) -> None:
        self._most = max(2, usable_cores()) if idle is None else idle
        self._lock = threading.Lock()
        self._idle: list[tuple[Path, ExaminerProcess]] = []  # the one that has waited longest is the first
        self._end = weakref.finalize(self, _end_all, self._idle)

    @contextlib.contextmanager
    def lease(self, directory: Path) -> Iterator[ExaminerProcess]:
        """An examiner process of the domain in ``directory``, for one exam; a new one if none waits.

        One whose exam ends with an exception is ended, not used again.
        """
        with self._lock:
            match = next((entry for entry in reversed(self._idle) if entry[0] == directory), None)
            if match is not None:
                self._idle.remove(match)
        process = ExaminerProcess(directory) if match is None else match[1]
        try:
            yield process
        except BaseException:
            process.close()
            raise
        ended = []
        with self._lock:
            self._idle.append((directory, process))
            while len(self._idle) > (self._most if self._end.alive else 0):
                ended.append(self._idle.pop(0))
        _end_all(ended)

    def close(self) -> None:
        """End the processes that wait; one in use ends after its exam. Safe to call again."""
        with self._lock:
            self._end()


def _end_all(entries: list[tuple[Path, ExaminerProcess]]) -> None:
    while entries:
        entries.pop()[1].close()
