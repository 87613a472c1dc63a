"""Other interpreters of Python than the one that runs here: where they are installed, and what they can import.

A pack of domains may name one, because what its code requires cannot be installed beside discoenv.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discoenv.errors import InterpreterUnusable

_TIMEOUT_S = 60.0
_LOOK = """
import json, sys
print(json.dumps([[sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix], sys.version.split()[0]]))
"""
_FIND = """
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]))
"""


@dataclass(frozen=True)
class Interpreter:
    """An interpreter.

    Attributes:
        executable: its absolute path; a symbolic link stays one, by which a virtual environment is known.
        prefixes: the folders that it is installed in, those of its virtual environment first.
        version: for example ``3.12.4``.
    """

    executable: Path
    prefixes: tuple[Path, ...]
    version: str


def interpreter(python: str | Path) -> Interpreter:
    """Look at an interpreter; what was found is remembered until the file changes.

    Args:
        python: the path of its executable, or of a virtual environment's folder.

    Raises:
        InterpreterUnusable: there is none, or it does not start.
    """
    path = Path(python).expanduser().absolute()
    if path.is_dir():
        path = path / "bin" / "python"
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise InterpreterUnusable(f"{path}: no interpreter is there; name the file bin/python of an environment")
    return _looked_at(path, path.stat().st_mtime_ns)


def missing_modules(names: Iterable[str], python: Path | None = None) -> list[str]:
    """Which packages, by the names that they are imported by, an interpreter does not find, in their order.

    Args:
        names: of top-level packages; none of them is imported.
        python: the interpreter; None: the one that runs here.

    Raises:
        InterpreterUnusable: as :func:`interpreter`.
    """
    if python is None:
        return [name for name in names if not _is_here(name)]
    found = interpreter(python)
    return list(_missing(found.executable, tuple(names)))


@functools.cache
def _looked_at(executable: Path, stamp: int) -> Interpreter:
    prefixes, version = _asked(executable, _LOOK)
    return Interpreter(executable, tuple(dict.fromkeys(map(Path, prefixes))), version)


@functools.lru_cache(maxsize=256)
def _missing(executable: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_asked(executable, _FIND, *names)) if names else ()


def _asked(executable: Path, code: str, *arguments: str) -> Any:
    command = [str(executable), "-I", "-c", code, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
        return json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().rpartition("\n")[2]
        raise InterpreterUnusable(f"{executable}: it does not work: {said or error}") from error
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise InterpreterUnusable(f"{executable}: it is no interpreter of Python that starts: {error}") from error


@functools.cache
def _is_here(name: str) -> bool:
    return name in sys.builtin_module_names or importlib.util.find_spec(name) is not None
