"""Processes that discoenv has started on this machine, found by their owner in what they were started with."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, NamedTuple

from discoenv.machine.owner import is_abandoned, owner_pid, owner_tag
from discoenv.machine.processes import command_line, processes, send_kill, stat

#: Variable of a command that has no sandbox around it, by which its processes are found wherever they went.
MARK: Final = "DISCOENV_COMMAND"
_NAME: Final = re.compile(r"discoenv-(examiner|command)-\d+-\d+-\d+-.*")


class StartedProcess(NamedTuple):
    """A process of ours.

    Attributes:
        pid: its number.
        kind: ``examiner``, or ``command`` of the sandbox ``process``.
        name: names its owner, see :mod:`discoenv.machine.owner`.
        detail: what it was started with.
    """

    pid: int
    kind: str
    name: str
    detail: str

    @property
    def owner_pid(self) -> int:
        """The process that started it."""
        return owner_pid(self.name)

    @property
    def abandoned(self) -> bool:
        """Whether that process has ended."""
        return is_abandoned(self.name)


def name(kind: str, rest: str = "") -> str:
    """What a process is to be started with, as an argument or as the variable :data:`MARK`, so that it is found."""
    return f"discoenv-{kind}-{owner_tag()}-{rest}"


def started() -> list[StartedProcess]:
    """This user's processes, of every owner."""
    found = []
    for pid in processes():
        try:
            path = Path(f"/proc/{pid}")
            if path.stat().st_uid != os.getuid() or pid == os.getpid():
                continue
            arguments = command_line(pid)
            marks = [part.decode(errors="replace") for part in (path / "environ").read_bytes().split(b"\0")]
        except OSError:
            continue
        texts = [*arguments[1:], *(mark.partition("=")[2] for mark in marks if mark.startswith(f"{MARK}="))]
        match = next((match for text in texts if (match := _NAME.fullmatch(text))), None)
        seen = stat(pid)
        if match and seen is not None and seen.state not in "ZX":
            words = [word for word in arguments[1:] if not _NAME.fullmatch(word)]
            found.append(StartedProcess(pid, match[1], match[0], " ".join(words)[:200]))
    return found


def reap() -> list[StartedProcess]:
    """Kill those whose owner has ended, and return them."""
    abandoned = [each for each in started() if each.abandoned]
    for each in abandoned:
        send_kill(each.pid)
    return abandoned
