"""Reads a task from what users write, in our form or in another that a reader of ``READERS`` knows."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from discoenv.errors import ArgumentError, TaskError
from discoenv.tasks import discobench
from discoenv.tasks.registry import get_domains
from discoenv.tasks.task import Task
from discoenv.tasks.yaml_text import load_untrusted
from discoenv.text import shown

#: Other forms of a task: keys of which it has at least one, and the function that reads it, imported when needed. It
#: takes the mapping, the defaults of :func:`read_task`, and the name of the mapping in errors.
READERS: Final = {("train_task_id", "test_task_id"): "discoenv.discogen.config:read_config"}


def read_task(task: Task | Mapping[str, Any] | str | Path, defaults: Mapping[str, Any] | None = None) -> Task:
    """A task from what users write.

    That is a :class:`Task`; a mapping in its form or in DiscoGen's (see :mod:`discoenv.discogen.config`); the path of a
    YAML file with either; or the name of a DiscoBench task.

    Args:
        task: the task.
        defaults: fields of :class:`Task` for what the task leaves out; a :class:`Task` leaves out what was not given
            when it was made.

    Raises:
        TaskError: it cannot be read, or is not valid.
        UnknownName: it is neither a file nor the name of a DiscoBench task; or a key, or what it names, does not exist.
    """
    defaults = defaults or {}
    if isinstance(task, Task):
        missing = {key: value for key, value in defaults.items() if key not in task.model_fields_set}
        return task if not missing else Task.parse({**task.model_dump(exclude_unset=True), **missing})
    if not isinstance(task, (Mapping, str, Path)):
        raise TaskError(f"task is {shown(task)}; it must be a Task, a mapping, a YAML file or a DiscoBench task's name")
    if isinstance(task, str) and _is_name(task):
        return discobench.discobench_task(task, **defaults)
    source = "task" if isinstance(task, Mapping) else str(task)
    content = task if isinstance(task, Mapping) else read_file(task)
    for keys, reader in READERS.items():
        if not content.keys().isdisjoint(keys):
            module, _, name = reader.partition(":")
            read: Callable[[Mapping[str, Any], Mapping[str, Any], str], Task]
            read = getattr(importlib.import_module(module), name)
            return read(content, defaults, source)
    return Task.parse({**defaults, **content}, source)


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
    return "/" not in text or any(text.startswith(f"{domain}_") for domain in get_domains())
