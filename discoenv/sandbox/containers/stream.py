"""The attached input and output of a container, as engines send it: frames of a kind, a size and a payload."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

from discoenv.machine import forks
from discoenv.sandbox.local.supervised import Tail

_CHUNK_BYTES = 1 << 18
_HEADER_BYTES = 8
_LAUNCHER_LINES = 2
_PATIENCE_S = 0.02
#: Kinds of frames.
STDOUT, STDERR = 1, 2


class Stream:
    """An attached connection: raw input, and output in frames of 8 bytes of header (stream, size) and a payload."""

    def __init__(self, attached: Any) -> None:
        self._attached = attached  # keeps the HTTP response alive
        self._socket = forks.keep_socket(socket.socket(fileno=os.dup(attached.fileno())))
        self._socket.setblocking(False)
        self._header = b""
        self._left = 0
        self._kind = 0
        self._lines = 0
        self._open = True
        self.tails: dict[int, Tail] = {STDOUT: Tail(4096), STDERR: Tail(4096)}

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def send(self, line: bytes, timeout_s: float = 30.0) -> None:
        """Write all of ``line`` to the container's standard input."""
        self._socket.settimeout(timeout_s)
        try:
            self._socket.sendall(line)
        finally:
            self._socket.setblocking(False)

    def read(self) -> bool:
        """Read what has come. False at the end of the output."""
        try:
            chunk = self._socket.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return self._open
        except OSError:
            chunk = b""
        self._open = bool(chunk)
        self._feed(chunk)
        return self._open

    @property
    def launched(self) -> bool:
        """Whether both of the launcher's own lines, which are empty and on standard output, have come."""
        return self._lines == _LAUNCHER_LINES

    def wait_for_line(self, timeout_s: float) -> bool:
        """Wait for the launcher's next line; False if the output ended or the time was up before."""
        wanted, deadline = self._lines + 1, time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            while self._lines < wanted and self._open and time.monotonic() < deadline:
                if selector.select(max(0.0, deadline - time.monotonic())):
                    self.read()
        return self._lines >= wanted

    def read_rest(self, timeout_s: float) -> None:
        """Read to the end of the output."""
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            while self._open and (left := deadline - time.monotonic()) > 0:
                if selector.select(left):
                    self.read()

    @contextlib.contextmanager
    def read_meanwhile(self) -> Iterator[None]:
        """Read, in a thread, what comes while the block runs.

        An engine that cannot hand over a container's output does not notice that the container has ended either.
        """
        over = threading.Event()

        def read() -> None:
            while self._open and not over.is_set():
                self.read_rest(_PATIENCE_S)

        reader = threading.Thread(target=read, name="discoenv-output", daemon=True)
        reader.start()
        try:
            yield
        finally:
            over.set()
            reader.join()

    def said(self) -> str:
        """What is on standard error."""
        return self.tails[STDERR].text().strip()

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._attached.close()

    def _feed(self, chunk: bytes) -> None:
        position = 0
        while position < len(chunk):
            if self._left == 0:
                take = chunk[position : position + _HEADER_BYTES - len(self._header)]
                self._header += take
                position += len(take)
                if len(self._header) == _HEADER_BYTES:
                    self._kind, self._left = struct.unpack(">B3xL", self._header)
                    self._header = b""
                continue
            payload = chunk[position : position + self._left]
            position += len(payload)
            self._left -= len(payload)
            if (
                self._kind == STDOUT and self._lines < _LAUNCHER_LINES and payload
            ):  # the launcher's two lines come first
                own = min(_LAUNCHER_LINES - self._lines, len(payload))
                self._lines += own
                payload = payload[own:]
            if payload and (tail := self.tails.get(self._kind)):
                tail.add(payload)
