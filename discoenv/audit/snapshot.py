"""What an exploit must not change: a picture of everything around the sandbox, taken before and after."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from discoenv.machine.owner import owner_tag
from discoenv.machine.processes import descendants, processes
from discoenv.sandbox.local import cgroup

_EXAMINER = b"discoenv.exams.examiner_process"


@dataclass(frozen=True)
class Surroundings:
    """A picture.

    Attributes:
        files: digest of each file of the workspace: type, mode, time of change, content.
        folders: this process's temporary folders, and whatever carries the exploits' mark.
        processes: pids below this process but the examiner's, and all processes that carry the mark.
        sockets: Unix sockets of the host that carry the mark.
        groups: this process's control groups.
    """

    files: frozenset[tuple[str, str]]
    folders: frozenset[str]
    processes: frozenset[int]
    sockets: frozenset[str]
    groups: frozenset[str]

    def changes(self, later: Surroundings) -> list[str]:
        """What is different in ``later``, one line each."""
        differences = [f"{path} of the workspace changed" for path, _ in sorted(self.files ^ later.files)]
        differences += [f"{path} was left behind" for path in sorted(later.folders - self.folders)]
        differences += [f"process {pid} was left behind" for pid in sorted(later.processes - self.processes)]
        differences += [f"socket {name} was left behind" for name in sorted(later.sockets - self.sockets)]
        differences += [f"control group {name} was left behind" for name in sorted(later.groups - self.groups)]
        return differences


def look(workspace: Path, mark: str) -> Surroundings:
    """Take a picture; ``mark`` is a word in the names of all that exploits leave behind."""
    return Surroundings(
        files=frozenset((str(path.relative_to(workspace)), _digest(path)) for path in workspace.rglob("*")),
        folders=frozenset(_folders(mark)),
        processes=frozenset(_processes(mark)),
        sockets=frozenset(line for line in _lines(Path("/proc/net/unix")) if mark in line),
        groups=frozenset(_groups()),
    )


def _digest(path: Path) -> str:
    status = path.lstat()
    content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
    return f"{status.st_mode:o} {status.st_mtime_ns} {status.st_nlink} {hashlib.sha256(content).hexdigest()}"


def _folders(mark: str) -> list[str]:
    places = {Path(tempfile.gettempdir()), Path("/dev/shm"), Path("/var/tmp"), Path.home(), Path.cwd()}  # noqa: S108
    own = f"-{owner_tag()}-"
    return [str(path) for place in places if place.is_dir() for path in place.iterdir() if mark in path.name or
            own in path.name]  # fmt: skip


def _processes(mark: str) -> list[int]:
    below = [seen.pid for seen in descendants(os.getpid()) if seen.pid != os.getpid() and seen.state not in "ZX"]
    found = [pid for pid in below if _EXAMINER not in _command(pid)]
    return [*found, *(pid for pid in processes() if pid != os.getpid() and mark.encode() in _command(pid))]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _groups() -> list[str]:
    place = cgroup.usable_place()
    return [str(group) for group in cgroup.ours(place) if owner_tag() in group.name] if place else []
