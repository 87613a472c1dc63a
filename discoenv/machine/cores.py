"""Cores for exams: how many exams run concurrently, in this process and, by file locks, on this machine.

More exams than cores would slow each other down, into their compute budgets, so each exam holds a core. An exam whose
costs are compared must not be disturbed at all, so it holds all of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from discoenv.machine.locks import machine_folder, say_if_long, shared_folder, try_lock, unlock

_POLL_S: Final = 0.02
_BUSY: Final = "an exam waits for a core: one exam per core runs on this machine, those of other processes included"

_FOLDER: Final = "discoenv-cores"
#: Seconds after which the last reading of the cores' load says little of now, and between the two that replace it.
_STALE_S: Final = 5.0
_GLANCE_S: Final = 0.03
_SHORTEST_S: Final = 0.02

#: Set to 0, learners are not pinned to cores: where the nodes' scheduler does that, or strangers share the cores.
PIN_VARIABLE: Final = "DISCOENV_PIN"


class WaitEnded(RuntimeError):
    """``give_up`` ended the wait for a core."""


class Cores:
    """Runs at most ``count`` exams concurrently among the users of this object, and one per core on the machine.

    First come, first served within the object. Among processes, one that waits for the whole machine keeps later ones
    from starting, so that no process waits forever; the kernel frees what a dead process held. Only cores that this
    process may use (its CPU affinity) are taken; exams beyond their number, if ``count`` allows them, are not pinned.

    Args:
        count: number of exams to run concurrently; None: one per core that this process may use.
        folder: where the machine's locks are; default: one for all users of this machine, whatever their ``TMPDIR``
            (see :func:`discoenv.machine.locks.machine_folder`). Processes that use the same folder share the machine.
        pin: report which core is held, so that the learner is pinned to it. None: yes, unless the variable
            ``DISCOENV_PIN`` is 0, or a container's quota grants less than all the cores that it shows, because then
            programs use them whose locks we do not see.

    Attributes:
        count: number of exams to run concurrently.
        waiting: exams, of the users of this object, that wait for a core at the moment.

    Raises:
        ValueError: ``count`` is not positive.
    """

    def __init__(self, count: int | None = None, folder: Path | None = None, *, pin: bool | None = None) -> None:
        if count is not None and count < 1:
            raise ValueError(f"exams_at_once is {count}; at least one exam must be able to run")
        self.count = count or usable_cores()
        self._folder = folder
        self._load = CoreLoad()
        self._pin = _may_pin() if pin is None else pin
        self._free = self.count
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()
        self.waiting = 0

    @contextlib.contextmanager
    def hold(self, *, alone: bool = False, give_up: Callable[[], bool] = lambda: False) -> Iterator[tuple[int, ...]]:
        """Wait for a core and hold it.

        Args:
            alone: hold the whole machine, because time, energy or memory is measured.
            give_up: polled while waiting; True ends the wait.

        Yields:
            The core to pin the learner to; empty if the exam has none or learners are not pinned.

        Raises:
            WaitEnded: ``give_up`` said so.
            OSError: the locks cannot be made.
        """
        with contextlib.ExitStack() as held:
            self._count_waiting(1)
            try:
                held.enter_context(self._held(self.count if alone else 1, give_up))
                core = held.enter_context(self._machine(alone, give_up))
            finally:
                self._count_waiting(-1)
            yield () if core is None or not self._pin else (core,)

    def _count_waiting(self, change: int) -> None:
        with self._changed:
            self.waiting += change

    @contextlib.contextmanager
    def _held(self, need: int, give_up: Callable[[], bool]) -> Iterator[None]:
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            try:
                while self._queue[0] is not ticket or self._free < need:
                    if give_up():
                        raise WaitEnded("the exam was cancelled while it waited for a core")
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
        """Acquire a core, or with ``alone`` the whole machine; yields the core, or None.

        Waiting processes queue per set of usable cores, so that none waits behind one whose cores are all taken. A
        process that acquires the machine holds the gate, so that those who come later wait behind it.
        """
        folder = self._folder or machine_folder(_FOLDER)
        shared_folder(folder)
        cores = sorted(os.sched_getaffinity(0), reverse=True)
        # Costs are compared on the same one, cores may differ; rather not on 0, which serves most interrupts.
        core: int | None = cores[0]
        if not alone:
            cores = self._load.idlest(sorted(cores))
        with contextlib.ExitStack() as held:
            with contextlib.ExitStack() as queue:
                if not alone:
                    self._lock(
                        folder, queue, [f"line-{zlib.crc32(str(sorted(cores)).encode()):08x}"], fcntl.LOCK_EX, give_up
                    )
                with contextlib.ExitStack() as gate:
                    self._lock(folder, gate, ["door"], fcntl.LOCK_EX, give_up)
                    self._lock(folder, held, ["machine"], fcntl.LOCK_EX if alone else fcntl.LOCK_SH, give_up)
                if not alone:
                    places = [f"place-{number}" for number in cores]
                    places += [f"shared-{number}" for number in range(self.count - len(cores))]
                    taken = self._lock(folder, held, places, fcntl.LOCK_EX, give_up)
                    core = cores[taken] if taken < len(cores) else None
            yield core

    @staticmethod
    def _lock(
        folder: Path, stack: contextlib.ExitStack, names: list[str], kind: int, give_up: Callable[[], bool]
    ) -> int:
        """Wait until one of the files can be locked, and return its index; ``stack`` unlocks it."""
        since = time.monotonic()
        while True:
            for index, name in enumerate(names):
                descriptor = try_lock(folder / name, kind)
                if descriptor is not None:
                    stack.callback(unlock, descriptor)
                    return index
            if give_up():
                raise WaitEnded("the exam was cancelled while it waited for a core")
            say_if_long(since, _BUSY)
            time.sleep(_POLL_S)


class CoreLoad:
    """How busy the cores have been since they were last looked at, by whatever program."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read = (time.monotonic(), _idle_ticks())
        self._busy: dict[int, float] = {}

    def idlest(self, cores: list[int]) -> list[int]:
        """The cores, those first that were used least; among equals, to a tenth, the last ones first."""
        if len(cores) < 2:
            return cores
        with self._lock:
            if time.monotonic() - self._read[0] > _STALE_S:
                self._read = (time.monotonic(), _idle_ticks())
                time.sleep(_GLANCE_S)
            seconds = time.monotonic() - self._read[0]
            if seconds >= _SHORTEST_S:
                ticks = _idle_ticks()
                per_s = os.sysconf("SC_CLK_TCK") * seconds
                self._busy = {
                    core: 1.0 - (idle - self._read[1].get(core, idle)) / per_s for core, idle in ticks.items()
                }
                self._read = (time.monotonic(), ticks)
            return sorted(cores, key=lambda core: (round(10 * self._busy.get(core, 0.0)), -core))


def _idle_ticks() -> dict[int, int]:
    """Clock ticks that each core has been idle since the machine was started; empty where the kernel does not say."""
    try:
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines() if line.startswith("cpu")]
        return {int(fields[0][3:]): int(fields[4]) + int(fields[5]) for fields in lines if fields[0] != "cpu"}
    except (OSError, ValueError, IndexError):
        return {}


def usable_cores() -> int:
    """Cores that this process may use: its affinity, bounded by a container's quota where there is one."""
    cores = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))  # "max" is no number, and no bound
    return cores


def _may_pin() -> bool:
    return os.environ.get(PIN_VARIABLE) != "0" and usable_cores() == len(os.sched_getaffinity(0))
