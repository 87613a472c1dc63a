"""What tests do to recorded files, to see that readers of damaged ones say so."""

from __future__ import annotations

import json
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
