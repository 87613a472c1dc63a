"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from discoenv.text import encoded


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path`` (mode 0644), replacing it in one step; line ends stay as they are.

    Lone surrogates, which UTF-8 cannot encode, are written as escapes (:mod:`discoenv.text`).
    """
    write_bytes(path, encoded(text))


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` (mode 0644), replacing it in one step."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
