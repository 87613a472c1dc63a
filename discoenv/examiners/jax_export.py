"""JAX programs of examiners, exported once and loaded from the user's cache by every later process.

Tracing a simulator takes seconds of Python, importing it nearly as long, and the result is 0.1 MB of StableHLO.
A process that loads that needs neither. What XLA compiles of it is kept by JAX's own persistent cache (``client.py``).

Both caches are as trusted as the examiner that runs what they hold: no sandbox mounts them, and a folder that anybody
else can write to is not used.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import platform
import stat
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax import export

from discoenv.machine import atomic, cache, packages

#: Entries that are kept; the one that has not been used for longest goes first.
MOST_ENTRIES = 256
_FACTS = "facts.json"
#: Settings of JAX that change what is traced.
_OPTIONS = ("enable_x64", "default_prng_impl", "threefry_partitionable", "default_matmul_precision")


class Definition(NamedTuple):
    """What is to be exported.

    Attributes:
        functions: pure functions by name, each with example arguments, of which shapes and dtypes count. Arguments and
            results are arrays in tuples, lists and dicts; other trees must be flattened to their leaves.
        facts: whatever else is needed to use the functions, as JSON values.
    """

    functions: Mapping[str, tuple[Callable[..., Any], tuple[Any, ...]]]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class ExportedFunctions:
    """Functions by name, each compiled when it is first called, and the facts of their :class:`Definition`."""

    functions: Mapping[str, Callable[..., Any]]
    facts: Mapping[str, Any]


def load(
    define: Callable[[Mapping[str, Any]], Definition],
    settings: Mapping[str, Any],
    *,
    folder: Path,
    packages: tuple[str, ...],
    also: tuple[Path, ...] = (),
) -> ExportedFunctions:
    """The programs of ``define(settings)``, from the cache if they are there; otherwise traced, and put there.

    Args:
        define: called if they are not there, with ``settings``. Let it import what only it needs.
        settings: everything that the programs depend on beside code, as JSON values.
        folder: whose Python files, in all its folders, define the programs: they are traced anew after any change.
        packages: distributions that define them beside JAX; those that they require are found.
        also: further files, and folders of Python files, that define them.
    """
    entry = _store() / f"{folder.name}-{_key(settings, folder, packages, also)}.zip"
    programs = _read(entry)
    if programs is None:
        definition = define(settings)
        exported = {name: export.export(jax.jit(f))(*examples) for name, (f, examples) in definition.functions.items()}
        # From here on as if they had been loaded, so that the results do not depend on whether they were.
        programs = _programs(exported, definition.facts)
        with contextlib.suppress(OSError, ImportError):  # a full disk, or no flatbuffers: the next process traces again
            _write(entry, exported, definition.facts)
    return programs


def _programs(exported: Mapping[str, export.Exported], facts: Mapping[str, Any]) -> ExportedFunctions:
    return ExportedFunctions({name: jax.jit(program.call) for name, program in exported.items()}, facts)


def _read(entry: Path) -> ExportedFunctions | None:
    """What an entry holds; None if there is none, or none that can be read."""
    if not _is_private(entry.parent):
        return None
    try:
        with zipfile.ZipFile(entry) as archive:  # which has checksums
            contents = {name: archive.read(name) for name in archive.namelist()}
        facts = json.loads(contents.pop(_FACTS))
        exported = {name: export.deserialize(bytearray(content)) for name, content in contents.items()}
        _note_use(entry)
    except Exception:  # however broken it is, it will be replaced
        return None
    return _programs(exported, facts)


def _write(entry: Path, exported: Mapping[str, export.Exported], facts: Mapping[str, Any]) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_FACTS, json.dumps(dict(facts)))
        for name, program in exported.items():
            archive.writestr(name, bytes(program.serialize()))
    entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_private(entry.parent):
        return
    atomic.write_bytes(entry, file.getvalue())
    _note_use(entry)
    entries = sorted(entry.parent.glob("*.zip"), key=lambda path: path.stat().st_mtime_ns)
    for old in entries[:-MOST_ENTRIES]:
        old.unlink(missing_ok=True)


def _note_use(entry: Path) -> None:
    now = time.time_ns()  # the kernel's own stamps are milliseconds apart
    os.utime(entry, ns=(now, now))


def _store() -> Path:
    return cache.folder("examiner-programs")


def _is_private(folder: Path) -> bool:
    """Whether the folder exists and only this user can write to it."""
    try:
        status = folder.stat()
    except OSError:
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _key(settings: Mapping[str, Any], folder: Path, packages: tuple[str, ...], also: tuple[Path, ...]) -> str:
    """Changes with everything that can change the programs."""
    sources = {str(path.relative_to(folder)): _digest(path) for path in sorted(folder.rglob("*.py"))}
    further = [path for each in also for path in (sorted(each.rglob("*.py")) if each.is_dir() else [each])]
    others = [_digest(path) for path in (Path(__file__), *further)]
    parts = {
        "settings": dict(settings),
        "sources": [sources, others],
        "versions": _versions(("jax", "jaxlib", *packages)),
        "options": {name: str(getattr(jax.config, f"jax_{name}", None)) for name in _OPTIONS},
        "backend": jax.default_backend(),
        "python": platform.python_version(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def _versions(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of those packages, and of all that they require without extras, that are installed."""
    return {each.name: each.version for each in packages.closure(names).values() if each.version is not None}
