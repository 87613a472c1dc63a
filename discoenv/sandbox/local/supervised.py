"""What every started command has in common: a thread that watches it, the tails of its output, an end."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import weakref
from abc import abstractmethod

from discoenv.errors import SandboxError
from discoenv.machine import streams
from discoenv.sandbox.base import EndReason, Limits, Outcome, Running

CHUNK_BYTES = 1 << 16
#: Most bytes of a line that is shown while the command runs.
_LINE_BYTES = 2000
FIRST_SAMPLE_S, SLOWEST_SAMPLE_S = 0.002, 0.05


class Tail:
    """The last ``size`` bytes of a stream."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept = bytearray()

    def add(self, chunk: bytes) -> None:
        """Append, forgetting the oldest bytes."""
        self._kept += chunk
        if len(self._kept) > 2 * self._size + CHUNK_BYTES:
            self._forget()

    def _forget(self) -> None:
        if len(self._kept) > self._size:
            del self._kept[: len(self._kept) - self._size]

    def last_line(self) -> str:
        """The last line that is not blank; the end of it where it is long. Any thread may ask."""
        lines = bytes(self._kept[-_LINE_BYTES:]).decode("utf-8", errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "")

    def text(self) -> str:
        """What is kept, undecodable bytes replaced."""
        self._forget()
        return self._kept.decode("utf-8", errors="replace")


class Supervised(Running):
    """A command with a thread that starts it, watches it, ends it and concludes its outcome.

    Subclasses say how in :meth:`_spawn_and_watch`, :meth:`_end` and :meth:`_conclude`; they call :meth:`_begin` when
    their own attributes are set.

    Raises:
        SandboxError: it could not be started; the message carries what the sandbox program said.
    """

    def __init__(self, limits: Limits) -> None:
        streams.fill()
        self._owner = os.getpid()
        self._limits = limits
        self._started = 0.0
        self._ended = 0.0
        self._is_ready = False
        self._ready = threading.Event()
        self._done = threading.Event()
        self._kill_asked = False
        self._wake_out, self._wake_in = os.pipe()
        self._wake_lock = threading.Lock()
        self._outcome: Outcome | None = None
        self._error: SandboxError | None = None
        self._tails = (Tail(limits.output_bytes), Tail(limits.output_bytes))

    @abstractmethod
    def _spawn_and_watch(self) -> EndReason:
        """Start the command, set ``_ready`` once it runs, and return why it must end or has ended."""

    @abstractmethod
    def _end(self) -> None:
        """Leave nothing alive; read what is left of the output. Called once, also after a failure."""

    @abstractmethod
    def _conclude(self, reason: EndReason) -> None:
        """Set ``_outcome``, or raise a SandboxError."""

    def _begin(self) -> None:
        _live.add(self)
        try:
            threading.Thread(target=self._supervise, name="discoenv-sandbox", daemon=True).start()
        except RuntimeError as error:
            self._error = SandboxError(f"no thread for a sandbox: {error}. Run fewer at once, or raise `ulimit -u`.")
            self._close()
            raise self._error from error
        try:
            self._ready.wait()
        except BaseException:  # for example KeyboardInterrupt: the caller will not get this object
            self.kill()
            raise
        if self._error:
            raise self._error

    @property
    def started(self) -> float:
        """``time.monotonic()`` immediately before the command is started, in seconds."""
        return self._started

    def last_line(self) -> str:
        """The last line of standard output so far, or of standard error."""
        return self._tails[0].last_line() or self._tails[1].last_line()

    def poll(self) -> bool:
        """Whether the command is still running."""
        return not self._done.is_set()

    def wait(self, timeout_s: float | None = None) -> Outcome:
        """Block until the command ends or its limits end it.

        Raises:
            TimeoutError: ``timeout_s`` passed first; the command goes on.
            SandboxError: the sandbox itself broke down, or this process is a child of the one that started the command.
        """
        self._require_owner()
        if not self._done.wait(timeout_s):
            raise TimeoutError(f"the command still runs after waiting {timeout_s} s: wait again, or kill() it")
        if self._error:
            raise self._error
        assert self._outcome
        return self._outcome

    def kill(self) -> Outcome:
        """Kill the whole process tree with SIGKILL, wait until it is gone, and return how it ended.

        Raises:
            SandboxError: the sandbox itself broke down, or this process is a child of the one that started the command.
        """
        self._require_owner()
        with self._wake_lock:
            self._kill_asked = True
            if self._wake_in >= 0:
                os.write(self._wake_in, b"k")
        return self.wait()

    def _require_owner(self) -> None:
        if os.getpid() != self._owner:
            raise SandboxError(f"the command is one of process {self._owner}, whose child this is")

    def _supervise(self) -> None:
        reason: EndReason = "exited"
        try:
            try:
                reason = self._spawn_and_watch()
            finally:
                self._end()
            self._conclude(reason)
        except SandboxError as error:
            self._error = error
        except Exception as error:
            self._error = SandboxError(f"the sandbox broke down: {type(error).__name__}: {error}")
            self._error.__cause__ = error
        finally:
            self._close()

    def _close(self) -> None:
        with self._wake_lock:
            os.close(self._wake_in)
            os.close(self._wake_out)
            self._wake_in = -1
        self._done.set()
        self._ready.set()


class LiveCommands:
    """Commands that may still run; safe to use from several threads. A child has none of its parent's."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()  # a parent's may be held by a thread that the child does not have
        self._running: weakref.WeakSet[Supervised] = weakref.WeakSet()

    def add(self, running: Supervised) -> None:
        """Remember it for as long as someone holds it."""
        if os.getpid() != self._owner:
            self._forget()
        with self._lock:
            self._running.add(running)

    def kill_all(self) -> None:
        """Kill all that still run; errors are theirs to report."""
        if os.getpid() != self._owner:
            self._forget()
        with self._lock:
            owned = list(self._running)
        for running in owned:
            with contextlib.suppress(SandboxError):
                running.kill()


_live = LiveCommands()
atexit.register(_live.kill_all)
