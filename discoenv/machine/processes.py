"""Processes of this machine, as ``/proc`` shows them."""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Stat(NamedTuple):
    """What ``/proc/<pid>/stat`` says of a process; ``start``, in clock ticks, identifies a reused pid."""

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


class Threads(NamedTuple):
    """What threads do at one moment.

    Attributes:
        ready: how many run, or could if they got a core.
        blocked: how many are in an uninterruptible wait, as for a disk.
        delay_s: seconds that all of them have been ready without a core so far, waits that go on not included; 0 where
            the kernel does not say.
    """

    ready: int
    blocked: int
    delay_s: float


def threads_of(pid: int) -> list[int]:
    """The ids of a process's threads."""
    try:
        return [int(name) for name in os.listdir(_PROC / str(pid) / "task")]  # noqa: PTH208 (a fifth of the cost)
    except OSError:
        return []


def threads(tids: Iterable[int]) -> Threads:
    """What these threads do now; those that are gone count as nothing."""
    ready = blocked = delay_ns = 0
    for tid in tids:
        try:
            text = (_PROC / str(tid) / "stat").read_text(errors="replace")
            state = text[text.rindex(")") + 2]
        except (OSError, ValueError, IndexError):
            continue
        ready += state == "R"
        blocked += state == "D"
        with contextlib.suppress(OSError, ValueError, IndexError):
            # of a thread, not of its process: /proc/<tid> of a thread that is no process's first shows its own
            delay_ns += int((_PROC / str(tid) / "schedstat").read_text().split()[1])
    return Threads(ready, blocked, delay_ns / 1e9)


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


def command_line(pid: int) -> list[str]:
    """The arguments that a process was started with; empty if it is gone or may not be looked at."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def is_alive(seen: Stat) -> bool:
    """Whether the same process still runs (a zombie does not)."""
    now = stat(seen.pid)
    return now is not None and now.start == seen.start and now.state not in "ZX"


def send_kill(pid: int) -> None:
    """SIGKILL, if the process still exists and is ours."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
