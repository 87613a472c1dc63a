"""discoenv: machine-learning algorithm discovery as a Gymnasium environment.

Importing this registers ``DiscoGen-v0`` (see :mod:`discoenv.registration`) and loads nothing heavy; the names below
are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from discoenv.registration import register

if TYPE_CHECKING:
    from discoenv.env import DiscoGenEnv
    from discoenv.exams.examiner import Array, Examiner, Learner
    from discoenv.generation import (
        create_config,
        create_discobench,
        create_task,
        get_modules,
        sample_task_config,
    )
    from discoenv.sandbox import get_sandbox
    from discoenv.spaces import Action, Edit
    from discoenv.tasks.config import TaskConfig
    from discoenv.tasks.discobench import get_discobench_tasks
    from discoenv.tasks.domain import Domain, get_domain, get_domains

__version__ = "0.1.0"

_HOMES = {
    "Action": "discoenv.spaces",
    "Array": "discoenv.exams.examiner",
    "DiscoGenEnv": "discoenv.env",
    "Domain": "discoenv.tasks.domain",
    "Edit": "discoenv.spaces",
    "Examiner": "discoenv.exams.examiner",
    "Learner": "discoenv.exams.examiner",
    "TaskConfig": "discoenv.tasks.config",
    "create_config": "discoenv.generation",
    "create_discobench": "discoenv.generation",
    "create_task": "discoenv.generation",
    "get_discobench_tasks": "discoenv.tasks.discobench",
    "get_domain": "discoenv.tasks.domain",
    "get_domains": "discoenv.tasks.domain",
    "get_modules": "discoenv.generation",
    "get_sandbox": "discoenv.sandbox",
    "sample_task_config": "discoenv.generation",
}
__all__ = [
    "Action",
    "Array",
    "DiscoGenEnv",
    "Domain",
    "Edit",
    "Examiner",
    "Learner",
    "TaskConfig",
    "create_config",
    "create_discobench",
    "create_task",
    "get_discobench_tasks",
    "get_domain",
    "get_domains",
    "get_modules",
    "get_sandbox",
    "sample_task_config",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'discoenv' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


register()
