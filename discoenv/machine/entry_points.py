"""What installed packages add to discoenv: entry points of the groups ``discoenv.*``, read when they are needed.

A package adds an agent by two lines of its ``pyproject.toml``::

    [project.entry-points."discoenv.agents"]
    tree_search = "my_package.agents:tree_search"

* ``discoenv.agents``: a function ``(env, seed, **options)``, for ``discoenv bench --agents``;
* ``discoenv.sandboxes``: a subclass of :class:`discoenv.sandbox.base.Sandbox`, for :func:`discoenv.get_sandbox`;
* ``discoenv.objectives``: a function with the decorator :func:`discoenv.objectives.register`;
* ``discoenv.packs``: a folder of domains, or a function that returns one.

Listing entry points imports none of them. A broken one raises :class:`discoenv.errors.EntryPointError` where it is
used, and nowhere else.
"""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from discoenv.errors import EntryPointError

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extension:
    """One entry point of an installed package.

    Attributes:
        group: such as ``discoenv.agents``.
        name: what users call the object.
        value: where the object is: ``package.module:name``.
        distributions: the packages that declare this name, with their versions; more than one is an error.
    """

    group: str
    name: str
    value: str
    distributions: tuple[str, ...]

    def load(self) -> Any:
        """Import the object.

        Raises:
            EntryPointError: it cannot be imported, or several packages declare the name.
        """
        if len(self.distributions) > 1:
            raise EntryPointError(f"{self} is declared by {' and '.join(self.distributions)}: uninstall one of them")
        try:
            return importlib.metadata.EntryPoint(self.name, self.value, self.group).load()
        except Exception as error:  # importing runs the package's code
            raise self.error(f"cannot be imported ({type(error).__name__}: {error})") from error

    def error(self, problem: str) -> EntryPointError:
        """An error that names the package: ``problem`` follows the name of the object."""
        package = self.distributions[0]
        remedy = f"update {package.split()[0]}, or uninstall it"
        return EntryPointError(f"{self} of the package {package} {problem}: {remedy}")

    def __str__(self) -> str:
        return f"entry point {self.name!r} ({self.value}, group {self.group})"


def find(group: str) -> Mapping[str, Extension]:
    """The entry points of a group by name, sorted; none of them is imported.

    A package whose metadata cannot be read is left out; the logger of this module warns once and names it.
    """
    return _found(tuple(sys.path)).get(group, {})


@functools.lru_cache(maxsize=1)
def _found(path: tuple[str, ...]) -> dict[str, dict[str, Extension]]:
    """All groups ``discoenv.*``, as installed along ``path``. A package that is installed twice counts once."""
    found: dict[str, dict[str, Extension]] = {}
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions(path=list(path)):
        try:
            ours = [point for point in distribution.entry_points if point.group.startswith("discoenv.")]
            name, version = (distribution.metadata[key] for key in ("Name", "Version")) if ours else ("", "")
        except Exception as error:  # damaged metadata of a package that may have nothing to do with us
            _logger.warning("the entry points of a package cannot be read: %s", _where(distribution, error))
            continue
        if not ours or name in seen:
            continue
        seen.add(name)
        for point in ours:
            group = found.setdefault(point.group, {})
            others = group[point.name].distributions if point.name in group else ()
            group[point.name] = Extension(point.group, point.name, point.value, (*others, f"{name} {version}"))
    return {group: dict(sorted(points.items())) for group, points in found.items()}


def _where(distribution: importlib.metadata.Distribution, error: Exception) -> str:
    """The folder of a package's metadata, and what is wrong with it."""
    return f"{getattr(distribution, '_path', distribution)}: {type(error).__name__}: {error}"
