"""Nested dictionaries of arrays and plain values in files, whole or not at all. Nothing is pickled."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

#: The entry that holds what is no array.
_PLAIN: Final = "plain.json"


def save(path: Path, tree: Mapping[str, Any]) -> None:
    """Write a dictionary of arrays, plain values and dictionaries as ``.npz``; the file is replaced in one step.

    Raises:
        ValueError: a key contains a slash or is no string.
        TypeError: a value is neither an array nor plain.
    """
    arrays: dict[str, Any] = {}
    plain: dict[str, Any] = {}
    for name, value in _leaves(tree):
        (arrays if isinstance(value, np.ndarray) else plain)[name] = value
    arrays[_PLAIN] = np.frombuffer(json.dumps(plain).encode(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load(path: Path) -> dict[str, Any]:
    """Read what :func:`save` has written."""
    with np.load(path) as arrays:
        flat = {name: arrays[name] for name in arrays.files if name != _PLAIN}
        flat |= json.loads(arrays[_PLAIN].tobytes().decode())
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *folders, last = name.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return tree


def write_text(path: Path, text: str) -> None:
    """Write a text file; it is replaced in one step."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if not isinstance(key, str) or "/" in key:
            raise ValueError(f"the key {key!r} cannot be stored; it must be a string without a slash")
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value
