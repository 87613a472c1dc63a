"""Control groups: the kernel counts and bounds a command's whole tree. Versions 1 and 2, as root or delegated.

A group is named ``discoenv-<pid namespace>-<pid>-<start>-<n>`` after its owner, so that the next start can remove
what a killed owner left. Groups are made below our own, so no limit that is set on us is escaped.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from discoenv.machine.owner import is_abandoned, owner_tag
from discoenv.machine.processes import Stat, stat
from discoenv.sandbox.base import EndReason, Limits
from discoenv.sandbox.cpu_clock import CpuClock, clock_of_groups
from discoenv.sandbox.local.tree import ProcessTree, kill_and_wait

_CPU_PERIOD_US = 100_000
#: The part of its limit that a group's memory had reached if that limit is why the kernel killed a process.
_NEARLY = 0.9
_counter = itertools.count()
_lock = threading.Lock()
_usable: dict[int, CgroupPlace | None] = {}


@dataclass(frozen=True)
class CgroupPlace:
    """Where groups are made: one directory per controller (all the same in version 2).

    Attributes:
        version: 1 or 2.
        parents: directory for each of ``memory``, ``pids`` and, where there is one, ``cpu`` and ``cpuacct``.
    """

    version: int
    parents: dict[str, Path]


def find_place(proc: Path = Path("/proc/self")) -> CgroupPlace | None:
    """Where this process may make groups that bound memory and processes, judged by ``mountinfo`` and ``cgroup``."""
    try:
        mounts = list(_cgroup_mounts((proc / "mountinfo").read_text()))
        lines = [line.split(":", 2) for line in (proc / "cgroup").read_text().splitlines()]
    except OSError:
        return None
    membership = {controller: path for _, names, path in lines for controller in names.split(",")}
    parents: dict[str, Path] = {}
    for mount in mounts:
        for controller in {"memory", "pids", "cpu", "cpuacct"} & mount.controllers & membership.keys():
            own = mount.directory(membership[controller])
            if own and os.access(own, os.W_OK | os.X_OK):
                parents.setdefault(controller, own)
    if {"memory", "pids"} <= parents.keys():
        return CgroupPlace(1, parents)
    for mount in mounts:
        own = mount.directory(membership.get("", "")) if mount.version == 2 else None
        for directory in _upwards(own, mount.point) if own else ():
            if _distributes(directory):
                return CgroupPlace(2, dict.fromkeys(("memory", "pids", "cpu", "cpuacct"), directory))
    return None


@dataclass(frozen=True)
class _Mount:
    version: int
    root: str
    point: Path
    controllers: frozenset[str]

    def directory(self, membership: str) -> Path | None:
        """Our own group's directory; None if this mount does not show it."""
        if not membership:
            return None
        inside = os.path.relpath(membership, self.root)
        if inside.startswith(".."):  # the mount is a container's part of the tree, which is then the whole of it
            inside = "."
        directory = self.point / inside
        return directory if (directory / "cgroup.procs").exists() else None


def _cgroup_mounts(mountinfo: str) -> Iterator[_Mount]:
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            root, point = before.split()[3:5]
            yield _Mount(2 if kind == "cgroup2" else 1, root, Path(point), frozenset(options.split(",")))


def _upwards(directory: Path, top: Path) -> Iterator[Path]:
    while directory != top:
        yield directory
        directory = directory.parent
    yield top


def _distributes(directory: Path) -> bool:
    """Version 2: groups made here have the memory and pids controllers, and we may make them."""
    try:
        controllers = (directory / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False
    return {"memory", "pids"} <= set(controllers) and os.access(directory, os.W_OK | os.X_OK)


def usable_place() -> CgroupPlace | None:
    """The place that was tried and works, None if there is none. Tried once per process; also removes leftovers."""
    with _lock:
        if os.getpid() not in _usable:
            place = find_place()
            if place:
                reap(place)
                place = place if _works(place) else None
            _usable[os.getpid()] = place
        return _usable[os.getpid()]


def _works(place: CgroupPlace) -> bool:
    tree = None
    try:
        tree = CgroupTree(place, Limits())
        joins = "; ".join(f"echo 0 > '{file}' || exit 1" for file in tree.join_files)
        return subprocess.run(["/bin/sh", "-c", joins], check=False, capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False
    finally:
        if tree:
            tree.destroy()


def reap(place: CgroupPlace) -> None:
    """Remove the groups of owners that are dead."""
    for group in ours(place):
        if is_abandoned(group.name):
            _remove(group)


def ours(place: CgroupPlace) -> list[Path]:
    """The groups of every owner, next to where ours are made and one level around it."""
    found: set[Path] = set()
    for parent in set(place.parents.values()):
        for around in (parent, parent.parent):
            near = _subgroups(around)
            found.update(each for group in (around, *near) for each in _subgroups(group))
    return sorted(group for group in found if group.name.startswith("discoenv-"))


def _subgroups(group: Path) -> list[Path]:
    """The groups below one; those of other processes may vanish at any time, which Path.glob does not forgive."""
    try:
        return [Path(entry.path) for entry in os.scandir(group) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def programs(group: Path) -> list[str]:
    """Names and pids of what runs in a group."""
    names = []
    for member in _members(group):
        try:
            names.append(f"{Path(f'/proc/{member.pid}/comm').read_text().strip()} {member.pid}")
        except OSError:
            continue
    return names


def _members(group: Path) -> list[Stat]:
    try:
        pids = (group / "cgroup.procs").read_text().split()
    except OSError:
        return []
    return [seen for pid in pids if (seen := stat(int(pid)))]


def _remove(group: Path) -> None:
    """Kill what is in the group and remove it."""
    _write(group / "pids.max", 0)  # nothing can fork any more, so killing comes to an end
    _write(group / "cgroup.kill", 1)
    kill_and_wait(lambda: _members(group))
    for _ in range(100):
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.005)  # the kernel still tears the last process down
        else:
            return


def _write(file: Path, value: int | str) -> bool:
    try:
        with file.open("r+") as stream:
            stream.write(str(value))
    except OSError:
        return False
    return True


def _counters(file: Path) -> dict[str, int]:
    """A flat keyed file (``key value`` lines); empty if it is gone."""
    try:
        pairs = (line.split() for line in file.read_text().splitlines())
        return {key: int(value) for key, value in pairs}
    except (OSError, ValueError):
        return {}


def _number(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def groups_of(pid: int) -> tuple[int, dict[str, Path]] | None:
    """Another process's groups as we see them: the version and a directory per controller; None if they are hidden."""
    try:
        mounts = list(_cgroup_mounts(Path("/proc/self/mountinfo").read_text()))
        lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    except OSError:
        return None
    membership = {controller: path for _, names, path in lines for controller in names.split(",")}
    groups: dict[str, Path] = {}
    for mount in mounts:
        for controller in {"memory", "pids", "cpu", "cpuacct"} & mount.controllers & membership.keys():
            if own := mount.directory(membership[controller]):
                groups.setdefault(controller, own)
    if {"memory", "pids"} <= groups.keys():
        return 1, groups
    for mount in mounts:
        own = mount.directory(membership.get("", "")) if mount.version == 2 else None
        if own and (own / "memory.current").exists():
            return 2, dict.fromkeys(("memory", "pids", "cpu", "cpuacct"), own)
    return None


class Meter:
    """Reads what groups have consumed and which of their limits were met; never writes.

    Memory is what no file backs (anonymous, shared, tmpfs): the limit also counts page cache, which the kernel gives
    back before it kills. The peak is the larger of two lower bounds: the samples, and the kernel's own peak less
    all page cache.
    """

    def __init__(self, version: int, groups: dict[str, Path], processes: int) -> None:
        self.cpu_s = 0.0
        self.peak_memory_bytes = 0
        self._version = version
        self._groups = groups
        self._processes = processes

    def sample(self) -> EndReason | None:
        """Read the kernel's counters; the limit that was broken, if one was."""
        memory, pids = self._groups["memory"], self._groups["pids"]
        total = "total_" if self._version == 1 else ""
        values = _counters(memory / "memory.stat")
        in_files = values.get(f"{total}inactive_file", 0) + values.get(f"{total}active_file", 0)
        if self._version == 2:
            resident = values.get("anon", 0) + values.get("shmem", 0)
            peak = _number(memory / "memory.peak")
            events = _counters(memory / "memory.events")
            # `oom` counts at the group whose limit was met and above it, `oom_kill` where the killed process was.
            killed = events.get("oom_kill", 0)
            own: bool | None = events.get("oom", 0) > 0
            self.cpu_s = max(self.cpu_s, _counters(memory / "cpu.stat").get("usage_usec", 0) / 1e6)
        else:
            resident = values.get("total_rss", 0) + values.get("total_shmem", 0)
            peak = _number(memory / "memory.max_usage_in_bytes")
            killed = _counters(memory / "memory.oom_control").get("oom_kill", 0)
            own = None  # there is no count that is sure
            if "cpuacct" in self._groups:
                self.cpu_s = max(self.cpu_s, _number(self._groups["cpuacct"] / "cpuacct.usage") / 1e9)
        self.peak_memory_bytes = max(self.peak_memory_bytes, resident, peak - in_files)
        if killed:
            if own is None:
                own = self.peak_memory_bytes >= _NEARLY * _number(memory / "memory.limit_in_bytes")
            return "memory" if own else "machine_memory"
        # A program that meets the limit once sees EAGAIN and may cope; one that keeps on forking is stopped.
        if _counters(pids / "pids.events").get("max", 0) > self._processes:
            return "processes"
        return None


class CgroupTree(ProcessTree):
    """A tree in its own group; a process joins by writing 0 to each of ``join_files``.

    Raises:
        OSError: the group could not be made.
    """

    method = "cgroup"

    def __init__(self, place: CgroupPlace, limits: Limits) -> None:
        super().__init__()
        name = f"discoenv-{owner_tag()}-{next(_counter)}"
        self._version = place.version
        self._groups = {controller: parent / name for controller, parent in place.parents.items()}
        self._meter = Meter(place.version, self._groups, limits.processes)
        try:
            for group in set(self._groups.values()):
                group.mkdir()
            self._set_limits(limits)
        except OSError:
            self.destroy()
            raise
        self.join_files = sorted({group / "cgroup.procs" for group in self._groups.values()})

    def _set_limits(self, limits: Limits) -> None:
        memory, pids = self._groups["memory"], self._groups["pids"]
        required = [(pids / "pids.max", limits.processes)]
        optional: list[tuple[Path, int | str]] = []
        quota = limits.cpus * _CPU_PERIOD_US
        if self._version == 2:
            required.append((memory / "memory.max", limits.memory_bytes))
            optional += [(memory / "memory.swap.max", 0), (memory / "memory.oom.group", 1)]
            optional += [(self._groups["cpu"] / "cpu.max", f"{quota} {_CPU_PERIOD_US}")]
        else:
            required.append((memory / "memory.limit_in_bytes", limits.memory_bytes))
            optional += [(memory / "memory.memsw.limit_in_bytes", limits.memory_bytes)]
            if "cpu" in self._groups:
                optional += [(self._groups["cpu"] / "cpu.cfs_quota_us", quota)]
        for file, value in required:
            if not _write(file, value):
                raise OSError(f"{file} could not be set to {value}")
        for file, number in optional:
            _write(file, number)

    def begin(self, pid: int) -> None:
        """Nothing to do: the process joins by itself."""

    def cpu_clock(self) -> CpuClock | None:
        """The group's own counter."""
        return clock_of_groups(self._version, self._groups)

    def sample(self) -> EndReason | None:
        """Read the kernel's counters."""
        broken = self._meter.sample()
        self.cpu_s, self.peak_memory_bytes = self._meter.cpu_s, self._meter.peak_memory_bytes
        return broken

    def destroy(self) -> None:
        """Kill the members and remove the groups."""
        self.sample()
        for group in set(self._groups.values()):
            if group.exists():
                _remove(group)
