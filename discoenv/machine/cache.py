"""The user's cache: the one place that knows where it is."""

from __future__ import annotations

import os
from pathlib import Path


def folder(*parts: str) -> Path:
    """``$XDG_CACHE_HOME/discoenv/<parts>``, below ``~/.cache`` where the variable is not set. It may not exist."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root.joinpath("discoenv", *parts)
