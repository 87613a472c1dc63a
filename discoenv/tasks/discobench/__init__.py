"""DiscoBench: fixed tasks by which agents are compared, so nothing may be optimised on them.

Per domain there is one task for each module, ``<Domain>_<module>.yaml``, and one with all modules,
``<Domain>_all.yaml``, all with the same datasets. The files are in DiscoGen's format, see
:mod:`discoenv.discogen.config`, and are written by :mod:`discoenv.tasks.discobench.generate`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from discoenv.errors import UnknownName
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.yaml_text import load

DIRECTORY = Path(__file__).resolve().parent
#: Folder of one example task per domain.
EXAMPLES = DIRECTORY.parent / "example_configs"

#: Modules, meta-train and meta-test datasets.
Identity = tuple[frozenset[str], frozenset[str], frozenset[str]]


def get_discobench_tasks() -> list[str]:
    """Names of the DiscoBench tasks of all domains, sorted."""
    return sorted(name for domain in get_domains() for name in _names(domain))


def domain_of(name: str) -> str:
    """The domain of a DiscoBench task.

    Raises:
        UnknownName: there is no such task; the message suggests one.
    """
    for domain in get_domains():
        if name in _names(domain):
            return domain
    raise UnknownName("DiscoBench task", name, get_discobench_tasks())


def config(name: str) -> dict[str, Any]:
    """The configuration of a DiscoBench task, in DiscoGen's format.

    Raises:
        UnknownName: there is no such task; the message suggests one.
    """
    domain_of(name)
    return copy.deepcopy(_load(DIRECTORY / f"{name}.yaml"))


def example(domain: str) -> dict[str, Any]:
    """The configuration of a domain's example task, in DiscoGen's format.

    Raises:
        UnknownName: the domain does not exist, or has no example.
    """
    get_domain(domain)
    path = EXAMPLES / f"{domain}.yaml"
    if not path.is_file():
        raise UnknownName("example task", domain, sorted(path.stem for path in EXAMPLES.glob("*.yaml")))
    return copy.deepcopy(_load(path))


def identity(modules: Iterable[str], meta_train: Iterable[str], meta_test: Iterable[str]) -> Identity:
    """What makes two tasks of a domain the same problem, whatever their backend, objective, start and scale are."""
    return frozenset(modules), frozenset(meta_train), frozenset(meta_test)


@functools.cache
def identities(domain: str) -> frozenset[Identity]:
    """Identities of a domain's DiscoBench tasks."""
    configs = [_load(DIRECTORY / f"{name}.yaml") for name in _names(domain)]
    return frozenset(
        identity(
            (key.removeprefix("change_") for key, value in content.items() if key.startswith("change_") and value),
            content["train_task_id"],
            content["test_task_id"],
        )
        for content in configs
    )


@functools.cache
def _names(domain: str) -> tuple[str, ...]:
    """Tasks of a domain. A name that begins with two domains' names belongs to the longer one."""
    longer = tuple(f"{other}_" for other in get_domains() if other.startswith(f"{domain}_"))
    files = sorted(path.stem for path in DIRECTORY.glob(f"{domain}_*.yaml"))
    return tuple(name for name in files if not longer or not name.startswith(longer))


@functools.cache
def _load(path: Path) -> dict[str, Any]:
    content = load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content
