"""DiscoBench: fixed tasks by which agents are compared, so nothing may be optimised on them.

A domain whose ``domain.yaml`` has the key ``discobench`` has one task for each module, ``<domain>_<module>``, and one
with all modules, ``<domain>_all``, all with the same datasets. It has an example task with these datasets too. Those of
packs are called ``<pack>/<domain>_<module>``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from discoenv.errors import UnknownName
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.task import Task

#: Suffix of the task with all modules.
_ALL = "all"

#: Modules, meta-train and meta-test datasets.
Identity = tuple[frozenset[str], frozenset[str], frozenset[str]]


def get_discobench_tasks() -> list[str]:
    """Names of the DiscoBench tasks of all domains, sorted."""
    return sorted({f"{name}_{suffix}" for name in get_domains() for suffix in _modules(get_domain(name))})


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
    return _task(domain, _modules(domain)[suffix], settings, name)


def example_task(domain: str, **settings: Any) -> Task:
    """A domain's example task; ``settings`` are as for :func:`discobench_task`.

    Raises:
        UnknownName: the domain does not exist, or has no example; or a dataset does not have that scale.
        TaskError: a setting is wrong.
    """
    found = get_domain(domain)
    if found.specification.discobench is None:
        having = [name for name in get_domains() if get_domain(name).specification.discobench is not None]
        raise UnknownName("example task", domain, having)
    example = found.specification.discobench.example
    modules = tuple(module for module in found.modules if module in example)
    return _task(found, modules, settings, f"example of {domain}")


def identity(modules: Iterable[str], meta_train: Iterable[str], meta_test: Iterable[str]) -> Identity:
    """What makes two tasks of a domain the same problem, whatever their backend, objective, start and scale are."""
    return frozenset(modules), frozenset(meta_train), frozenset(meta_test)


@functools.cache
def identities(domain: Domain) -> frozenset[Identity]:
    """Identities of a domain's DiscoBench tasks; none if it has no such tasks."""
    split = domain.specification.discobench
    if split is None:
        return frozenset()
    return frozenset(identity(modules, split.meta_train, split.meta_test) for modules in _modules(domain).values())


def _modules(domain: Domain) -> dict[str, tuple[str, ...]]:
    """The modules of each of a domain's tasks, by the suffix of its name."""
    if domain.specification.discobench is None:
        return {}
    return {**{module: (module,) for module in domain.modules}, _ALL: tuple(domain.modules)}


def _find(name: str) -> tuple[Domain, str]:
    """The domain of a task and the suffix of its name. A name that fits two domains belongs to the longer one."""
    for domain in sorted(get_domains(), key=len, reverse=True):
        suffix = name.removeprefix(f"{domain}_")
        if suffix != name and suffix in _modules(get_domain(domain)):
            return get_domain(domain), suffix
    raise UnknownName("DiscoBench task", name, get_discobench_tasks())


def _task(domain: Domain, modules: tuple[str, ...], settings: dict[str, Any], source: str) -> Task:
    split = domain.specification.discobench
    assert split is not None
    sides = {"meta_train": split.meta_train, "meta_test": split.meta_test, "scale": domain.default_scale}
    task = Task.parse({**sides, **settings, "domain": domain.name, "modules": modules}, source)
    task.resolve()
    return task
