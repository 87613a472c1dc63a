"""Slots for exams: how many may run at once, in this process and, by file locks, on this machine.

More exams than cores would only slow each other down, into their compute budgets, so a slot is a core of one's own. An
exam whose costs are compared must not be disturbed at all, so it takes every slot.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from discoenv.machine.locks import say_if_long, shared_folder, try_lock

_POLL_S: Final = 0.02
_BUSY: Final = "an exam waits for others to end: one per core runs on this machine, whichever processes they belong to"

#: Set to 0, learners are not pinned to cores: where the nodes' scheduler does that, or strangers share the cores.
PIN_VARIABLE: Final = "DISCOENV_PIN"


class WaitEnded(RuntimeError):
    """``give_up`` ended the wait for a slot."""


class Cores:
    """At most ``count`` exams at once among all who share this object; and on the machine, at most one per core.

    First come, first served within the object. Among processes, whoever waits for the whole machine keeps later ones
    from starting, so nobody waits forever; the kernel frees what a dead process held. Only cores that this process may
    use (its CPU affinity) are taken; exams beyond their number, if ``count`` allows them, have no core of their own.

    Args:
        count: slots; None: one per core that this process may use.
        folder: where the machine's locks are; default: one for all users of this machine. Processes count as on one
            machine if they use the same folder.
        pin: tell whoever holds a slot which core it is, so that the learner is bound to it. None: unless the variable
            ``DISCOENV_PIN`` is 0, or a container's quota grants less than all the cores that it shows, because then
            others use them whose locks we do not see.

    Raises:
        ValueError: ``count`` is not positive.
    """

    def __init__(self, count: int | None = None, folder: Path | None = None, *, pin: bool | None = None) -> None:
        if count is not None and count < 1:
            raise ValueError(f"slots is {count}; at least one exam must be able to run")
        self.count = count or usable_cores()
        self._folder = folder or Path(tempfile.gettempdir()) / "discoenv-slots"
        self._pin = _may_pin() if pin is None else pin
        self._free = self.count
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, *, alone: bool = False, give_up: Callable[[], bool] = lambda: False) -> Iterator[tuple[int, ...]]:
        """Wait for a slot and hold it.

        Args:
            alone: hold all slots of the machine, because time, energy or memory is measured.
            give_up: asked again and again while waiting; True ends the wait.

        Yields:
            The core that is the slot's, to pin the learner to; empty if it has none of its own or nothing is pinned.

        Raises:
            WaitEnded: ``give_up`` said so.
            OSError: the locks cannot be made.
        """
        with self._held(self.count if alone else 1, give_up), self._machine(alone, give_up) as core:
            yield () if core is None or not self._pin else (core,)

    @contextlib.contextmanager
    def _held(self, need: int, give_up: Callable[[], bool]) -> Iterator[None]:
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            try:
                while self._queue[0] is not ticket or self._free < need:
                    if give_up():
                        raise WaitEnded("nobody waits for this exam any more")
                    self._changed.wait(_POLL_S)
                self._free -= need
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += need
                self._changed.notify_all()

    @contextlib.contextmanager
    def _machine(self, alone: bool, give_up: Callable[[], bool]) -> Iterator[int | None]:
        """Go through the door, one at a time, and take a place, or the whole machine; yields the place's core, if any.

        Those who wait for places stand in a line of those who may use the same cores, so that nobody waits behind
        someone whose own cores are taken; only the first of a line is past the door.
        """
        shared_folder(self._folder)
        cores = sorted(os.sched_getaffinity(0))
        core: int | None = cores[-1]  # always the same one when alone, and rather not 0, which serves most interrupts
        with contextlib.ExitStack() as held:
            with contextlib.ExitStack() as line:
                if not alone:
                    self._lock(line, [f"line-{zlib.crc32(str(cores).encode()):08x}"], fcntl.LOCK_EX, give_up)
                with contextlib.ExitStack() as door:
                    self._lock(door, ["door"], fcntl.LOCK_EX, give_up)
                    self._lock(held, ["machine"], fcntl.LOCK_EX if alone else fcntl.LOCK_SH, give_up)
                if not alone:
                    places = [f"place-{number}" for number in cores]
                    places += [f"shared-{number}" for number in range(self.count - len(cores))]
                    taken = self._lock(held, places, fcntl.LOCK_EX, give_up)
                    core = cores[taken] if taken < len(cores) else None
            yield core

    def _lock(self, stack: contextlib.ExitStack, names: list[str], kind: int, give_up: Callable[[], bool]) -> int:
        """Wait until one of the files can be locked, and return its index; ``stack`` unlocks it."""
        since = time.monotonic()
        while True:
            for index, name in enumerate(names):
                descriptor = try_lock(self._folder / name, kind)
                if descriptor is not None:
                    stack.callback(os.close, descriptor)
                    return index
            if give_up():
                raise WaitEnded("nobody waits for this exam any more")
            say_if_long(since, _BUSY)
            time.sleep(_POLL_S)


def usable_cores() -> int:
    """Cores that this process may use: its affinity, bounded by a container's quota where there is one."""
    cores = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))  # "max" is no number, and no bound
    return cores


def _may_pin() -> bool:
    return os.environ.get(PIN_VARIABLE) != "0" and usable_cores() == len(os.sched_getaffinity(0))
