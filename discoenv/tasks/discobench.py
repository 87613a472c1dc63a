"""DiscoBench: fixed tasks by which agents are compared, so nothing may be optimised on them.

A domain whose ``domain.yaml`` has the key ``discobench`` has one task for each module, ``<domain>_<module>``, and one
with all modules, ``<domain>_all``, all with the same datasets. It has an example task with these datasets too. Where
the domain says so, there are two more with all modules: ``<domain>_shift``, whose meta-test datasets are of other
families than those of meta-train, and ``<domain>_scale``, where they are larger. Those of packs are called
``<pack>/<domain>_<module>``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

from discoenv.errors import UnknownName
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.specification import Sides
from discoenv.tasks.task import Task

#: Suffix of the task with all modules.
_ALL = "all"

#: Modules, meta-train and meta-test datasets.
Identity = tuple[frozenset[str], frozenset[str], frozenset[str]]


class _Row(NamedTuple):
    """What a task's name stands for."""

    modules: tuple[str, ...]
    sides: Sides


def get_discobench_tasks() -> list[str]:
    """Names of the DiscoBench tasks of all domains, sorted."""
    return sorted({f"{name}_{suffix}" for name in get_domains() for suffix in _rows(get_domain(name))})


def domain_of(name: str) -> str:
    """The domain of a DiscoBench task.

    Raises:
        UnknownName: there is no such task; the message suggests one.
    """
    return _find(name)[0].name


def discobench_task(name: str, **settings: Any) -> Task:
    """A DiscoBench task.

    Args:
        name: one of :func:`get_discobench_tasks`.
        settings: fields of :class:`Task` besides domain, modules and datasets; they have the defaults of a task, and
            the scale :attr:`Domain.default_scale`.

    Raises:
        UnknownName: there is no such task (the message suggests one), or a dataset does not have that scale.
        TaskError: a setting is wrong.
    """
    domain, suffix = _find(name)
    return _task(domain, _rows(domain)[suffix], settings, name)


def example_task(domain: str, **settings: Any) -> Task:
    """A domain's example task; ``settings`` are as for :func:`discobench_task`.

    Raises:
        UnknownName: the domain does not exist, or has no example; or a dataset does not have that scale.
        TaskError: a setting is wrong.
    """
    found = get_domain(domain)
    bench = found.specification.discobench
    if bench is None:
        having = [name for name in get_domains() if get_domain(name).specification.discobench is not None]
        raise UnknownName("example task", domain, having)
    modules = tuple(module for module in found.modules if module in bench.example)
    return _task(found, _Row(modules, bench), settings, f"example of {domain}")


def identity(modules: Iterable[str], meta_train: Iterable[str], meta_test: Iterable[str]) -> Identity:
    """What makes two tasks of a domain the same problem, whatever their backend, objective, start and scale are."""
    return frozenset(modules), frozenset(meta_train), frozenset(meta_test)


@functools.cache
def identities(domain: Domain) -> frozenset[Identity]:
    """Identities of a domain's DiscoBench tasks; none if it has no such tasks."""
    return frozenset(identity(row.modules, row.sides.meta_train, row.sides.meta_test) for row in _rows(domain).values())


def _rows(domain: Domain) -> dict[str, _Row]:
    """A domain's tasks, by the suffixes of their names."""
    bench = domain.specification.discobench
    if bench is None:
        return {}
    every = tuple(domain.modules)
    alone = {module: _Row((module,), bench) for module in every}
    return {**alone, _ALL: _Row(every, bench), **{kind: _Row(every, sides) for kind, sides in bench.splits.items()}}


def _find(name: str) -> tuple[Domain, str]:
    """The domain of a task and the suffix of its name. A name that fits two domains belongs to the longer one."""
    for domain in sorted(get_domains(), key=len, reverse=True):
        suffix = name.removeprefix(f"{domain}_")
        if suffix != name and suffix in _rows(get_domain(domain)):
            return get_domain(domain), suffix
    raise UnknownName("DiscoBench task", name, get_discobench_tasks())


def _task(domain: Domain, row: _Row, settings: dict[str, Any], source: str) -> Task:
    sides = {"meta_train": row.sides.meta_train, "meta_test": row.sides.meta_test, "scale": domain.default_scale}
    task = Task.parse({**sides, **settings, "domain": domain.name, "modules": row.modules}, source)
    task.resolve()
    return task
