"""Reads a task from what users write, in our form or in another that a reader of ``READERS`` knows."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from discoenv.errors import ArgumentError, TaskError
from discoenv.tasks import discobench
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.task import SeedsOf, Task
from discoenv.tasks.yaml_text import load_untrusted
from discoenv.text import shown

#: Other forms of a task: keys of which it has at least one, and the function that reads it, imported when needed. It
#: takes the mapping, the defaults of :func:`read_task`, and the name of the mapping in errors.
READERS: Final = {("train_task_id", "test_task_id"): "discoenv.discogen.config:read_config"}

_SEEDS: Final = ("train_seeds", "test_seeds")


def read_task(
    task: Task | Mapping[str, Any] | str | Path,
    defaults: Mapping[str, Any] | None = None,
    *,
    seeds_of: SeedsOf | None = None,
) -> Task:
    """A task from what users write.

    That is a :class:`Task`; a mapping in its form or in DiscoGen's (see :mod:`discoenv.discogen.config`); the path of a
    YAML file with either; or the name of a DiscoBench task.

    Args:
        task: the task.
        defaults: fields of :class:`Task` for what the task leaves out; a :class:`Task` leaves out what was not given
            when it was made. ``domain`` is the one that a mapping in another form is of, if it fits several. Without a
            scale, it is :attr:`Domain.default_scale`.
        seeds_of: the recommended number of exams per dataset of a side, where ``train_seeds`` or ``test_seeds`` is
            ``auto``.

    Raises:
        TaskError: it cannot be read, or is not valid.
        UnknownName: it is neither a file nor the name of a DiscoBench task; or a key, or what it names, does not exist.
    """
    defaults = defaults or {}
    if isinstance(task, Task):
        given = task.model_dump(exclude_unset=True)
        filled = _with_scale({**defaults, **given})
        return task if filled.keys() == given.keys() else _parsed(filled, "task", seeds_of)
    if not isinstance(task, (Mapping, str, Path)) or task == "":
        raise TaskError(f"task is {shown(task)}; it must be a Task, a mapping, a YAML file or a DiscoBench task's name")
    numbers, automatic = _without_auto(defaults)
    if isinstance(task, str) and _is_name(task):
        settings = {key: value for key, value in numbers.items() if key != "domain"}
        found = discobench.discobench_task(_in_pack(task, str(defaults.get("domain", ""))), **settings)
        return found.with_seeds(*automatic, seeds_of)
    source = "task" if isinstance(task, Mapping) else str(task)
    content = task if isinstance(task, Mapping) else read_file(task)
    for keys, reader in READERS.items():
        if not content.keys().isdisjoint(keys):
            module, _, name = reader.partition(":")
            read: Callable[[Mapping[str, Any], Mapping[str, Any], str], Task]
            read = getattr(importlib.import_module(module), name)
            plain, own = _without_auto(content)
            wanted = (own[0] or automatic[0], own[1] or automatic[1])
            return read(plain, numbers, source).with_seeds(*wanted, seeds_of)
    return _parsed(_with_scale({**defaults, **content}), source, seeds_of)


def _parsed(content: Mapping[str, Any], source: str, seeds_of: SeedsOf | None) -> Task:
    plain, automatic = _without_auto(content)
    return Task.parse(plain, source).with_seeds(*automatic, seeds_of)


def _without_auto(content: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Any, Any]]:
    """The same with 1 for numbers of seeds that are ``auto``, and these numbers as they were given."""
    given = content.get("train_seeds"), content.get("test_seeds")
    automatic = [key for key in _SEEDS if isinstance(content.get(key), str) and content[key] == "auto"]
    return {**content, **dict.fromkeys(automatic, 1)}, given


def _in_pack(name: str, domain: str) -> str:
    """The name of a DiscoBench task; one without a pack is of the pack of ``domain``, if that has such a task."""
    pack, _, _ = domain.rpartition("/")
    return f"{pack}/{name}" if pack and f"{pack}/{name}" in discobench.get_discobench_tasks() else name


def _with_scale(content: dict[str, Any]) -> dict[str, Any]:
    """A task as a mapping; one that leaves its scale out has the domain's default one."""
    name = content.get("domain")
    if "scale" in content or name not in get_domains():
        return content
    return {**content, "scale": get_domain(name).default_scale}


def require_agreement(task: Task, wanted: Mapping[str, Sequence[Any]], void: Sequence[str] = ()) -> None:
    """Check a task against what was asked for beside it.

    Args:
        task: the task.
        wanted: values that each field may have.
        void: names of arguments that were given and count only where a task is sampled.

    Raises:
        ArgumentError: the two contradict each other.
    """
    for field, values in wanted.items():
        if getattr(task, field) not in values:
            asked = " or ".join(map(str, values))
            raise ArgumentError(
                f"{field} is {asked}, but the task says {field}: {getattr(task, field)}; leave one of the two out"
            )
    if void:
        raise ArgumentError(f"{', '.join(void)} has no effect beside task; leave one of the two out")


def read_file(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file that a user wrote.

    Raises:
        TaskError: it cannot be read, or is not a mapping.
    """
    try:
        content = load_untrusted(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise TaskError(f"{path}: cannot be read as a task's YAML file ({reason})") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise TaskError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise TaskError(f"{path}: must be a mapping of keys to values")
    return content


def _is_name(text: str) -> bool:
    """Whether a text is meant as the name of a DiscoBench task rather than as a path."""
    if text.endswith((".yaml", ".yml")) or Path(text).exists():
        return False
    return "/" not in text or any(text == domain or text.startswith(f"{domain}_") for domain in get_domains())
