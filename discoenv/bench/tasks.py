"""Which tasks agents are compared on: DiscoBench, files, names, or sampled ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from discoenv.errors import BenchError, DatasetUnavailable, UnknownName
from discoenv.machine import devices
from discoenv.scoring import baselines, offered
from discoenv.scoring.seeds import of_side
from discoenv.tasks import discobench
from discoenv.tasks.reading import read_task
from discoenv.tasks.sampling import sample_task
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Task
from discoenv.tasks.yaml_text import load_untrusted

DISCOBENCH = "DiscoBench"
_MOST_DRAWS_PER_TASK = 50


def parse_tasks(
    texts: Sequence[str],
    *,
    scale: Scale,
    domains: Sequence[str] = (),
    device: str = "auto",
    seed: int = 0,
    test_seeds: int | None = None,
    here: bool = True,
) -> tuple[list[Task], dict[str, str]]:
    """Tasks from what users write, and those of DiscoBench that cannot be run here, by name, with the reason.

    Args:
        texts: each ``DiscoBench``; ``sampled:N``; a YAML file of one task or a list of them; or the name of a
            DiscoBench task; or several of these, separated by commas.
        scale: of DiscoBench's, sampled and DiscoGen's tasks; a task in discoenv's format states its own.
        domains: if not empty, DiscoBench's and sampled tasks are of these alone.
        device: ``cpu``, ``gpu`` or ``auto``; baselines may depend on it.
        seed: of the sampling.
        test_seeds: if given, exams per meta-test dataset, in all tasks.
        here: whether the tasks will be run on this machine, and so have to be possible on it.

    Raises:
        BenchError: there is no task, or one that was named cannot be run here.
    """
    tasks: list[Task] = []
    left_out: dict[str, str] = {}
    for text in (part.strip() for each in texts for part in each.split(",")):
        if text == DISCOBENCH:
            for name in discobench.get_discobench_tasks():
                if domains and discobench.domain_of(name) not in domains:
                    continue
                found = _of_discobench(name, scale, device, here=here)
                if isinstance(found, Task):
                    tasks.append(found)
                else:
                    left_out[name] = found
        elif text.startswith("sampled:"):
            tasks += _sampled(text, scale=scale, domains=domains, device=device, seed=seed)
        elif text:
            tasks += _read(text, scale)
    unique = list({task.task_id: task for task in tasks}.values())
    if test_seeds is not None:
        unique = [task.model_copy(update={"test_seeds": test_seeds}) for task in unique]
    for task in unique:
        reason = obstacle(task, device) if here else ""
        if reason:
            raise BenchError(f"task {task.task_id} cannot be run here: {reason}")
    if not unique:
        why = "".join(f"\n  {name}: {reason}" for name, reason in left_out.items())
        raise BenchError(f"there is no task to run in --tasks {' '.join(texts)}{why}")
    return unique, left_out


def obstacle(task: Task, device: str = "auto") -> str:
    """Why a task cannot be run on this machine; empty if it can."""
    domain = task.resolve()
    for name in (*task.meta_train, *task.meta_test):
        setting = task.setting(name)
        chosen = devices.choose(device, prefer_gpu=setting.wants_gpu)
        try:
            domain.data(name)
        except DatasetUnavailable as error:
            return str(error)
        if domain.needs_gpu(name, task.scale) and chosen is devices.CPU:
            return f"{name} needs a GPU at scale {task.scale}"
        if not baselines.has_entry(setting, chosen.name):
            return f"{name} has no baseline at scale {task.scale}: discoenv calibrate {domain.name} --local"
    return ""


def _of_discobench(name: str, scale: Scale, device: str, *, here: bool) -> Task | str:
    """A task of DiscoBench at a scale, or why there is none."""
    try:
        task = discobench.discobench_task(name, scale=scale)
    except UnknownName as error:  # one of its datasets has no such scale
        return str(error)
    return (obstacle(task, device) if here else "") or task


def _sampled(text: str, *, scale: Scale, domains: Sequence[str], device: str, seed: int) -> list[Task]:
    """Different tasks, none of them DiscoBench's; the first ones are the same whatever their number is."""
    number = text.partition(":")[2]
    if not number.isdigit() or not int(number):
        raise BenchError(f"--tasks {text}: sampled:N needs a positive number of tasks, such as sampled:10")

    usable = offered.usable(scale, lambda setting: devices.choose(device, prefer_gpu=setting.wants_gpu).name)
    rng = np.random.default_rng(seed)
    found: dict[str, Task] = {}
    for _ in range(_MOST_DRAWS_PER_TASK * int(number)):
        task = sample_task(
            rng, domains=list(domains) or None, scale=scale, usable=usable, gpu=device != "cpu" and devices.has_gpu()
        )
        found[task.task_id] = task
        if len(found) == int(number):
            return list(found.values())
    raise BenchError(f"--tasks {text}: only {len(found)} different tasks were found")


def _read(text: str, scale: Scale) -> list[Task]:
    """A file of one task or of a list, or the name of a DiscoBench task."""
    path = Path(text)
    content: Any = text
    if path.suffix in (".yaml", ".yml") or path.is_file():
        try:
            content = load_untrusted(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
            raise BenchError(f"{text}: cannot be read as a YAML file of tasks: {error}") from error
    entries = content if isinstance(content, list) else [text]
    return [read_task(entry, {"scale": scale}, seeds_of=of_side) for entry in entries]
