"""The processes of one command: measured, held to their limits and killed as a whole.

:class:`ProcessTree` is the interface; :class:`WatchedTree` does it with ``/proc`` alone, by looking again and again.
It is for machines where no cgroup can be made (see :mod:`discoenv.sandbox.cgroup` for the better way).
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from discoenv.sandbox.base import EndReason, Limits, SandboxError
from discoenv.sandbox.cpu_clock import CpuClock

_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

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


class Stat(NamedTuple):
    """What ``/proc/<pid>/stat`` says of a process; ``start`` in clock ticks tells a reused pid apart."""

    pid: int
    state: str
    parent: int
    cpu_s: float
    threads: int
    start: int
    resident_bytes: int


def stat(pid: int) -> Stat | None:
    """The process's state, None if it is gone. CPU seconds include children that it has waited for."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before ")" may contain anything
    return Stat(
        pid=pid,
        state=fields[0],
        parent=int(fields[1]),
        cpu_s=sum(map(int, fields[11:15])) / _TICKS_PER_S,
        threads=int(fields[17]),
        start=int(fields[19]),
        resident_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def processes() -> list[int]:
    """All pids that ``/proc`` shows."""
    return [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208 (a fifth of the cost)


def tasks_of(uid: int) -> int:
    """How many processes and threads a user has now."""
    owned = 0
    for pid in processes():
        with contextlib.suppress(OSError):
            if (_PROC / str(pid)).stat().st_uid == uid and (seen := stat(pid)):
                owned += seen.threads
    return owned


def children(pid: int) -> list[int]:
    """The process's children now."""
    found: list[int] = []
    try:
        for task in (_PROC / str(pid) / "task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except FileNotFoundError:
        if (_PROC / "self/task" / str(os.getpid()) / "children").exists():
            return found  # the process ended meanwhile
        return [each for each in processes() if (seen := stat(each)) and seen.parent == pid]
    except OSError:
        pass
    return found


def descendants(root: int, enough: float = math.inf) -> list[Stat]:
    """The process and everything below it, parents first; stops looking when it has ``enough``."""
    found: dict[int, Stat] = {}
    queue = [root]
    while queue and len(found) < enough:
        pid = queue.pop(0)
        if pid not in found and (seen := stat(pid)):
            found[pid] = seen
            queue += children(pid)
    return list(found.values())


def proportional_bytes(pid: int) -> int | None:
    """Resident memory with each shared page divided by the number of its users; None if it may not be read."""
    try:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def is_alive(seen: Stat) -> bool:
    """Whether the same process still runs (a zombie does not)."""
    now = stat(seen.pid)
    return now is not None and now.start == seen.start and now.state not in "ZX"


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


def send_kill(pid: int) -> None:
    """SIGKILL, if the process still exists and is ours."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


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
