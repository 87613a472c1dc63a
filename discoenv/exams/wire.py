"""The examiner's side of the connection: sends questions, and reads answers from a peer that may send any bytes.

The format is described in ``discoenv/kits/exam/messages.py``. Everything is checked before it is used: lengths, JSON,
dtypes, shapes, byte counts. Nothing is ever unpickled. A breach raises :class:`ProtocolError`, whose message the agent
gets to read.
"""

from __future__ import annotations

import contextlib
import json
import math
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from discoenv.exams.budget import Budget
from discoenv.kits.exam.messages import LENGTHS, pack

DTYPES: Final = frozenset({"|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"})
MAX_DIMENSIONS: Final = 16
MAX_ARRAYS: Final = 1024
#: Until when something may take.
Deadline = float | Budget


class ExamEnded(Exception):
    """The learner's part of the exam is over because of something it did; the message says what."""


class ProtocolError(ExamEnded):
    """The learner sent something that is not a valid answer."""


class RuleBroken(ProtocolError):
    """The learner's answers are valid, and show that training broke a rule of the domain; scored in the same way."""


class LearnerGone(ExamEnded):
    """The learner closed its connection."""


class AnswerTooLate(ExamEnded):
    """The learner's compute budget was spent before its answer had arrived."""


@dataclass(frozen=True)
class FrameLimits:
    """Largest header and body, in bytes, that a learner may send in one message."""

    header_bytes: int = 1 << 20
    body_bytes: int = 256 << 20

    def check(self, header_bytes: int, body_bytes: int) -> None:
        """Raise :class:`ProtocolError` if a message announces more than this."""
        if header_bytes > self.header_bytes or body_bytes > self.body_bytes:
            raise ProtocolError(
                f"a message announces {header_bytes} + {body_bytes} bytes; the limits are "
                f"{self.header_bytes} for its header and {self.body_bytes} for its arrays"
            )


def decode(text: bytes | bytearray, body: bytes | bytearray) -> Any:
    """Decode the header and body of one message from an untrusted peer.

    Returns:
        The message: a tree of dict, list, str, int, float, bool, None and read-only NumPy arrays.

    Raises:
        ProtocolError: for anything that :func:`discoenv.kits.exam.messages.pack` could not have written.
    """
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the header of a message is not JSON ({type(error).__name__})") from None
    if not isinstance(header, dict) or set(header) != {"message", "arrays"} or not isinstance(header["arrays"], list):
        raise ProtocolError('the header of a message is not {"message": ..., "arrays": [...]}')
    if len(header["arrays"]) > MAX_ARRAYS:
        raise ProtocolError(f"a message holds {len(header['arrays'])} arrays; the limit is {MAX_ARRAYS}")

    arrays: list[np.ndarray[Any, Any]] = []
    start = 0
    for entry in header["arrays"]:
        dtype, shape = _array_entry(entry)
        size = math.prod(shape) * dtype.itemsize
        if size > len(body) - start:
            raise ProtocolError(f"a message announces more array bytes than the {len(body)} it holds")
        try:
            array = np.frombuffer(body, dtype, math.prod(shape), start).reshape(shape)
        except (ValueError, OverflowError):
            raise ProtocolError("the shape of an array is impossible") from None
        if dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
            raise ProtocolError("an array of booleans holds bytes other than 0 and 1")
        array.flags.writeable = False
        arrays.append(array)
        start += size
    if start != len(body):
        raise ProtocolError(f"a message holds {len(body) - start} bytes that belong to no array")
    try:
        return _with_arrays(header["message"], arrays)
    except RecursionError:
        raise ProtocolError("the header of a message is nested too deeply") from None


def _array_entry(entry: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) and isinstance(entry[1], list)):
        raise ProtocolError("an array is not announced as [dtype, shape]")
    if entry[0] not in DTYPES:
        raise ProtocolError(f"dtype {entry[0][:40]!r} is not allowed; allowed are {', '.join(sorted(DTYPES))}")
    shape = entry[1]
    if len(shape) > MAX_DIMENSIONS or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
        raise ProtocolError("the shape of an array is not a short list of sizes")
    return np.dtype(entry[0]), tuple(shape)


def _with_arrays(node: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    if isinstance(node, list):
        return [_with_arrays(value, arrays) for value in node]
    if not isinstance(node, dict):
        return node
    if "__array__" not in node:
        return {key: _with_arrays(value, arrays) for key, value in node.items()}
    index = node["__array__"]
    if len(node) != 1 or type(index) is not int or not 0 <= index < len(arrays):
        raise ProtocolError("a message refers to an array that it does not hold")
    return arrays[index]


class Channel:
    """One connection to a learner. A deadline is a moment of ``time.monotonic()``, or a budget."""

    def __init__(self, connection: socket.socket, limits: FrameLimits | None = None) -> None:
        self._connection = connection
        self._limits = limits or FrameLimits()

    def send(self, message: Any, deadline: Deadline) -> None:
        """Send one message; the learner has until ``deadline`` to read it."""
        data, sent = memoryview(pack(message)), 0
        try:
            while data:
                self._connection.settimeout(_remaining(deadline, sent))
                sent = 0
                with _asked_again(deadline):
                    sent = self._connection.send(data)
                data = data[sent:]
        except TimeoutError:
            raise AnswerTooLate("the compute budget was spent before the learner read a question") from None
        except OSError as error:
            raise LearnerGone(f"the learner closed its connection during the exam ({error.strerror})") from None

    def receive(self, deadline: Deadline) -> dict[str, Any]:
        """Read one message, completely arrived before ``deadline``.

        Raises:
            ProtocolError, LearnerGone, AnswerTooLate: as their names say.
        """
        header_bytes, body_bytes = LENGTHS.unpack(self._read(LENGTHS.size, deadline))
        self._limits.check(header_bytes, body_bytes)
        text = self._read(header_bytes, deadline)
        message = decode(text, self._read(body_bytes, deadline))
        if not isinstance(message, dict):
            raise ProtocolError("a message is not a JSON object")
        return message

    def _read(self, count: int, deadline: Deadline) -> bytearray:
        """``count`` bytes. Memory grows with what arrives, not with what was announced."""
        data, new = bytearray(), 0
        while len(data) < count:
            part = None
            try:
                self._connection.settimeout(_remaining(deadline, new))
                new = 0
                with _asked_again(deadline):
                    part = self._connection.recv(min(count - len(data), 1 << 20))
                if part is None:
                    continue
            except TimeoutError:
                raise AnswerTooLate("the compute budget was spent before the learner answered") from None
            except ConnectionResetError:  # it was closed with a question unread
                part = b""
            except OSError as error:
                raise LearnerGone(f"the learner's connection broke during the exam ({error.strerror})") from None
            if not part:
                raise LearnerGone("the learner closed its connection before the exam was over")
            data += part
            new = len(part)
        return data

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextlib.contextmanager
def _asked_again(deadline: Deadline) -> Iterator[None]:
    """A wait that is over ends the block; what it means is asked of a budget the next time."""
    try:
        yield
    except TimeoutError:
        if isinstance(deadline, (int, float)):
            raise


def _remaining(deadline: Deadline, received: int = 0) -> float:
    """Seconds until ``deadline``, or until it is to be asked again.

    Never zero, which a socket would read as "do not block".
    """
    if not isinstance(deadline, (int, float)):
        return deadline.wait_s(received)
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining
