"""What belongs to the user and is to stay, unlike the cache: the one place that knows where it is."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """``$XDG_STATE_HOME/discoenv``, below ``~/.local/state`` where the variable is not set. It may not exist."""
    root = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return root / "discoenv"
