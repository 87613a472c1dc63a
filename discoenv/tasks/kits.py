"""Reads kits, the packages that are copied into workspaces (see :mod:`discoenv.kits`), without importing them."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from discoenv.errors import UnknownName

#: The folder of all kits.
ROOT: Final = Path(__file__).resolve().parent.parent / "kits"
_RELATIVE_IMPORT: Final = re.compile(r"^(\s*from )\.(\w*)(?= import )", re.MULTILINE)


def kits() -> list[str]:
    """Names of the kits; ``exam`` is in every workspace whose exams have an examiner."""
    return sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


def kit_files(kit: str) -> Mapping[str, str]:
    """Text of each Python file of a kit, by its path in a dataset's folder (``rl_jax/wrappers.py``).

    Raises:
        UnknownName: there is no such kit.
    """
    if kit not in kits():
        raise UnknownName("kit", kit, kits())
    return _read(ROOT / kit)


@functools.cache
def _read(folder: Path) -> Mapping[str, str]:
    paths = sorted(folder.rglob("*.py"))
    return {str(path.relative_to(folder.parent)): path.read_text(encoding="utf-8") for path in paths}


def base_source(path: str) -> str:
    """The marked source of a module whose base is a kit's file.

    The module lies beside the kit, not in it, so that relative imports are replaced by absolute ones.

    Args:
        path: the file, ``rl_jax/adam.py``.

    Raises:
        UnknownName: there is no such kit, or no such file in it.
    """
    kit = path.partition("/")[0]
    files = kit_files(kit)
    if path not in files:
        raise UnknownName("file", path, list(files), f"the kit {kit}")
    return _RELATIVE_IMPORT.sub(lambda found: f"{found[1]}{kit}{'.' if found[2] else ''}{found[2]}", files[path])
