"""Names as people type them on a command line: upper and lower case do not matter there.

Each function gives the name that is known, and leaves one that is not as it is, to be refused where it is used. Typer
calls them for options. Importing this is cheap.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discoenv.tasks.domain import Domain


def matching(name: str, known: Iterable[str]) -> str:
    """The known name that differs from ``name`` in upper and lower case at most; else ``name``.

    >>> matching("onpolicyrl", ["OnPolicyRL", "OffPolicyRL"])
    'OnPolicyRL'
    """
    alike = [each for each in known if each.lower() == name.lower()]
    return name if name in alike or len(alike) != 1 else alike[0]


def domain_name(value: Any) -> Any:
    """A domain's name, or a list of them, in whatever case it was typed."""
    from discoenv.tasks.registry import get_domains  # noqa: PLC0415 - help texts need none of this

    if isinstance(value, (list, tuple)):
        return [domain_name(each) for each in value]
    return matching(value, get_domains()) if value else value


def task_name(value: Any) -> Any:
    """The name of a DiscoBench task in whatever case it was typed, or anything else."""
    from discoenv.tasks.discobench import get_discobench_tasks  # noqa: PLC0415 - as above

    return matching(value, get_discobench_tasks()) if value and not Path(value).exists() else value


def sandbox_name(value: Any) -> Any:
    """A sandbox's name in whatever case it was typed."""
    from discoenv.sandbox import names  # noqa: PLC0415 - as above

    return ",".join(matching(each, names()) for each in value.split(",")) if value else value


def scale_name(value: Any) -> Any:
    """A scale's name in whatever case it was typed."""
    return value.lower() if value else value


def dataset_names(values: list[str] | None, domain: Domain) -> list[str]:
    """Names of datasets, in whatever case they were typed, or by an alias."""
    known = [*domain.datasets, *domain.aliases]
    return [domain.canonical(matching(value, known)) for value in values or ()]
