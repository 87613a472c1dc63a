"""Pickles in run directories: only those that this user has written are loaded.

A pickle runs what its writer wants, and a run directory may come from someone else. So each is written with a seal,
HMAC-SHA256 under a key of the user's that never leaves their machines; one with no seal, or another's, is not loaded.
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from discoenv.errors import ExperimentError
from discoenv.exams import secrets
from discoenv.exams.secrets import Secret
from discoenv.machine import atomic, user_state
from discoenv.machine.regular import open_regular

_BEGIN: Final = b"discoenv pickle, sealed\n"
_SEAL_BYTES: Final = 32
_adopted: list[Secret] = []


def key() -> Secret:
    """The key of this user, made at its first use; in a worker, that of who started it.

    Raises:
        SecretError: it cannot be read or written.
    """
    if _adopted:
        return _adopted[-1]
    path = user_state.folder() / "pickle-key"
    return secrets.read(path) if path.exists() else secrets.write(path, secrets.new())


@contextlib.contextmanager
def under(given: Secret | None) -> Iterator[None]:
    """Use the key of the process that gave this one its work, which may be on another machine; None: the user's own."""
    before = list(_adopted)
    _adopted[:] = [given] if given else before
    try:
        yield
    finally:
        _adopted[:] = before


def write(path: Path, data: bytes) -> None:
    """Write a pickle with this user's seal, replacing the file in one step.

    Raises:
        SecretError: as :func:`key`.
        OSError: it cannot be written.
    """
    atomic.write_bytes(path, _BEGIN + _seal(data) + data)


def read(path: Path, loads: Callable[[bytes], Any]) -> Any:
    """What was pickled into a file by this user.

    Raises:
        ExperimentError: it has no seal or another's, and was not loaded; or it cannot be loaded.
        SecretError: as :func:`key`.
        OSError: it cannot be read, or is no regular file.
    """
    with open_regular(path) as file:
        if file is None:
            raise OSError(f"{path}: not a regular file that can be read; links are not followed")
        content = file.read()
    seal, data = content[len(_BEGIN) :][:_SEAL_BYTES], content[len(_BEGIN) + _SEAL_BYTES :]
    if not content.startswith(_BEGIN) or not hmac.compare_digest(seal, _seal(data)):
        raise ExperimentError(
            f"{path}: it was not written by this user, or by an older version, so it is not loaded: a pickle runs "
            "what its writer wants. Remove it to begin anew; what is in JSON beside it can be read by anyone"
        )
    try:
        return loads(data)
    except Exception as error:
        raise ExperimentError(f"{path} cannot be read ({error!r})") from error


def _seal(data: bytes) -> bytes:
    return hmac.digest(key().key, b"pickle:" + data, "sha256")
