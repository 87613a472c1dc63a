"""What tests do to recorded files, to see that readers of damaged ones say so."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def changed(**values: Any) -> Callable[[Path], None]:
    """Changes values of a JSON file."""

    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def holding(content: bytes) -> Callable[[Path], None]:
    """Replaces the content of a file."""

    def change(path: Path) -> None:
        path.write_bytes(content)

    return change


def replaced_by_a_pipe(path: Path) -> None:
    """Puts a pipe in the place of a file: who opens it waits for ever."""
    path.unlink()
    os.mkfifo(path)


def linked_to_endless_zeros(path: Path) -> None:
    """Puts a link to a device in the place of a file: who reads it has no end."""
    path.unlink()
    path.symlink_to("/dev/zero")
