"""A domain's ladder: known methods for its modules, and the order in which the literature puts them.

``ladder/ladder.yaml`` names them, and ``ladder/<module>/<method>.py`` is the whole module. What they reach is measured
by ``discoenv calibrate --ladder``, see :mod:`discoenv.scoring.ladders`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from discoenv.errors import DomainError, UnknownName
from discoenv.tasks import yaml_text
from discoenv.tasks.domain import Domain, read_utf8

#: What the module that tasks start from, or are compared with, is called in an order.
BASE: Final = "base"


class Method(BaseModel):
    """A known method.

    Attributes:
        title: what it is called.
        paper: where it was published: authors, year, title.
        backends: those that it is written for; empty: all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1)
    paper: str = Field(min_length=1)
    backends: tuple[str, ...] = ()


class ModuleLadder(BaseModel):
    """The methods of one module.

    Attributes:
        methods: by name, which is the name of a file.
        order: names from worst to best, as the literature has them; ``base`` is the base module, and names in a list of
            their own are as good as each other. A method that is not listed is measured all the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    methods: dict[str, Method]
    order: tuple[str | tuple[str, ...], ...] = ()

    def pairs(self) -> Iterator[tuple[str, str]]:
        """What the order says, between neighbours: (worse, better)."""
        groups = [(one,) if isinstance(one, str) else one for one in self.order]
        for worse, better in itertools.pairwise(groups):
            yield from itertools.product(worse, better)


class _Ladders(RootModel[dict[str, ModuleLadder]]):
    pass


@functools.cache
def ladder_of(domain: Domain) -> Mapping[str, ModuleLadder]:
    """The ladder of each module that has one, by module; empty if the domain has none.

    Raises:
        DomainError: ``ladder.yaml`` is not valid, or names what is not there.
    """
    path = domain.directory / "ladder" / "ladder.yaml"
    if not path.is_file():
        return {}
    try:
        found = _Ladders.model_validate(yaml_text.load(path.read_text(encoding="utf-8"))).root
    except (yaml.YAMLError, UnicodeDecodeError, ValidationError) as error:
        raise DomainError(f"{path}: not a valid ladder: {error}") from error
    for module, ladder in found.items():
        if module not in domain.modules:
            raise DomainError(f"{path}: {module}: the domain has no such module; it has {', '.join(domain.modules)}")
        known = {BASE, *ladder.methods}
        unknown = sorted({name for pair in ladder.pairs() for name in pair} - known)
        if unknown:
            raise DomainError(f"{path}: {module}: order names {', '.join(unknown)}, which methods does not list")
        if BASE in ladder.methods:
            raise DomainError(f"{path}: {module}: a method is called {BASE}, as the base module is; rename it")
        for name, method in ladder.methods.items():
            wrong = [backend for backend in method.backends if backend not in domain.backends]
            if wrong:
                raise DomainError(f"{path}: {module}: {name}: the domain has no backend {', '.join(wrong)}")
            if not (path.parent / module / f"{name}.py").is_file():
                raise DomainError(f"{path}: {module}: {name}: there is no file ladder/{module}/{name}.py")
    return found


def method_text(domain: Domain, module: str, method: str) -> str:
    """Source text of a method's module.

    Raises:
        UnknownName: the ladder has no such module or method.
        DomainError: the file cannot be read.
    """
    ladders = ladder_of(domain)
    if module not in ladders:
        raise UnknownName("module", module, list(ladders), f"the ladder of {domain.name}")
    if method not in ladders[module].methods:
        raise UnknownName("method", method, list(ladders[module].methods), f"the ladder of {domain.name}, {module}")
    return read_utf8(domain.directory / "ladder" / module / f"{method}.py")


def methods_of(domain: Domain, backend: str) -> Iterator[tuple[str, str]]:
    """(module, method) of all that is written for a backend."""
    for module, ladder in ladder_of(domain).items():
        for name, method in ladder.methods.items():
            if not method.backends or backend in method.backends:
                yield module, name
