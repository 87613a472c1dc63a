"""discoenv: machine-learning algorithm discovery as a Gymnasium environment.

Importing this registers ``DiscoGen-v0`` (see :mod:`discoenv.registration`) and loads nothing heavy: each name of
``__all__`` is loaded when it is first used. Every error is a :class:`DiscoenvError` (see :mod:`discoenv.errors`).

What is where. A folder imports only from those that come before it in this list (``docs/architecture.md``)::

    errors.py         every error, as one tree
    text.py           text of others, made safe to write and to print
    python_text.py    Python of others, read as a syntax tree
    machine/          this computer: processes, cores, GPUs, locks, caches, packages
    module_code.py    what the text of a module shows: imports, reflection, size
    arguments.py      arguments of public functions, checked
    json_text.py      JSON from outside
    data/             raw data that several domains share: downloads, published and generated sets
    kits/             packages that are copied into workspaces
    objectives.py     from scores to one reward; users register further objectives
    sandbox/          where untrusted programs run: bubblewrap, Docker, Podman, Apptainer
    tasks/            what is asked: domains, tasks, sampling, stubs, workspaces
    exams/            one exam: examiner, learner, runner, host
    scoring/          from results of exams to normalised scores: floors, baselines, calibration
    examiners/        what examiners of several domains are made of
    discogen/         names and formats of DiscoGen
    episodes/         a task being played, and its record
    spaces.py         spaces of actions and observations
    time_limit.py     Gymnasium's own limit on steps
    utils.py          DiscoGen's functions under their old path
    env.py            the Gymnasium environment
    vector.py         many episodes at once
    asynchronous.py   steps that nothing waits for, and the environment for asyncio
    tools/            the tools that language models play with
    experiment/       configurations × seeds, in a pool of processes or on Dask
    audit/            exploits, and the auditor that tries them
    agents/           reference agents
    testing/          what authors of domains test with
    bench/            comparisons of agents
    viewer/           recorded runs as a page
    adapters/         episodes behind other protocols
    domains/          the domains, one folder each
    cli/              the ``discoenv`` command
    registration.py   ``gymnasium.make("DiscoGen-v0")``
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from discoenv.registration import register

if TYPE_CHECKING:
    from discoenv.asynchronous import AsyncDiscoGenEnv
    from discoenv.discogen.api import create_config, create_discobench, create_task, get_modules, sample_task_config
    from discoenv.env import DiscoGenEnv
    from discoenv.episodes.action import Action, Edit
    from discoenv.errors import DiscoenvError
    from discoenv.exams.examiner import Array, Examiner, Learner
    from discoenv.exams.host import Host
    from discoenv.sandbox import get_sandbox
    from discoenv.tasks.discobench import get_discobench_tasks
    from discoenv.tasks.domain import Domain
    from discoenv.tasks.registry import get_domain, get_domains, load_pack
    from discoenv.tasks.task import Task

__version__ = "0.1.0"

_HOMES = {
    "Action": "discoenv.episodes.action",
    "Array": "discoenv.exams.examiner",
    "AsyncDiscoGenEnv": "discoenv.asynchronous",
    "DiscoGenEnv": "discoenv.env",
    "DiscoenvError": "discoenv.errors",
    "Domain": "discoenv.tasks.domain",
    "Edit": "discoenv.episodes.action",
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
    "AsyncDiscoGenEnv",
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
