"""discoenv: machine-learning algorithm discovery as a Gymnasium environment.

Importing this registers ``DiscoGen-v0`` (see :mod:`discoenv.registration`) and loads nothing heavy; the names below
are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from discoenv.registration import register

if TYPE_CHECKING:
    from discoenv.discogen.api import create_config, create_discobench, create_task, get_modules, sample_task_config
    from discoenv.env import DiscoGenEnv
    from discoenv.episodes.action import Action, Edit
    from discoenv.exams.examiner import Array, Examiner, Learner
    from discoenv.sandbox import get_sandbox
    from discoenv.tasks.discobench import get_discobench_tasks
    from discoenv.tasks.domain import Domain
    from discoenv.tasks.registry import get_domain, get_domains
    from discoenv.tasks.task import Task

__version__ = "0.1.0"

_HOMES = {
    "Action": "discoenv.episodes.action",
    "Array": "discoenv.exams.examiner",
    "DiscoGenEnv": "discoenv.env",
    "Domain": "discoenv.tasks.domain",
    "Edit": "discoenv.episodes.action",
    "DiscoenvError": "discoenv.errors",
    "Examiner": "discoenv.exams.examiner",
    "Host": "discoenv.exams.host",
    "Learner": "discoenv.exams.examiner",
    "Task": "discoenv.tasks.task",
    "create_config": "discoenv.discogen.api",
    "create_discobench": "discoenv.discogen.api",
    "create_task": "discoenv.discogen.api",
    "get_discobench_tasks": "discoenv.tasks.discobench",
    "get_domain": "discoenv.tasks.registry",
    "get_domains": "discoenv.tasks.registry",
    "get_modules": "discoenv.discogen.api",
    "get_sandbox": "discoenv.sandbox",
    "load_pack": "discoenv.tasks.registry",
    "sample_task_config": "discoenv.discogen.api",
}
__all__ = [
    "Action",
    "Array",
    "DiscoGenEnv",
    "DiscoenvError",
    "Domain",
    "Edit",
    "Examiner",
    "Host",
    "Learner",
    "Task",
    "create_config",
    "create_discobench",
    "create_task",
    "get_discobench_tasks",
    "get_domain",
    "get_domains",
    "get_modules",
    "get_sandbox",
    "load_pack",
    "sample_task_config",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'discoenv' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


register()
