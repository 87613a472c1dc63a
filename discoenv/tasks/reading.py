"""Reads a task from what users write, in our form or in another that a reader of ``READERS`` knows."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from discoenv.errors import TaskError
from discoenv.tasks import discobench
from discoenv.tasks.registry import get_domains
from discoenv.tasks.task import SeedsOf, Task

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
        defaults: fields of :class:`Task` for a DiscoBench task, and for what a mapping in another form leaves out.
        seeds_of: the recommended number of exams per dataset of a side, where ``train_seeds`` or ``test_seeds`` is
            ``auto``.

    Raises:
        TaskError: it cannot be read, or is not valid.
        UnknownName: it is neither a file nor the name of a DiscoBench task; or a key, or what it names, does not exist.
    """
    if isinstance(task, Task):
        return task
    defaults, automatic = _without_auto(defaults or {})
    if isinstance(task, str) and _is_name(task):
        return discobench.discobench_task(task, **defaults).with_seeds(*automatic, seeds_of)
    source = "task" if isinstance(task, Mapping) else str(task)
    content, own = _without_auto(task if isinstance(task, Mapping) else read_file(task))
    for keys, reader in READERS.items():
        if not content.keys().isdisjoint(keys):
            module, _, name = reader.partition(":")
            read: Callable[[Mapping[str, Any], Mapping[str, Any], str], Task]
            read = getattr(importlib.import_module(module), name)
            wanted = (own[0] or automatic[0], own[1] or automatic[1])
            return read(content, defaults, source).with_seeds(*wanted, seeds_of)
    return Task.parse(dict(content), source).with_seeds(*own, seeds_of)


def _without_auto(content: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Any, Any]]:
    """The same with 1 for numbers of seeds that are ``auto``, and these numbers as they were given."""
    given = content.get("train_seeds"), content.get("test_seeds")
    return {key: 1 if key in _SEEDS and value == "auto" else value for key, value in content.items()}, given


def read_file(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file that a user wrote.

    Raises:
        TaskError: it cannot be read, or is not a mapping.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
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
    return "/" not in text or any(text.startswith(f"{domain}_") for domain in get_domains())
