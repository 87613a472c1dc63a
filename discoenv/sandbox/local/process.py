"""The ``process`` provider: a plain child process. It bounds and cleans up, but it does **not** isolate.

For code that you trust, on machines where nothing better works. There is no private file system: paths that start
with a mount's target are rewritten to its source, and ``/tmp`` to a directory that is removed at the end.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import uuid
import warnings
from pathlib import Path
from typing import ClassVar

from discoenv.errors import SandboxError
from discoenv.machine import interpreters, started, streams
from discoenv.machine.owner import owner_tag
from discoenv.machine.processes import Stat, processes, stat
from discoenv.sandbox.base import Check, Command, Limits, Running, Sandbox
from discoenv.sandbox.environment import minimal_environment
from discoenv.sandbox.inventory import remove_abandoned_folders
from discoenv.sandbox.local.running import Launch, LocalRunning, entering, telling_ready
from discoenv.sandbox.local.supervised import LiveCommands
from discoenv.sandbox.local.tree import WatchedTree


class ProcessSandbox(Sandbox):
    """Runs commands as the current user, with limits but without isolation. Warns once per process."""

    name: ClassVar[str] = "process"
    isolated: ClassVar[bool] = False
    _warned: ClassVar[bool] = False

    def __init__(self) -> None:
        self._live = LiveCommands()

    @classmethod
    def check(cls) -> Check:
        """It works wherever there is a ``/proc``."""
        if not Path("/proc/self/stat").exists():
            return Check(cls.name, False, "there is no /proc", "run on Linux, or use sandbox='docker'")
        return Check(cls.name, True, "no isolation at all: only for code that you trust")

    def start(self, command: Command, limits: Limits) -> Running:
        """Start ``command`` and return once it runs.

        Raises:
            SandboxError: it could not be started.
        """
        streams.fill()
        self._warn()
        remove_abandoned_folders()
        scratch = tempfile.mkdtemp(prefix=f"discoenv-scratch-{owner_tag()}-")
        places = {mount.target: str(mount.source.resolve()) for mount in command.mounts}
        places.setdefault("/tmp", scratch)  # noqa: S108 (a path as the command names it)
        mark = started.name("command", uuid.uuid4().hex)
        environment = minimal_environment(limits, home=scratch)
        python = interpreters.interpreter(command.python).executable if command.python else Path(sys.executable)
        environment["PATH"] = f"{python.parent}:{environment['PATH']}"
        for name, value in command.env.items():
            environment[name] = ":".join(_relocated(part, places) for part in value.split(":"))
        environment[started.MARK] = mark
        argv = [_relocated(argument, places) for argument in command.argv]
        if argv[0] == "python":
            argv[0] = str(python)
        try:
            running = LocalRunning(
                Launch(
                    argv=[*entering([], limits), *_dying_with_us(), *telling_ready(), *argv],
                    env=environment,
                    tree=WatchedTree(limits, strays=lambda found: _marked(mark, found)),
                    cwd=_relocated(command.cwd, places),
                    release=lambda: shutil.rmtree(scratch, ignore_errors=True),
                ),
                limits,
            )
        except SandboxError:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        self._live.add(running)
        return running

    def close(self) -> None:
        """Kill what still runs."""
        self._live.kill_all()

    @classmethod
    def _warn(cls) -> None:
        if not cls._warned:
            cls._warned = True
            warnings.warn(
                "sandbox='process' does not isolate: agent code can read and change whatever you can, use the network "
                "and forge its score. Use it for code that you trust; `discoenv doctor` lists the alternatives.",
                stacklevel=3,
            )


def _dying_with_us() -> list[str]:
    """The part of an argv by which the kernel kills the command when the thread that started it is gone."""
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def _relocated(value: str, places: dict[str, str]) -> str:
    """``value`` with a leading mount target replaced by where that really is; the longest target wins."""
    for target in sorted(places, key=len, reverse=True):
        if value == target or value.startswith(target.rstrip("/") + "/"):
            return places[target] + value[len(target.rstrip("/")) :]
    return value


def _marked(mark: str, found: set[int]) -> list[Stat]:
    """Processes that carry the command's mark in their environment, wherever they went."""
    wanted = f"{started.MARK}={mark}".encode()
    strays = []
    for pid in processes():
        try:
            if pid in found or wanted not in Path(f"/proc/{pid}/environ").read_bytes():
                continue
        except OSError:
            continue
        if (seen := stat(pid)) and pid != os.getpid():
            strays.append(seen)
    return strays
