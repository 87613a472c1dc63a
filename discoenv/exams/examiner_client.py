"""The host's end of examiner processes: starts them, sends requests, keeps them warm, notices when one is broken."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final, Literal, TypedDict

from discoenv.errors import InfraError
from discoenv.exams import learner_environment
from discoenv.exams.budget import Use, most_wall_s
from discoenv.machine import cache, forks, started, streams
from discoenv.machine.cores import usable_cores

#: An examiner has this long, in seconds, beside the budget of its learner: loading held-out data and compiling an
#: evaluation may take long.
REPLY_TIMEOUT_S = 900.0
_POLL_S = 0.01
#: The program of an examiner's process.
EXAMINER_MODULE: Final = "discoenv.exams.examiner_process"


Reply = Literal["ok", "gone", "timeout", "protocol_error"]


class Training(TypedDict):
    """The examiner's reply to ``train``; times in seconds, ``use`` the budget's."""

    status: Reply
    message: str
    training_s: float | None
    use: Use


class Examination(TypedDict):
    """The examiner's reply to ``question``; times in seconds, ``artifacts`` an .npz in base64, ``use`` the budget's."""

    status: Reply
    message: str
    metrics: dict[str, float] | None
    answering_s: float
    background_s: float
    questions: int
    artifacts: str
    use: Use


class ExaminerProcess:
    """One warm examiner process of one domain. The first request starts it; use it for one exam at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._log: IO[bytes] | None = None
        self._received = b""
        self._owner = os.getpid()

    def request(self, operation: str, *, while_waiting: Callable[[], None] | None = None, **arguments: Any) -> Any:
        """Send a request and wait for its reply, calling ``while_waiting`` about 100 times a second.

        Raises:
            InfraError: the examiner failed, died or did not answer within 15 minutes and the time that a learner with
                the exam's budget may take.
        """
        control = self._connected()
        try:
            self._write(control, {"operation": operation, **arguments})
            patience_s = REPLY_TIMEOUT_S + most_wall_s(float(arguments.get("budget_s", 0.0)))
            self._await_reply(control, operation, patience_s, while_waiting)
        except BaseException:
            self.close()  # its late reply must not be taken for that to the next request
            raise
        line, _, self._received = self._received.partition(b"\n")
        reply = json.loads(line)
        if "fault" in reply:
            raise InfraError(f"the examiner of {self._directory.name} failed: {reply['fault']}\n{reply['traceback']}")
        return reply["reply"]

    def _await_reply(
        self, control: socket.socket, operation: str, patience_s: float, while_waiting: Callable[[], None] | None
    ) -> None:
        deadline = time.monotonic() + patience_s
        while b"\n" not in self._received:
            try:
                readable = select.select([control], [], [], _POLL_S if while_waiting else 1.0)[0]
                part = control.recv(1 << 16) if readable else None
            except (OSError, ValueError):  # reset by its death, or closed by another thread
                part = b""
            if part == b"":
                self._fail(f"the examiner of {self._directory.name} died during {operation!r}")
            elif part:
                self._received += part
            elif time.monotonic() > deadline:
                self._fail(f"the examiner of {self._directory.name} did not answer {operation!r}")
            if while_waiting:
                while_waiting()

    def abort(self) -> None:
        """Inform the examiner, in the middle of ``examine``, that no learner will connect any more."""
        if self._control is not None:
            self._write(self._control, {"operation": "abort"})

    def close(self) -> None:
        """End the process. Safe to call again, and from another thread; the next request starts a new one."""
        control, self._control = self._control, None
        process, self._process = self._process, None
        log, self._log = self._log, None
        self._received = b""
        if control is not None:
            control.close()
        if process is not None and os.getpid() == self._owner:  # a child does not end its parent's
            process.kill()
            process.wait()
        if log is not None:
            log.close()

    def _connected(self) -> socket.socket:
        ours_still = self._owner == os.getpid() and self._process is not None and self._process.poll() is None
        if self._control is not None and ours_still:
            return self._control
        self.close()
        self._owner = os.getpid()
        streams.fill()
        ours, theirs = socket.socketpair()
        forks.keep_socket(ours)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", EXAMINER_MODULE, str(self._directory), str(theirs.fileno())),
                    started.name("examiner"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                pass_fds=[theirs.fileno()],
                env=_environment(),
                start_new_session=True,
            )
        self._control = ours
        return ours

    def _write(self, control: socket.socket, message: dict[str, Any]) -> None:
        try:
            control.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self._fail(f"the examiner of {self._directory.name} died")

    def _fail(self, message: str) -> None:
        file, log = self._log, ""
        if file is not None:
            with contextlib.suppress(ValueError):  # closed by another thread
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - 4000))
                log = file.read().decode(errors="replace").strip()
        self.close()
        raise InfraError(f"{message}; the end of its log:\n{log}" if log else message)


def _environment() -> dict[str, str]:
    """The examiner is trusted: it inherits the environment, but stays on the CPU, the GPU being the learner's."""
    package = Path(__file__).resolve().parents[2]
    path = os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **os.environ,
        "PYTHONPATH": path,
        **learner_environment.on_cpu(os.environ),
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_COMPILATION_CACHE_DIR": str(cache.folder("examiner-jax")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


class ExaminerPool:
    """Keeps examiner processes warm between exams: what they have imported, loaded and compiled is used again.

    Thread safe. Idle processes beyond ``idle`` are closed, least recently used first. Closing the pool ends them all;
    so does its garbage collection, or the end of the program.

    Args:
        idle: number of idle processes to keep; None: one per usable core, at least two.
    """

    def __init__(self, idle: int | None = None) -> None:
        self._most = max(2, usable_cores()) if idle is None else idle
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._idle: list[tuple[Path, ExaminerProcess]] = []  # the one that has waited longest is the first
        self._end = forks.finalize(self, _end_all, self._idle)

    @contextlib.contextmanager
    def lease(self, directory: Path) -> Iterator[ExaminerProcess]:
        """An examiner process of the domain in ``directory``, for one exam; a new one if none waits.

        One whose exam ends with an exception is ended, not used again.
        """
        with self._lock:
            if os.getpid() != self._owner:  # a child: those that wait are its parent's
                self._owner, self._idle = os.getpid(), []
                self._end = forks.finalize(self, _end_all, self._idle)
            match = next((entry for entry in reversed(self._idle) if entry[0] == directory), None)
            if match is not None:
                self._idle.remove(match)
        process = ExaminerProcess(directory) if match is None else match[1]
        try:
            yield process
        except BaseException:
            process.close()
            raise
        ended = []
        with self._lock:
            self._idle.append((directory, process))
            while len(self._idle) > (self._most if self._end.alive else 0):
                ended.append(self._idle.pop(0))
        _end_all(ended)

    def close(self) -> None:
        """End the processes that wait; one in use ends after its exam. Safe to call again."""
        with self._lock:
            self._end()


def _end_all(entries: list[tuple[Path, ExaminerProcess]]) -> None:
    while entries:
        entries.pop()[1].close()
