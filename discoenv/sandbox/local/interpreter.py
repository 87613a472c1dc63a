"""What a sandboxed program may see of a Python on this machine: its trees, without what would give secrets away.

Learners use the interpreter that runs here and its packages, or another one that is named. ``discoenv`` itself
(baseline solutions, examiners) and the packages that hold held-out data are masked.
"""

from __future__ import annotations

import site
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from discoenv.errors import SandboxError
from discoenv.machine import interpreters

#: Directories of the operating system that are visible, read-only.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")

_PACKAGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class View:
    """What to bind and what to cover.

    Attributes:
        executable: the interpreter, a path that is valid inside as well.
        trees: real directories to bind read-only at their own paths, parents first.
        aliases: ``(symbolic link, tree)``, the other names by which the interpreter refers to trees.
        masked_directories: existing directories to cover with an empty one.
        masked_files: existing files to cover with an empty one.
        user_base: where ``pip install --user`` packages are, if this interpreter uses them.
    """

    executable: str
    trees: tuple[Path, ...]
    aliases: tuple[tuple[Path, Path], ...]
    masked_directories: tuple[Path, ...]
    masked_files: tuple[Path, ...]
    user_base: Path | None


def interpreter_view(
    hidden_packages: tuple[str, ...], also_visible: tuple[Path, ...] = (), python: Path | None = None
) -> View:
    """Look at an interpreter and its installed packages as they are now.

    Args:
        hidden_packages: what is covered, as paths relative to site-packages.
        also_visible: more trees.
        python: the interpreter; None: the one that runs here.

    Raises:
        SandboxError: a hidden package is not a path relative to site-packages, or there is no interpreter.
        InterpreterUnusable: ``python`` does not work.
    """
    other = None if python is None else interpreters.interpreter(python)
    if not (other or sys.executable):
        raise SandboxError("sys.executable is empty, so there is no interpreter to offer: start discoenv from `python`")
    for hidden in hidden_packages:
        if not hidden or Path(hidden).is_absolute() or ".." in Path(hidden).parts:
            raise SandboxError(f"hidden package {hidden!r} must be a path relative to site-packages, without `..`")
    user_site = Path(site.getusersitepackages()) if site.ENABLE_USER_SITE and other is None else None
    if user_site and not user_site.is_dir():
        user_site = None
    names = [
        *(_prefixes(other.executable, other.prefixes) if other else _own_prefixes()),
        *also_visible,
        *([user_site] if user_site else []),
    ]
    trees = tuple(sorted({name.resolve() for name in names if name.is_dir() and not _is_system(name.resolve())}))
    covered = [*_secrets(trees), *(hit for each in hidden_packages for hit in _hidden(each, trees))]
    visible = {path.resolve() for path in covered if path.exists()}
    visible = {path for path in visible if _is_inside(path, trees)}
    visible = {path for path in visible if not any(other in path.parents for other in visible)}
    return View(
        executable=str(other.executable) if other else sys.executable,
        trees=trees,
        aliases=tuple(sorted(_aliases(names, trees))),
        masked_directories=tuple(sorted(path for path in visible if path.is_dir())),
        masked_files=tuple(sorted(path for path in visible if path.is_file())),
        user_base=Path(site.getuserbase()) if user_site else None,
    )


def _own_prefixes() -> Iterator[Path]:
    prefixes = (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    yield from _prefixes(Path(sys.executable), tuple(map(Path, prefixes)))


def _prefixes(executable: Path, prefixes: tuple[Path, ...]) -> Iterator[Path]:
    """The directories that an interpreter is installed in, under every name that it uses."""
    yield from prefixes
    hop = executable
    while hop.is_symlink():  # bin/python -> /opt/python/bin/python3 -> python3.12: each hop must exist inside
        hop = hop.parent / hop.readlink()
        if hop.parent.name == "bin":
            yield hop.parent.parent


def _aliases(names: list[Path], trees: tuple[Path, ...]) -> set[tuple[Path, Path]]:
    """Names that differ from the real directory and do not exist inside anyway."""
    return {
        (name, name.resolve())
        for name in names
        if name.resolve() in trees and name != name.resolve() and not _is_inside(name.parent.resolve(), trees)
    }


def _is_system(path: Path) -> bool:
    return path == Path("/") or any(path.is_relative_to(directory) for directory in SYSTEM)


def _is_inside(path: Path, trees: tuple[Path, ...]) -> bool:
    return _is_system(path) or any(path.is_relative_to(tree) for tree in trees)


def _site_packages(trees: tuple[Path, ...]) -> Iterator[Path]:
    """Every directory of installed packages that will be visible, of whichever Python."""
    for tree in trees:
        if tree.name in ("site-packages", "dist-packages"):
            yield tree
    for tree in [Path("/usr"), Path("/usr/local"), *trees]:
        for pattern in ("lib*/python3*/site-packages", "lib*/python3*/dist-packages"):
            yield from tree.glob(pattern)


def _hidden(package: str, trees: tuple[Path, ...]) -> Iterator[Path]:
    """A hidden package in each place; with a source file also its compiled forms."""
    for packages in _site_packages(trees):
        path = packages / package
        yield path
        if path.suffix == ".py":
            yield from path.parent.glob(f"__pycache__/{path.stem}.*.pyc")


def _secrets(trees: tuple[Path, ...]) -> Iterator[Path]:
    """``discoenv`` wherever it is installed, its metadata, and what reveals where a checkout is."""
    installed = _PACKAGE.parent.name in ("site-packages", "dist-packages")
    is_prefix = any(tree.is_relative_to(_PACKAGE.parent) for tree in trees)
    yield _PACKAGE if installed or is_prefix else _PACKAGE.parent
    for packages in _site_packages(trees):
        yield from packages.glob("*discoenv*")
        yield from packages.glob("__pycache__/*discoenv*")
        for pointer in [*packages.glob("*.pth"), *packages.glob("*.egg-link")]:
            if str(_PACKAGE.parent).encode() in pointer.read_bytes():
                yield pointer
    for tree in trees:
        if (tree / "conda-meta").is_dir():  # a conda installation: its other environments and package cache
            yield tree / "pkgs"
            yield from (each for each in tree.glob("envs/*") if not any(used.is_relative_to(each) for used in trees))
