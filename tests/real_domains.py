"""Tasks of the real domains, small enough for tests; and which of them train in every run of the tests."""

from __future__ import annotations

from typing import Any, Final

import pytest

from discoenv.scoring import baselines
from discoenv.tasks.quick import quick_task
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.task import Setting, Task

#: The longest exam that every run of the tests repeats a few times, in seconds as measured by ``discoenv calibrate``.
_SHORT_S: Final = 2.0


def tiny_task(domain: str, **changes: Any) -> Task:
    """One module, one dataset on each side, one seed, tiny scale."""
    return quick_task(get_domain(domain), **changes)


def tiny_module(domain: str) -> str:
    """The module that is edited in :func:`tiny_task`."""
    (module,) = tiny_task(domain).modules
    return module


def base_source(domain: str, module: str) -> str:
    """The base implementation of a module."""
    return get_domain(domain).module_text(module, backend="default", start="base")


def trains_fast(domain: str) -> bool:
    """Whether the exams of :func:`tiny_task` are short enough for every run of the tests; else they are slow tests."""
    (dataset,), found = tiny_task(domain).meta_train, get_domain(domain)
    setting = Setting(found, "default", dataset, "tiny")
    return baselines.has_entry(setting) and baselines.entry(setting).seconds.mean <= _SHORT_S


def trained_domains(*marks: pytest.MarkDecorator) -> list[Any]:
    """Names of all domains as parameters of a test; those that do not train fast are marked slow and with ``marks``."""
    return [
        domain if trains_fast(domain) else pytest.param(domain, marks=[pytest.mark.slow, *marks])
        for domain in get_domains()
    ]
