"""One container: made ready ahead, given its command once, watched, and removed.

Inside, a shell waits for one line on standard input, the command, and becomes it; so what is timed is the command and
not the engine, and a container can wait warm. A watchdog beside it kills everything inside when that input ends: a
container whose host process was killed does not run on.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import platform
import select
import selectors
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discoenv.errors import SandboxError
from discoenv.machine.owner import owner_tag
from discoenv.sandbox.base import EndReason, Limits, Mount, Outcome, Usage
from discoenv.sandbox.containers.engine import Engine, talking
from discoenv.sandbox.containers.stream import STDERR, STDOUT, Stream
from discoenv.sandbox.cpu_clock import CpuClock, clock_of_groups
from discoenv.sandbox.local.cgroup import Meter, groups_of
from discoenv.sandbox.local.running import open_pidfd
from discoenv.sandbox.local.seccomp import ARCHITECTURES, learner_filter
from discoenv.sandbox.local.supervised import FIRST_SAMPLE_S, SLOWEST_SAMPLE_S, Supervised, Tail

_READY_TIMEOUT_S = 120.0
_REST_TIMEOUT_S = 10.0  # for the engine to hand over what a dead container had written
_counter = itertools.count()

#: The container's program. It says that it is there, reads the command and becomes it.
LAUNCHER = """echo; IFS= read -r line || exit 125; eval "$(printf %b "$line")" """
# `kill -1` spares the caller and the container's first process, which ends when its child, the command, is killed.
_GO = """cd {cwd} || exit 125
( ( while read -r _; do :; done; kill -KILL -1 ) <&3 3<&- >/dev/null 2>&1 & ) 3<&0
exec env -i {environment} {argv} </dev/null
"""
# Engines' own filters let through what a learner never needs (netlink, vsock); this one is stacked on theirs.
_FILTERED = """
import base64, ctypes, os, sys
code = base64.b64decode(sys.argv[1])
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
libc = ctypes.CDLL(None, use_errno=True)
if code and (libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(Program(len(code) // 8, code)), 0, 0)):
    sys.exit("the system-call filter was refused: " + os.strerror(ctypes.get_errno()))
os.write(1, bytes([10]))
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    print(sys.argv[2] + ": " + error.strerror, file=sys.stderr)
    sys.exit(127)
"""
#: Processes of a container that are not the command's.
OWN_PROCESSES = 3  # the container's init, the watchdog and, for a moment, the shell between them


@dataclass(frozen=True)
class Recipe:
    """All that is fixed when a container is created; containers of equal recipes are interchangeable.

    Attributes:
        config: body of the engine's request, without mounts.
        mounts: sources and targets, for a container that serves one known command.
        targets: targets alone, for one that is created ahead: read-only folders filled when it is handed out.
    """

    config: dict[str, Any]
    processes: int
    mounts: tuple[Mount, ...] = ()
    targets: tuple[str, ...] = ()


def instructions(python: str, argv: tuple[str, ...], cwd: str, environment: Mapping[str, str]) -> bytes:
    """The line from which a waiting container learns what to run, and by which it filters its system calls.

    ``python`` is the interpreter inside that loads the filter; on machines for which there is none it loads nothing.
    """
    pairs = shlex.join(f"{name}={value}" for name, value in environment.items())
    code = learner_filter() if platform.machine() in ARCHITECTURES else b""
    argv = (python, "-I", "-S", "-c", _FILTERED, base64.b64encode(code).decode(), *argv)
    return told(_GO.format(cwd=shlex.quote(cwd), environment=pairs, argv=shlex.join(argv)))


def told(text: str) -> bytes:
    """The line from which a waiting container's shell learns what to do, which is to print an empty line first."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").encode() + b"\n"


class Container:
    """A started container that waits for its command. Always :meth:`remove` it.

    Raises:
        SandboxError: the engine could not start it.
    """

    def __init__(self, engine: Engine, recipe: Recipe) -> None:
        self._owner = os.getpid()
        self.engine = engine
        self.recipe = recipe
        self.id = ""
        self.folder: Path | None = None
        self._stream: Stream | None = None
        try:
            self._start()
        except BaseException:
            self.remove()
            raise

    def _start(self) -> None:
        engine, recipe = self.engine, self.recipe
        mounts = recipe.mounts
        if recipe.targets:
            self.folder = Path(tempfile.mkdtemp(prefix=f"discoenv-mounts-{owner_tag()}-"))
            mounts = tuple(Mount(self.folder / str(i), target) for i, target in enumerate(recipe.targets))
            for mount in mounts:
                mount.source.mkdir()
                mount.source.chmod(0o755)
        host = recipe.config["HostConfig"] | {"Mounts": [_bind(mount) for mount in mounts]}
        config = recipe.config | {"HostConfig": host}
        with talking(engine):
            name = f"discoenv-learner-{owner_tag()}-{next(_counter)}"
            self.id = engine.client.create_container_from_config(config, name)["Id"]
            self._stream = Stream(engine.client.attach_socket(self.id, _ATTACH))
            engine.client.start(self.id)
            self.pid = int(engine.client.inspect_container(self.id)["State"]["Pid"])
        if not self._stream.wait_for_line(_READY_TIMEOUT_S):
            raise SandboxError(f"the container did not start: {self._stream.said() or self._state_error()}")

    @property
    def stream(self) -> Stream:
        """The attached input and output."""
        assert self._stream
        return self._stream

    def fill(self, mounts: tuple[Mount, ...]) -> bool:
        """Show these folders in a container that was created ahead. False if that cannot be done faithfully."""
        try:
            for i, mount in enumerate(mounts):
                assert self.folder
                _mirror(mount.source.resolve(), self.folder / str(i))
        except OSError:  # say a socket on another file system, which cannot be linked
            return False
        return True

    def is_alive(self) -> bool:
        """Whether it still waits."""
        return Path(f"/proc/{self.pid}").exists()

    def exit_state(self) -> tuple[int, bool]:
        """Exit code of a container that has ended, and whether its memory ran out."""
        with talking(self.engine):
            code = int(self.engine.client.wait(self.id)["StatusCode"])
            state = self.engine.client.inspect_container(self.id)["State"]
        return code, bool(state.get("OOMKilled"))

    def remove(self) -> None:
        """Kill it whatever it ignores, and return when it is gone; safe to call again. Nothing in a child's process."""
        if os.getpid() != self._owner:
            return
        try:
            if self.id:
                self.engine.remove(self.id)
        finally:
            if self.folder:
                shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Remove it and let go of its output."""
        try:
            self.remove()
        finally:
            if self._stream:
                self._stream.close()

    def _state_error(self) -> str:
        with talking(self.engine):
            state = self.engine.client.inspect_container(self.id)["State"]
        return str(state.get("Error") or f"it is {state.get('Status')}, exit code {state.get('ExitCode')}")


_ATTACH = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}


def _bind(mount: Mount) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": str(mount.source.resolve()),
        "Target": mount.target,
        "ReadOnly": not mount.writable,
        "BindOptions": {"Propagation": "rprivate"},
    }


def _mirror(source: Path, target: Path) -> None:
    """Fill the empty folder ``target`` with links to the files and sockets below ``source``.

    The container sees it read-only, so the shared files are as safe as under a bind mount.
    """
    for entry in os.scandir(source):
        to = target / entry.name
        if entry.is_dir(follow_symlinks=False):
            to.mkdir()
            _mirror(Path(entry.path), to)
            to.chmod(entry.stat(follow_symlinks=False).st_mode & 0o7777)
        else:
            try:
                os.link(entry.path, to, follow_symlinks=False)
            except OSError:
                if not (entry.is_file(follow_symlinks=False) or entry.is_symlink()):
                    raise
                shutil.copy2(entry.path, to, follow_symlinks=False)


class ContainerRunning(Supervised):
    """A command in a container that was ready for it.

    Raises:
        SandboxError: it could not be started.
    """

    def __init__(self, container: Container, line: bytes, limits: Limits, finished: Callable[[], None]) -> None:
        super().__init__(limits)
        self._container = container
        self._line = line
        self._finished = finished
        self._has_exited = False
        self._oom_killed = False
        self._exit_code: int | None = None
        self._broken_at_end: EndReason | None = None
        groups = groups_of(container.pid)
        if groups is None:
            container.close()
            raise SandboxError(
                f"the control group of a container (process {container.pid}) cannot be seen from here: "
                f"discoenv must run on the machine of the {container.engine.name} engine, not inside a container of it"
            )
        self._meter = Meter(*groups, limits.processes)
        self._cpu_clock = clock_of_groups(*groups)
        self._meter.sample()
        self._cpu_before = self._meter.cpu_s
        self._tails = (Tail(limits.output_bytes), Tail(limits.output_bytes))
        container.stream.tails = {STDOUT: self._tails[0], STDERR: self._tails[1]}
        self._begin()

    def cpu_clock(self) -> CpuClock | None:
        """The counter of the container's group."""
        return self._cpu_clock

    def _spawn_and_watch(self) -> EndReason:
        stream = self._container.stream
        ended = open_pidfd(self._container.pid)
        self._started = time.monotonic()
        try:
            with contextlib.suppress(OSError):  # it died while it waited: seen below
                stream.send(self._line)
            return self._watch(stream, ended)
        finally:
            if ended is not None:
                os.close(ended)

    def _watch(self, stream: Stream, ended: int | None) -> EndReason:
        """Read the output until the container ends, a limit is broken or a kill is asked for."""
        deadline = self._started + self._limits.wall_s
        pause, next_sample = FIRST_SAMPLE_S, self._started
        with selectors.DefaultSelector() as selector:
            for source in (stream, self._wake_out, ended):
                if source is not None:
                    selector.register(source, selectors.EVENT_READ)
            while True:
                self._serve(selector, min(next_sample, deadline))
                reason = self._reason_to_end(ended, deadline)
                if not reason and time.monotonic() >= next_sample:
                    reason = self._meter.sample()
                    next_sample = time.monotonic() + pause
                    pause = min(1.5 * pause, SLOWEST_SAMPLE_S)
                if reason:
                    return reason

    def _serve(self, selector: selectors.BaseSelector, until: float) -> None:
        stream = self._container.stream
        for key, _ in selector.select(max(0.0, until - time.monotonic())):
            if key.fileobj is stream:
                if not stream.read():
                    selector.unregister(stream)
                if not self._is_ready and stream.launched:
                    self._is_ready = True
                    self._ready.set()

    def _reason_to_end(self, ended: int | None, deadline: float) -> EndReason | None:
        self._has_exited = _is_over(ended, self._container)
        if self._has_exited:
            return "exited"
        if self._kill_asked:
            return "killed"
        return "wall_time" if time.monotonic() >= deadline else None

    def _end(self) -> None:
        self._ended = time.monotonic()
        self._broken_at_end = self._meter.sample()
        stream = self._container.stream
        try:
            if self._has_exited:
                stream.read_rest(_REST_TIMEOUT_S)
                self._exit_code, self._oom_killed = self._container.exit_state()
        finally:
            try:
                with stream.read_meanwhile():
                    self._container.remove()
                stream.read_rest(_REST_TIMEOUT_S)
                self._is_ready = self._is_ready or stream.launched
            finally:
                self._container.close()
                self._finished()

    def _conclude(self, reason: EndReason) -> None:
        code = self._exit_code if reason == "exited" else None
        if reason == "exited" and self._broken_at_end == "machine_memory":
            reason, code = "machine_memory", None
        elif reason == "exited" and (self._oom_killed or self._broken_at_end == "memory"):
            reason, code = "memory", None
        stdout, stderr = (tail.text() for tail in self._tails)
        if reason == "exited" and not self._is_ready:
            said = stderr.strip() or f"exit code {code} without a word"
            raise SandboxError(f"the sandbox could not be set up: {said}")
        if code is not None and 128 < code < 128 + 65:
            code = 128 - code
        cpu_s = max(0.0, self._meter.cpu_s - self._cpu_before)
        usage = Usage(self._ended - self._started, cpu_s, self._meter.peak_memory_bytes, "cgroup")
        self._outcome = Outcome(reason, code, stdout, stderr, usage)


def _is_over(ended: int | None, container: Container) -> bool:
    """Whether the container's first process has ended; ``ended`` is its pidfd, if there is one."""
    if ended is None:
        return not container.is_alive()
    return bool(select.select([ended], [], [], 0)[0])
