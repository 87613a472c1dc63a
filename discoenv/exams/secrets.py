"""Where exam seeds come from: a secret that only the host knows.

An exam's seed is HMAC-SHA256(secret, label), with the canonical JSON of what the exam is for a label. Whoever holds the
secret gets the same held-out data and the same scores again; whoever does not has to guess it, whatever else they know:
the source, the task, the seed of ``reset``, the training data, the learner's seed and the seeds of other exams.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from discoenv.errors import SecretError
from discoenv.machine import user_state

#: Bytes of a secret.
SIZE: Final = 32
#: Names a file that holds a secret, in hexadecimal digits.
VARIABLE: Final = "DISCOENV_SECRET_FILE"


@dataclass(frozen=True)
class Secret:
    """A secret. Its representation does not show it.

    Attributes:
        key: 32 bytes.
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != SIZE:
            raise SecretError(f"a secret has {SIZE} bytes, not {len(self.key)}")

    @property
    def commitment(self) -> str:
        """SHA-256 of the secret in hexadecimal digits: published before, it proves later which secret was used."""
        return hashlib.sha256(self.key).hexdigest()

    def seed(self, label: Mapping[str, str | int]) -> int:
        """128 bits for what the label names; equal for equal labels, in whatever order their keys are."""
        text = json.dumps(label, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return int.from_bytes(hmac.digest(self.key, text.encode(), "sha256")[:16], "big")

    def seal(self, content: Mapping[str, Any]) -> str:
        """64 hexadecimal digits that only the holder of the secret can compute for a content of plain JSON values.

        It is no part of any seed: a seed's label begins with a brace, and what is sealed with a word.
        """
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hmac.digest(self.key, b"seal:" + text.encode(), "sha256").hex()

    def sealed(self, content: Mapping[str, Any], seal: Any) -> bool:
        """Whether this is the content's :meth:`seal`."""
        return isinstance(seal, str) and hmac.compare_digest(self.seal(content).encode(), seal.encode(errors="replace"))


def new() -> Secret:
    """A random secret."""
    return Secret(secrets.token_bytes(SIZE))


def read(path: Path, *, published: bool = False) -> Secret:
    """The secret in a file.

    Args:
        path: the file.
        published: whether others may read it, because what it decided is over.

    Raises:
        SecretError: the file cannot be read, others can read it, or it does not hold 64 hexadecimal digits.
    """
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii")
        secret = Secret(bytes.fromhex(text.strip()))
    except (OSError, ValueError, SecretError) as error:
        raise SecretError(f"{path}: no secret can be read there: {error}. It holds 64 hexadecimal digits") from error
    if not published and stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise SecretError(f"{path}: others may read the secret; type `chmod 600 {path}`")
    return secret


def write(path: Path, secret: Secret) -> Secret:
    """Write a secret to a file that only this user can read, unless there is one; the secret that is there then.

    Raises:
        SecretError: the file cannot be written, or what is there is no secret.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret.key.hex() + "\n")
        try:
            os.link(temporary, path)  # fails if another process was faster, and is complete at once
        except FileExistsError:
            return read(path)
        finally:
            temporary.unlink()
    except OSError as error:
        raise SecretError(f"{path}: the secret cannot be written: {error}") from error
    return secret


def chosen(given: Secret | str | Path | None = None) -> Secret:
    """The secret of a host: what was given, or in the file that was named; else this user's, made at its first use.

    Raises:
        SecretError: as :func:`read` and :func:`write`.
    """
    if isinstance(given, Secret):
        return given
    named = given or os.environ.get(VARIABLE)
    if named:
        return read(Path(named))
    path = user_state.folder() / "secret"
    return read(path) if path.exists() else write(path, new())


def keep(secret: Secret) -> Path:
    """Keep a secret for this user, beside their own; the file, which :func:`found_at` finds by the commitment.

    Raises:
        SecretError: as :func:`write`.
    """
    path = kept_at(secret.commitment)
    write(path, secret)
    return path


def kept_at(commitment: str) -> Path:
    """The file in which :func:`keep` puts the secret with this commitment, be it there or not.

    Raises:
        SecretError: it is no commitment.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", commitment):  # it may come from a file of strangers, and becomes a path
        raise SecretError(f"{commitment[:80]!r} is not the SHA-256 of a secret; expected 64 hexadecimal digits")
    return user_state.folder() / "secrets" / commitment


def found_at(commitment: str) -> Path:
    """The file of the secret with this commitment: where it is kept, or else the one of ``DISCOENV_SECRET_FILE``.

    Raises:
        SecretError: it is in neither, or the file cannot be read.
    """
    kept, named = kept_at(commitment), os.environ.get(VARIABLE)
    if kept.exists():
        if (other := read(kept).commitment) == commitment:
            return kept
        raise SecretError(f"{kept}: this is another secret, whose SHA-256 is {other}; put the right one there")
    if named and read(Path(named)).commitment == commitment:
        return Path(named)
    raise SecretError(
        f"the secret whose SHA-256 is {commitment} is not on this machine: {kept} does not exist. Copy it from the "
        f"machine where it was made (mode 0600), or let {VARIABLE} name a file that holds it"
    )


def committed(commitment: str) -> Secret:
    """The secret with this commitment, if it is on this machine.

    Raises:
        SecretError: as :func:`found_at`.
    """
    return read(found_at(commitment))
