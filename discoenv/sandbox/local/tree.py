"""The processes of one command: measured, held to their limits and killed as a whole.

:class:`ProcessTree` is the interface; :class:`WatchedTree` does it with ``/proc`` alone, by looking again and again.
It is for machines where no cgroup can be made (see :mod:`discoenv.sandbox.local.cgroup` for the better way).
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar, Literal

from discoenv.errors import SandboxError
from discoenv.machine.processes import Stat, descendants, is_alive, proportional_bytes, send_kill
from discoenv.sandbox.base import EndReason, Limits
from discoenv.sandbox.cpu_clock import CpuClock

#: Seconds that SIGKILL may take; only a process stuck in the kernel needs more.
KILL_PATIENCE_S = 20.0


class ProcessTree(ABC):
    """A command's processes, whatever they forked.

    Attributes:
        cpu_s: CPU seconds seen so far, whole tree.
        peak_memory_bytes: largest resident memory seen so far, whole tree.
    """

    method: ClassVar[Literal["cgroup", "sampled"]]

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.peak_memory_bytes = 0

    @abstractmethod
    def begin(self, pid: int) -> None:
        """Say which process is the root."""

    @abstractmethod
    def cpu_clock(self) -> CpuClock | None:
        """Where its CPU seconds can be read at any time; None before it has begun or if nowhere."""

    @abstractmethod
    def sample(self) -> EndReason | None:
        """Measure now; the limit that is broken, if one is."""

    @abstractmethod
    def destroy(self) -> None:
        """Kill every process with SIGKILL, wait until all are gone and release what was held. Safe to call again.

        Raises:
            SandboxError: a process outlived SIGKILL by KILL_PATIENCE_S.
        """


def kill_and_wait(find: Callable[[], Iterable[Stat]]) -> None:
    """SIGKILL what ``find`` returns, again and again, until nothing that it ever returned is alive.

    Raises:
        SandboxError: something was alive KILL_PATIENCE_S later.
    """
    deadline = time.monotonic() + KILL_PATIENCE_S
    known: dict[tuple[int, int], Stat] = {}
    pause = 0.0005
    while True:
        known |= {(seen.pid, seen.start): seen for seen in find()}
        known = {key: seen for key, seen in known.items() if is_alive(seen)}
        if not known:
            return
        if time.monotonic() > deadline:
            pids = ", ".join(str(seen.pid) for seen in known.values())
            raise SandboxError(f"processes {pids} outlived SIGKILL by {KILL_PATIENCE_S:.0f} s: see `ps -o stat,wchan`")
        for seen in known.values():
            send_kill(seen.pid)
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


class WatchedTree(ProcessTree):
    """A tree followed through ``/proc``.

    The sum of resident memory is cheap but counts shared pages once per process, so a breach is confirmed with
    proportional memory before anything is killed. What happens between two samples is not seen.

    Args:
        limits: the bounds to watch.
        scratch: where the private ``/tmp`` and ``/dev/shm`` are seen from outside, given the tree's processes;
            what is written there counts as memory. None where they are on disk.
        strays: finds processes that have left the tree, for providers without a pid namespace.
    """

    method = "sampled"

    def __init__(
        self,
        limits: Limits,
        scratch: Callable[[list[Stat]], int] = lambda _: 0,
        strays: Callable[[set[int]], list[Stat]] = lambda _: [],
    ) -> None:
        super().__init__()
        self._limits = limits
        self._scratch = scratch
        self._strays = strays
        self._root = 0
        self._known: dict[int, Stat] = {}

    def begin(self, pid: int) -> None:
        """Follow the tree below ``pid``."""
        self._root = pid

    def cpu_clock(self) -> CpuClock | None:
        """The processes below the root."""
        return CpuClock(root=self._root) if self._root else None

    def _find(self, enough: float = math.inf) -> list[Stat]:
        """Who is alive: below the root, below anyone seen before (orphans), and strays."""
        found = {seen.pid: seen for seen in descendants(self._root, enough)} if self._root else {}
        for seen in list(self._known.values()) + self._strays(set(found)):
            if seen.pid not in found and is_alive(seen):
                found |= {each.pid: each for each in descendants(seen.pid, enough)}
        return list(found.values())

    def sample(self) -> EndReason | None:
        """Walk the tree once."""
        found = self._find(enough=self._limits.processes + 1)
        self._known = {seen.pid: seen for seen in found}
        self.cpu_s = max(self.cpu_s, sum(seen.cpu_s for seen in found))
        scratch = self._scratch(found)
        memory = scratch + sum(seen.resident_bytes for seen in found)
        if memory > self._limits.memory_bytes:
            memory = scratch + sum(self._proportional(seen) for seen in found)
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory)
        if memory > self._limits.memory_bytes:
            return "memory"
        if sum(seen.threads for seen in found) > self._limits.processes:
            return "processes"
        return None

    @staticmethod
    def _proportional(seen: Stat) -> int:
        exact = proportional_bytes(seen.pid)
        return seen.resident_bytes if exact is None else exact

    def destroy(self) -> None:
        """Kill until nothing is found; those known first, because a pid namespace dies with its first process."""
        for seen in self._known.values():
            if is_alive(seen):
                send_kill(seen.pid)
        kill_and_wait(self._find)
        self._root, self._known = 0, {}
