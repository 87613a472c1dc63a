"""Writes that are kept in memory while the disk cannot take them, and made as soon as it can."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

_logger = logging.getLogger(__name__)


class KeptWrites:
    """A queue of writes to one folder, made in order. Thread safe.

    What is recorded was expensive: a full disk, a quota or a file server that is away must neither end an episode nor
    lose a result. A write that fails stays first in the queue, and is tried again with each later one and by
    :meth:`flush`. Each write must leave nothing behind where it fails.

    Args:
        folder: what messages name.

    Attributes:
        folder: as given.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._queue: deque[Callable[[], object]] = deque()
        self._error: OSError | None = None

    def __len__(self) -> int:
        """Number of writes that wait."""
        return len(self._queue)

    def add(self, write: Callable[[], object]) -> None:
        """Make a write now, after those that wait; or keep it."""
        with self._lock:
            self._queue.append(write)
            self.flush()

    def flush(self) -> bool:
        """Try again what waits. Whether nothing waits any more."""
        with self._lock:
            while self._queue:
                try:
                    self._queue[0]()
                except OSError as error:
                    if self._error is None:
                        self._error = error
                        _logger.warning(self.problem)
                    self._error = error
                    return False
                self._queue.popleft()
            if self._error is not None:
                self._error = None
                _logger.warning("%s: written again, nothing is missing", self.folder)
            return True

    @property
    def problem(self) -> str | None:
        """What cannot be written, where and why, and what to do; None while all is written."""
        with self._lock:
            error = self._error
            if error is None:
                return None
            return (
                f"{self.folder}: the record cannot be written: {error.strerror or error}. {len(self._queue)} writes "
                "are kept in memory and tried again at each step and at the end: make room there, or make it writable"
            )
