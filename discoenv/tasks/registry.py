"""Which domains there are: those that come with discoenv, and those of packs.

A pack is a folder of further domains, in our format or in another that a reader of ``READERS`` knows. It is found by
its path (:func:`load_pack`), in the environment variable ``DISCOENV_PACKS`` (paths joined by ``:``), or
through an entry point of the group ``discoenv.packs`` that names a path (:mod:`discoenv.machine.entry_points`); the
latter two are looked up once per process. Its domains are called ``<pack>/<Domain>``. A folder whose name begins with
``_`` holds a template, and is not a domain.

``<path>=<interpreter>`` names the Python that the learners of a pack run with, for packs whose requirements cannot be
installed beside discoenv. It is the file ``bin/python`` of an environment, or the environment's folder.
``<path>=docker://<image>`` names the image of a container engine in which they run.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from discoenv.errors import ArgumentError, DomainError, EntryPointError, UnknownName
from discoenv.machine import entry_points, interpreters

if TYPE_CHECKING:
    from discoenv.tasks.domain import Domain

#: Folder of the domains that come with discoenv.
BUILTIN = Path(__file__).resolve().parent.parent / "domains"
VARIABLE: Final = "DISCOENV_PACKS"
GROUP: Final = "discoenv.packs"
#: Formats of domains: the file that marks a folder as one, and the class that reads it, imported when it is needed.
READERS: Final = {
    "domain.yaml": "discoenv.tasks.domain:Domain",
    "task_config.yaml": "discoenv.discogen.domain:DiscogenDomain",
}

#: How an image is told from an interpreter; a Path has one slash of the two.
_IMAGE: Final = re.compile(r"docker:/{1,2}(.+)", re.DOTALL)
#: Parts of an image's name that a colon comes before: a tag; a port, and what follows it.
_AFTER_COLON: Final = re.compile(r"[\w.-]{1,128}(@sha256)?|\d+/[\w./-]+|[0-9a-f]{64}", re.ASCII)

_registered: dict[str, Callable[[], Domain]] = {}
_logger = logging.getLogger(__name__)


def get_domain(name: str) -> Domain:
    """The domain called ``name``; files are read once per process.

    Raises:
        UnknownName: no domain has that name; the message suggests one.
        DomainError: its files are wrong.
        EntryPointError: it is of an installed pack, which is broken.
    """
    if name in _known(BUILTIN):
        return _domain(BUILTIN / name)
    load_configured_packs()
    if name not in _registered:
        extension = entry_points.find(GROUP).get(name.partition("/")[0])
        if extension is not None:
            _load_installed(extension)  # raises if it is broken
        raise UnknownName("domain", name, get_domains())
    return _registered[name]()


def get_domains() -> list[str]:
    """Names of all domains, those that come with discoenv first, each sorted."""
    load_configured_packs()
    return [*_known(BUILTIN), *sorted(_registered)]


def register_domains(loaders: dict[str, Callable[[], Domain]]) -> None:
    """Make more domains known, by name; a loader is called when its domain is first used."""
    _registered.update({name: functools.cache(load) for name, load in loaders.items()})


def load_pack(path: str | Path, python: str | Path | None = None, image: str = "") -> list[str]:
    """Make the domains of a pack known.

    Args:
        path: a folder of domains, or the folder of a package that holds one called ``domains``;
            ``<path>=<interpreter>`` and ``<path>=docker://<image>`` are two arguments in one.
        python: the interpreter that its learners run with, ``bin/python`` of an environment or the environment's
            folder; None: the one that runs here. Sandboxes that run images cannot use another one.
        image: the image of a container engine in which its learners run, as the engine calls it; only the sandboxes
            ``docker`` and ``podman`` can. Data is still made by the interpreter that runs here.

    Returns:
        The domains' names, ``<pack>/<Domain>``, sorted.

    Raises:
        DomainError: there is no domain in that folder.
        InterpreterUnusable: the interpreter is not there, or does not work.
        ArgumentError: both an interpreter and an image are named.
    """
    if python is None and not image and "=" in str(path) and not Path(path).exists():
        path, _, named = str(path).partition("=") if "=docker:/" in str(path) else str(path).rpartition("=")
        found = _IMAGE.fullmatch(named)
        image, python = (found[1], None) if found else ("", named)
    if image and python is not None:
        raise ArgumentError(f"{path}: a pack has an interpreter ({python}) or an image ({image}), not both")
    root = _root(Path(path).expanduser().resolve())
    pack = pack_name(root)
    executable = None if python is None else interpreters.interpreter(python).executable
    loaders: dict[str, Callable[[], Domain]] = {}
    for folder in sorted(root.iterdir()):
        reader = _reader(folder)
        if reader is not None:
            loaders[f"{pack}/{folder.name}"] = functools.partial(_read, reader, folder, pack, executable, image)
    register_domains(loaders)
    return list(loaders)


def load_packs(packs: str | Path | Iterable[str | Path]) -> list[str]:
    """Make the domains of several packs known, each as :func:`load_pack` does; one path is one pack."""
    paths = [packs] if isinstance(packs, str | Path) else list(packs)
    return [name for path in paths for name in load_pack(path)]


def spelling(domain: Domain) -> str:
    """How the pack of a domain is named to :func:`load_pack`, so that learners have the same interpreter or image."""
    root = str(domain.directory.parent)
    if domain.image:
        return f"{root}=docker://{domain.image}"
    return f"{root}={domain.python}" if domain.python else root


def domains_beside(path: Path) -> list[str]:
    """Names of the domains of the pack in whose folder, or package, a file lies; none if it is in no pack."""
    place = path.resolve()
    found = []
    for name in sorted(_registered):
        root = _registered[name]().directory.parent
        if place.is_relative_to(root.parent if root.name == "domains" else root):
            found.append(name)
    return found


def pack_name(folder: Path) -> str:
    """Name of the pack whose domains are in a folder: the folder's, or that of its parent if it is called domains."""
    return folder.parent.name if folder.name == "domains" else folder.name


@functools.cache
def load_configured_packs() -> list[str]:
    """Make the packs of ``DISCOENV_PACKS`` and of installed entry points known, once per process.

    An installed pack that is broken is left out, with a warning that names its package.

    Returns:
        The names of their domains.

    Raises:
        DomainError: there is no domain in a folder of ``DISCOENV_PACKS``.
    """
    paths = _split(os.environ.get(VARIABLE, ""))
    names = [name for path in paths for name in load_pack(path)]
    for extension in entry_points.find(GROUP).values():
        try:
            names += _load_installed(extension)
        except EntryPointError as error:
            _logger.warning("%s", error)
    return names


def _split(text: str) -> list[str]:
    """The packs of ``DISCOENV_PACKS``, separated by colons; those in the name of an image separate nothing."""
    found: list[str] = []
    for part in text.split(os.pathsep):
        before = found[-1] if found else ""
        scheme = before.endswith("=docker") and part.startswith("//")
        if scheme or ("=docker://" in before and _AFTER_COLON.fullmatch(part) and not Path(part).is_dir()):
            found[-1] += f"{os.pathsep}{part}"
        elif part:
            found.append(part)
    return found


def _load_installed(extension: entry_points.Extension) -> list[str]:
    place = extension.load()
    try:
        return load_pack(str(place() if callable(place) else place))
    except Exception as error:  # a function of another package
        raise extension.error(f"is no pack of domains ({type(error).__name__}: {error})") from error


def _root(path: Path) -> Path:
    """The folder whose subfolders are domains."""
    for root in (path, path / "domains", *sorted(path.glob("*/domains"))):
        if root.is_dir() and any(_reader(folder) for folder in root.iterdir()):
            return root
    raise DomainError(
        f"{path}: neither it nor its folder 'domains' holds domains (folders with {' or '.join(READERS)})"
    )


def _reader(folder: Path) -> str | None:
    """The class that reads the domain in a folder, ``module:class``; None if there is no domain."""
    if folder.name.startswith("_"):
        return None
    return next((reader for file, reader in READERS.items() if (folder / file).is_file()), None)


def _read(reader: str, folder: Path, pack: str, python: Path | None = None, image: str = "") -> Domain:
    module, _, name = reader.partition(":")
    read: type[Domain] = getattr(importlib.import_module(module), name)
    return read(folder, pack, python, image)


@functools.cache
def _known(root: Path) -> tuple[str, ...]:
    return tuple(sorted(path.parent.name for path in root.glob("[!_]*/domain.yaml")))


@functools.cache
def _domain(directory: Path) -> Domain:
    return _read(READERS["domain.yaml"], directory, "")
