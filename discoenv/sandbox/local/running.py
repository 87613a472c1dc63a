"""A started command on this machine: one thread spawns it, reads its output, holds its limits and ends it.

The thread lives exactly as long as the command, because the kernel's parent-death signal, on which the sandbox's
own death depends, is tied to the thread that spawned and not to the process.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from discoenv.errors import SandboxError
from discoenv.sandbox.base import EndReason, Limits, Outcome, Usage
from discoenv.sandbox.cpu_clock import CpuClock
from discoenv.sandbox.local.supervised import CHUNK_BYTES, FIRST_SAMPLE_S, SLOWEST_SAMPLE_S, Supervised, Tail
from discoenv.sandbox.local.tree import ProcessTree

#: Files that one process may hold open.
OPEN_FILES = 4096

# Joins cgroups, sets resource limits (file sizes in blocks of 512 bytes), becomes the rest of its arguments.
_ENTER = """
n=$1; shift
while [ "$n" -gt 0 ]; do echo 0 > "$1" || exit 125; shift; n=$((n - 1)); done
ulimit -c 0; ulimit -n "$1" 2>/dev/null; ulimit -f "$2" 2>/dev/null; shift 2
exec "$@"
"""

# The last thing before the command: standard input is the pipe that reports to the host that the setup succeeded.
# dash names the limit on processes -p, other shells -u.
_REPORT_READY = """
[ "$1" = - ] || ulimit -u "$1" 2>/dev/null || ulimit -p "$1"
shift; echo >&0; exec "$@" </dev/null
"""

# In place of a command that is forked into the sandbox: it ends as the command did, whose exit code is written to it.
_STAND_IN = """
echo >&0; read -r code && exit "$code"; exit 137
"""


def entering(join_files: list[Path], limits: Limits) -> list[str]:
    """The start of an argv that joins cgroups and sets resource limits before the rest of it."""
    joins = [str(len(join_files)), *map(str, join_files)]
    return ["/bin/sh", "-c", _ENTER, "sh", *joins, str(OPEN_FILES), str(-(-limits.file_bytes // 512))]


def telling_ready(user_processes: int | None = None) -> list[str]:
    """The part of an argv that reports success and then becomes the rest of it; it must come last.

    ``user_processes`` bounds how many processes the user may have: only for a user of the sandbox's own.
    """
    return ["/bin/sh", "-c", _REPORT_READY, "sh", str(user_processes or "-")]


def standing_in() -> list[str]:
    """An argv that reports success and then ends as a forked command does; it must come last."""
    return ["/bin/sh", "-c", _STAND_IN]


@dataclass(frozen=True)
class Launch:
    """What is really executed on the host.

    Attributes:
        argv: must contain :func:`telling_ready`, or, with ``fork``, :func:`standing_in`.
        env: the whole environment.
        tree: how its processes are measured and killed.
        cwd: working directory on the host.
        descriptors: open files that it inherits; closed here once it has started.
        exit_offset: set where a signal n inside shows as exit code ``exit_offset + n`` (bubblewrap: 128).
        fork: where the command is not part of ``argv``: starts it in the sandbox that ``argv`` has made. It is called
            with the pid of ``argv``'s process, and descriptors of standard output, standard error, and what the exit
            status (0 to 255, 128 + n for a signal n) and a newline are to be written to.
        release: called once, when everything is over.
    """

    argv: list[str]
    env: dict[str, str]
    tree: ProcessTree
    cwd: str = "/"
    descriptors: tuple[int, ...] = ()
    exit_offset: int | None = None
    fork: Callable[[int, int, int, int], None] | None = None
    release: Callable[[], None] = lambda: None


class LocalRunning(Supervised):
    """A command that this process started.

    Raises:
        SandboxError: it could not be started; the message carries what the sandbox program said.
    """

    def __init__(self, launch: Launch, limits: Limits) -> None:
        super().__init__(limits)
        self._launch = launch
        self._process: subprocess.Popen[bytes] | None = None
        self._outputs: list[tuple[int, int]] = []  # of stdout and stderr: (where we read, where is written or -1)
        self._ready_out = -1
        self._exit_code: int | None = None
        self._children_cpu_s = 0.0
        self._broken_at_end: EndReason | None = None
        self._begin()

    def cpu_clock(self) -> CpuClock | None:
        """Where the tree's CPU seconds can be read."""
        return self._launch.tree.cpu_clock()

    def _spawn_and_watch(self) -> EndReason:
        try:
            self._outputs = [os.pipe(), os.pipe()]
            for reading, _ in self._outputs:
                os.set_blocking(reading, False)
            process = self._process = self._spawn()
            if not self._launch.fork:
                self._close_inputs()
            self._launch.tree.begin(process.pid)
            return self._watch(process)
        finally:
            self._close_inputs()
            if self._ready_out >= 0:
                os.close(self._ready_out)

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._ready_out, ready_in = (end.detach() for end in socket.socketpair())
        self._started = time.monotonic()
        try:
            with pinned_to(self._limits.cores):
                return subprocess.Popen(
                    self._launch.argv,
                    stdin=ready_in,
                    stdout=self._outputs[0][1],
                    stderr=self._outputs[1][1],
                    env=self._launch.env,
                    cwd=self._launch.cwd,
                    pass_fds=self._launch.descriptors,
                    start_new_session=True,
                )
        except OSError as error:
            program = self._launch.argv[0]
            raise SandboxError(f"{program} could not be started: {error}. Run `discoenv doctor`.") from error
        finally:
            for descriptor in (ready_in, *self._launch.descriptors):
                os.close(descriptor)

    def _close_inputs(self) -> None:
        """Close our copies of what the command writes to, so that its end shows as the end of the streams."""
        for number, (reading, writing) in enumerate(self._outputs):
            if writing >= 0:
                os.close(writing)
                self._outputs[number] = (reading, -1)

    def _watch(self, process: subprocess.Popen[bytes]) -> EndReason:
        """Serve the pipes until the command ends, a limit is broken or a kill is asked for."""
        deadline = self._started + self._limits.wall_s
        pause, next_sample = FIRST_SAMPLE_S, self._started
        exit_signal = open_pidfd(process.pid)
        try:
            with selectors.DefaultSelector() as selector:
                for (reading, _), tail in zip(self._outputs, self._tails, strict=True):
                    selector.register(reading, selectors.EVENT_READ, tail)
                for descriptor in (self._ready_out, self._wake_out, exit_signal):
                    if descriptor is not None:
                        selector.register(descriptor, selectors.EVENT_READ)
                while True:
                    self._serve(selector, min(next_sample, deadline), process)
                    reason = self._reason_to_end(process, deadline)
                    if not reason and time.monotonic() >= next_sample:
                        reason = self._launch.tree.sample()
                        next_sample = time.monotonic() + pause
                        pause = min(1.5 * pause, SLOWEST_SAMPLE_S)
                    if reason:
                        ready = self._ready_out
                        if not self._is_ready and ready >= 0 and select.select([ready], [], [], 0)[0]:
                            self._note_ready(process)  # it came between the last event and the end
                        return reason
        finally:
            if exit_signal is not None:
                os.close(exit_signal)

    def _serve(self, selector: selectors.BaseSelector, until: float, process: subprocess.Popen[bytes]) -> None:
        """Wait for events up to the moment ``until`` and read what has come."""
        for key, _ in selector.select(max(0.0, until - time.monotonic())):
            if isinstance(key.data, Tail):
                if not _read_some(key.fd, key.data):
                    selector.unregister(key.fileobj)
            elif key.fd == self._ready_out:
                selector.unregister(self._ready_out)
                self._note_ready(process)

    def _reason_to_end(self, process: subprocess.Popen[bytes], deadline: float) -> EndReason | None:
        if self._has_exited(process):
            return "exited"
        if self._kill_asked:
            return "killed"
        return "wall_time" if time.monotonic() >= deadline else None

    def _note_ready(self, process: subprocess.Popen[bytes]) -> None:
        if not os.read(self._ready_out, 1):
            return
        if self._launch.fork:
            stdout, stderr = (writing for _, writing in self._outputs)
            self._launch.fork(process.pid, stdout, stderr, self._ready_out)
            self._close_inputs()
            os.close(self._ready_out)  # now the stand-in ends when the process that waits for the command does
            self._ready_out = -1
        self._is_ready = True
        self._launch.tree.sample()
        self._ready.set()

    def _has_exited(self, process: subprocess.Popen[bytes]) -> bool:
        """Reap the process if it has ended, keeping its exit code and the CPU time of what it waited for."""
        if self._exit_code is None:
            try:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            except ChildProcessError as error:
                raise SandboxError("other code reaped the sandbox: do not ignore SIGCHLD in this process") from error
            if pid:
                self._exit_code = process.returncode = os.waitstatus_to_exitcode(status)
                self._children_cpu_s = usage.ru_utime + usage.ru_stime
        return self._exit_code is not None

    def _end(self) -> None:
        """Leave nothing alive; read what was still in the pipes."""
        process = self._process
        self._ended = time.monotonic()
        try:
            self._broken_at_end = self._launch.tree.sample()
            if process and self._exit_code is None:
                os.kill(process.pid, signal.SIGKILL)  # send_signal() would reap it, if it has ended, and keep its times
            self._launch.tree.destroy()
            while process and not self._has_exited(process):
                time.sleep(0.0005)
        finally:
            for (reading, _), tail in zip(self._outputs, self._tails, strict=False):
                while _read_some(reading, tail, on_empty=False):
                    pass
                os.close(reading)
            self._launch.release()

    def _conclude(self, reason: EndReason) -> None:
        code = self._exit_code if reason == "exited" else None
        if reason == "exited" and self._broken_at_end in ("memory", "machine_memory"):  # faster than our sampling
            reason, code = self._broken_at_end, None
        stdout, stderr = (tail.text() for tail in self._tails)
        if reason == "exited" and not self._is_ready:
            said = stderr.strip() or f"exit code {code} without a word"
            raise SandboxError(f"the sandbox could not be set up: {said}. Run `discoenv doctor`.")
        if code is not None and self._launch.exit_offset:
            if code < 0:
                raise SandboxError(f"the sandbox program was killed from outside by signal {-code}: see `dmesg`")
            signal_number = code - self._launch.exit_offset
            code = -signal_number if 0 < signal_number < signal.NSIG else code
        tree = self._launch.tree
        cpu_s = max(tree.cpu_s, self._children_cpu_s)
        usage = Usage(self._ended - self._started, cpu_s, tree.peak_memory_bytes, tree.method)
        self._outcome = Outcome(reason, code, stdout, stderr, usage)


@contextlib.contextmanager
def pinned_to(cores: tuple[int, ...]) -> Iterator[None]:
    """For this thread alone; a process that it starts meanwhile stays on ``cores``. Nothing changes if there are none.

    Raises:
        OSError: this process may not use any of them.
    """
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        if cores:
            os.sched_setaffinity(0, before)


def open_pidfd(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends; None before Linux 5.3 (sampling notices it then)."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _read_some(descriptor: int, tail: Tail, *, on_empty: bool = True) -> bool:
    """Read one chunk. False at the end of the stream; ``on_empty`` where there is nothing now."""
    try:
        chunk = os.read(descriptor, CHUNK_BYTES)
    except BlockingIOError:
        return on_empty
    tail.add(chunk)
    return bool(chunk)
