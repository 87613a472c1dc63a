"""Warm starts: processes that have imported a domain's frameworks, and fork into a sandbox instead of starting Python.

They run :mod:`discoenv.sandbox.local.forked`. A server is as trusted as the host, and outside of every sandbox.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discoenv.errors import CannotFork
from discoenv.machine import forks, streams
from discoenv.machine.processes import children, command_line, processes, stat

_SOURCE = Path(__file__).with_name("forked.py")
# Learners inherit the command line, which must not reveal where discoenv is.
_RUN = "import sys; exec(open(int(sys.argv[2])).read())"
_MAX_MESSAGE = 1 << 20
_MOST_FAILURES = 3
_MOST_DEATHS = 3
#: Importing from a slow network disk may take long; a fork does not.
_IMPORT_PATIENCE_S, _FORK_PATIENCE_S, _END_PATIENCE_S = 120.0, 20.0, 5.0

#: Bits of setns(2) by the names in ``/proc/<pid>/ns``.
_NAMESPACES = {
    "cgroup": 0x02000000,
    "ipc": 0x08000000,
    "mnt": 0x00020000,
    "net": 0x40000000,
    "pid": 0x20000000,
    "user": 0x10000000,
    "uts": 0x04000000,
}


@dataclass(frozen=True)
class WarmServers:
    """What a server is started with; learners that need the same can share it.

    Attributes:
        executable: the interpreter.
        modules: what it imports.
        path: ``sys.path`` of a learner.
        covered: files and directories that sandboxes hide, of which nothing may be imported.
        environment: variables that a framework may read when it is imported.
    """

    executable: str
    modules: tuple[str, ...]
    path: tuple[str, ...]
    covered: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]


class ServerDied(CannotFork):
    """A fork server is no more, which says nothing about another one."""


class ForkServer:
    """One process that has imported what a :class:`WarmServers` names. Thread safe; close it to end the process.

    Attributes:
        failures: forks in a row that did not work.
        forked: whether one has worked.

    Raises:
        CannotFork: forking would not be safe after these imports, or they failed.
        ServerDied: it died or did not answer.
    """

    def __init__(self, warmth: WarmServers) -> None:
        self.failures = 0
        self.forked = False
        self._lock = threading.Lock()
        streams.fill()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        forks.keep_socket(self._control)
        with theirs, _SOURCE.open("rb") as source:
            descriptors = [theirs.fileno(), source.fileno()]
            try:
                self._process = subprocess.Popen(
                    [warmth.executable, "-c", _RUN, *map(str, descriptors)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=descriptors,
                    env=dict(warmth.environment),
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                self._control.close()
                raise CannotFork(f"{warmth.executable} could not be started: {error}") from error
        self._end = forks.finalize(self, _end, self._process, self._control)
        asked = {"modules": warmth.modules, "path": warmth.path, "covered": warmth.covered}
        unsafe = self._ask(asked, [], _IMPORT_PATIENCE_S)["unsafe"]
        if unsafe:
            self.close()
            raise CannotFork(str(unsafe))

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        """Fork a learner; returns when it is about to run its program.

        Args:
            request: see :func:`place_in`, and ``cwd``, ``argv``, ``env`` and the rest that ``forked.py`` reads.
            descriptors: the sandbox's first process (a pidfd), standard output, standard error, and where the exit
                status goes.

        Raises:
            CannotFork: it did not work; nothing of the learner runs.
        """
        with self._lock:
            error = self._ask(request, descriptors, _FORK_PATIENCE_S)["error"]
        if error:
            raise CannotFork(str(error))
        self.failures = 0
        self.forked = True

    def is_alive(self) -> bool:
        """Whether the process runs and answers."""
        return self._end.alive and self._process.poll() is None

    def close(self) -> None:
        """End the process, which waits for its learners. Safe to call again."""
        self._end()

    def retire(self) -> None:
        """As :meth:`close`, but return at once. The process is reaped when its last learner has ended."""
        _hang_up(self._control)
        threading.Thread(target=self._process.wait, name="reap-fork-server", daemon=True).start()

    def _ask(self, message: Mapping[str, Any], descriptors: Sequence[int], patience_s: float) -> dict[str, Any]:
        try:
            self._control.settimeout(patience_s)
            socket.send_fds(self._control, [json.dumps(message).encode()], list(descriptors))
            answer = self._control.recv(_MAX_MESSAGE)
        except OSError as error:
            self.close()
            raise ServerDied(f"the fork server does not answer: {error}") from error
        if not answer:
            self.close()
            raise ServerDied("the fork server died")
        answered: dict[str, Any] = json.loads(answer)
        return answered


class ForkServers:
    """Servers by what they have imported; those used longest ago end first.

    Thread safe. Close it to end them all. One that has died is replaced, until three in a row have died without a fork.

    Args:
        most: how many are kept; each takes the memory of its imports, up to 300 MiB.
    """

    def __init__(self, most: int = 3) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._servers: dict[WarmServers, ForkServer | str] = {}
        self._retired: list[ForkServer] = []
        self._deaths: dict[WarmServers, int] = {}

    def get(self, warmth: WarmServers) -> ForkServer:
        """The server for it, started if there is none.

        Raises:
            CannotFork: there can be none; also at later calls, which do not try again.
        """
        with self._lock:
            if os.getpid() != self._owner:  # a child: those of its parent answer the parent alone
                self._owner, self._servers, self._retired = os.getpid(), {}, []
            server = self._servers.pop(warmth, None)
            if isinstance(server, ForkServer) and not server.is_alive():
                server = self._without(warmth, server, "the fork server died")
            while server is None:
                try:
                    server = ForkServer(warmth)
                except ServerDied as error:
                    server = self._without(warmth, None, str(error))
                except CannotFork as error:
                    server = str(error)
            self._servers[warmth] = server
            self._retired = [retired for retired in self._retired if retired.is_alive()]
            while len(self._servers) > self._most:
                oldest = self._servers.pop(next(iter(self._servers)))
                if isinstance(oldest, ForkServer):
                    oldest.retire()
                    self._retired.append(oldest)
        if isinstance(server, str):
            raise CannotFork(server)
        return server

    def failed(self, warmth: WarmServers, server: ForkServer, error: CannotFork) -> None:
        """A fork of the server did not work. After three in a row there will be no more; one that died is replaced."""
        server.failures += 1
        alive = server.is_alive()
        if alive and server.failures < _MOST_FAILURES:
            return
        with self._lock:
            if self._servers.get(warmth) is server:  # another thread may have seen it first
                reason = str(error) if alive else self._without(warmth, server, str(error))
                if reason is None:
                    del self._servers[warmth]
                else:
                    self._servers[warmth] = reason
        server.close()

    def _without(self, warmth: WarmServers, server: ForkServer | None, reason: str) -> str | None:
        """Count a death: None if another server may be started, else why not."""
        self._deaths[warmth] = 1 if server is not None and server.forked else self._deaths.get(warmth, 0) + 1
        return reason if self._deaths[warmth] >= _MOST_DEATHS else None

    def close(self) -> None:
        """End them all. Safe to call again; new ones can be started after it."""
        with self._lock:
            servers = [*self._servers.values(), *self._retired]
            self._servers, self._retired = {}, []
        for server in servers:
            if isinstance(server, ForkServer):
                server.close()


def fork_servers() -> list[tuple[int, int]]:
    """Pids of this user's servers that run now, and of the processes that started them.

    A server ends by itself when its owner has ended, and the last learner. Learners, who have its command line, are not
    listed.
    """
    lines = {pid: command_line(pid)[1:3] for pid in processes()}
    found = [pid for pid, line in lines.items() if line == ["-c", _RUN]]
    seen = [each for pid in found if (each := stat(pid)) and lines.get(each.parent) != ["-c", _RUN]]
    own = Path("/proc/self/ns/pid").stat().st_ino
    return [(each.pid, each.parent) for each in seen if _namespace(each.pid) == own]


def _namespace(pid: int) -> int:
    try:
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino
    except OSError:
        return 0


def place_in(sandbox: int) -> tuple[int, dict[str, Any]]:
    """Where a learner belongs: the namespaces and the root directory of a sandbox's first process.

    Args:
        sandbox: pid of the program that made the sandbox; its only child is that process.

    Returns:
        a pidfd of the first process, to be closed, and what a request says of its namespaces.

    Raises:
        CannotFork: this process may not look into them, or they do not exist yet or any more.
    """
    below = children(sandbox)
    if len(below) != 1:
        raise CannotFork(f"process {sandbox} has {len(below)} children, not the sandbox's first process alone")
    try:
        pidfd = os.pidfd_open(below[0])
    except OSError as error:
        raise CannotFork(f"the sandbox's first process cannot be held: {error}") from error
    try:
        flags = 0
        for name, flag in _NAMESPACES.items():
            ours, theirs = (Path(f"/proc/{pid}/ns/{name}").stat().st_ino for pid in ("self", below[0]))
            flags |= flag if ours != theirs else 0
        root = Path(f"/proc/{below[0]}/root").stat()
        missing = [name for name in ("ipc", "mnt", "net", "pid", "uts") if not flags & _NAMESPACES[name]]
        if missing or children(sandbox) != below:
            raise CannotFork(f"the sandbox does not have its own {', '.join(missing) or 'first process'}")
    except OSError as error:
        os.close(pidfd)
        raise CannotFork(f"the sandbox's namespaces cannot be seen: {error}") from error
    except CannotFork:
        os.close(pidfd)
        raise
    return pidfd, {"namespaces": flags, "root": [root.st_dev, root.st_ino]}


def _hang_up(control: socket.socket) -> None:
    with contextlib.suppress(OSError):
        control.shutdown(socket.SHUT_RDWR)  # wakes threads that wait for an answer, too


def _end(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    _hang_up(control)
    control.close()
    try:
        process.wait(_END_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
