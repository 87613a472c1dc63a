"""Packs: folders of further domains, in our format or in DiscoGen's.

A pack is found by its path (``gym.make(..., packs=[path])``), in the environment variable ``DISCOENV_PACKS`` (paths
joined by ``:``), or through an entry point of the group ``discoenv.packs`` that names a path; the latter two are looked
up once per process. Its domains are called ``<pack>/<Domain>``.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from discoenv.tasks.domain import Domain, register_domains
from discoenv.tasks.errors import DomainError

VARIABLE = "DISCOENV_PACKS"
GROUP = "discoenv.packs"


def load_pack(path: str | Path) -> list[str]:
    """Make the domains of a pack known.

    Args:
        path: a folder of domains, or the folder of a package that holds one called ``domains``.

    Returns:
        The domains' names, ``<pack>/<Domain>``, sorted.

    Raises:
        DomainError: there is no domain in that folder.
    """
    root = _root(Path(path).resolve())
    pack = root.parent.name if root.name == "domains" else root.name
    loaders: dict[str, Callable[[], Domain]] = {}
    for folder in sorted(root.iterdir()):
        if (folder / "domain.yaml").is_file():
            loaders[f"{pack}/{folder.name}"] = partial(Domain, folder, pack)
        elif (folder / "task_config.yaml").is_file():
            loaders[f"{pack}/{folder.name}"] = partial(_discogen, folder, pack)
    register_domains(loaders)
    return list(loaders)


def load_configured_packs() -> list[str]:
    """Make the packs of ``DISCOENV_PACKS`` and of installed entry points known; returns their domains' names."""
    paths = [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
    for point in importlib.metadata.entry_points(group=GROUP):
        place = point.load()
        paths.append(str(place() if callable(place) else place))
    return [name for path in paths for name in load_pack(path)]


def _root(path: Path) -> Path:
    """The folder whose subfolders are domains."""
    for root in (path, path / "domains", *sorted(path.glob("*/domains"))):
        if root.is_dir() and any(root.glob("*/domain.yaml")) | any(root.glob("*/task_config.yaml")):
            return root
    raise DomainError(
        f"{path}: neither it nor its folder 'domains' holds domains (folders with domain.yaml or task_config.yaml)"
    )


def _discogen(folder: Path, pack: str) -> Domain:
    from discoenv.tasks.discogen_format import DiscogenDomain  # noqa: PLC0415 - few users need it

    return DiscogenDomain(folder, pack)
