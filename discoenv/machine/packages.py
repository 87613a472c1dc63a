"""Python packages: which ones requirements name, and which of those are installed here, in what version.

This is the one place that parses requirements (PEP 508). Text of another form, such as a URL alone, names no package
and is left out. Names are canonical: ``scikit-learn``, not ``Scikit_Learn``.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Package:
    """A package that something requires.

    Attributes:
        name: canonical.
        requirement: the first requirement that asked for it.
        version: the installed version; None: it is not installed.
    """

    name: str
    requirement: Requirement
    version: str | None

    def pin(self) -> str:
        """The requirement of the installed version, for pip; of any suitable version if none is installed.

        A local version such as ``2.6.0+cpu`` is pinned without its suffix, which package indices do not serve.
        """
        extras = f"[{','.join(sorted(self.requirement.extras))}]" if self.requirement.extras else ""
        if self.version is not None:
            return f"{self.name}{extras}=={self.version.partition('+')[0]}"
        source = f" @ {self.requirement.url}" if self.requirement.url else str(self.requirement.specifier)
        return f"{self.name}{extras}{source}"


def names(requirements: Iterable[str]) -> list[str]:
    """Names of the packages that requirements ask for, in their order.

    Example:
        >>> names(["jax[cuda12]>=0.6", "Scikit_Learn", "./wheels"])
        ['jax', 'scikit-learn']
    """
    return [canonicalize_name(requirement.name) for requirement in _parsed(requirements)]


def version(name: str) -> str | None:
    """The installed version of a package; None: it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The installed version of each package, by name; packages that are not installed are left out."""
    found = {name: version(name) for name in packages}
    return {name: installed for name, installed in found.items() if installed is not None}


def missing(requirements: Iterable[str]) -> list[str]:
    """Names of the packages that requirements ask for and that are not installed, in their order."""
    return [name for name in names(requirements) if version(name) is None]


def provider(module: str) -> str:
    """Name of the installed package that provides a module (``pillow`` for ``PIL``); else the module's own name."""
    return canonicalize_name(importlib.metadata.packages_distributions().get(module, [module])[0])


def closure(requirements: Iterable[str]) -> dict[str, Package]:
    """The packages that requirements ask for, and all that those require in turn, by name, depth first.

    What a package requires for one of its extras is left out, even where that extra is asked for. A requirement with
    another marker (``; python_version < "3.12"``) counts if its package is installed.
    """
    found: dict[str, Package] = {}
    waiting = _parsed(requirements)[::-1]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found or "extra" in str(requirement.marker or ""):
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if requirement.marker is None:
                found[name] = Package(name, requirement, None)
            continue
        found[name] = Package(name, requirement, distribution.version)
        waiting += _parsed(distribution.requires or ())[::-1]
    return found


def of_extra(package: str, extra: str) -> list[str]:
    """What an installed package requires for one of its extras, without markers; empty if it has no such extra.

    An extra that names others of the same package (``rl = ["discoenv[jax]", …]``) requires what they require.

    Raises:
        importlib.metadata.PackageNotFoundError: the package is not installed.
    """
    found: dict[str, None] = {}
    for requirement in _parsed(importlib.metadata.requires(package) or ()):
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}) or not marker.evaluate({"extra": extra}):
            continue
        if canonicalize_name(requirement.name) == canonicalize_name(package):
            found |= dict.fromkeys(each for other in sorted(requirement.extras) for each in of_extra(package, other))
        else:
            requirement.marker = None
            found[str(requirement)] = None
    return list(found)


def _parsed(requirements: Iterable[str]) -> list[Requirement]:
    parsed = []
    for text in requirements:
        try:
            parsed.append(Requirement(text))
        except InvalidRequirement:
            continue
    return parsed
