"""A benchmark's directory, read for its report: results, names for its tasks, and which cells are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from discoenv.bench.cell import CELLS, CellResult, CellStatus, Matrix, read_results, read_status
from discoenv.errors import DomainError, TaskError, UnknownName
from discoenv.machine.regular import require_text
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Task
from discoenv.tasks.yaml_text import load_untrusted

#: Longer texts of agents are cut.
_LONGEST = 300


@dataclass(frozen=True)
class Missing:
    """A cell of the matrix without a result.

    Attributes:
        agent, task, seed: which; ``task`` is its label.
        state: what the runner says of it; ``pending`` if nothing.
        message: why, as far as the runner knows.
    """

    agent: str
    task: str
    seed: int
    state: str = "pending"
    message: str = ""


@dataclass(frozen=True)
class Contents:
    """A benchmark, read.

    Attributes:
        directory: where it is.
        matrix: what was to be run.
        cells: what has a result.
        missing: what has none.
        labels: short names of tasks by id: their domain and modules, and more where that is ambiguous.
        objectives: objectives of tasks by id.
    """

    directory: Path
    matrix: Matrix
    cells: Sequence[CellResult]
    missing: Sequence[Missing] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    objectives: Mapping[str, str] = field(default_factory=dict)

    def label(self, task: str) -> str:
        """Name of a task for readers."""
        return self.labels.get(task, task)


@dataclass(frozen=True)
class _Task:
    """A task of the matrix; ``name`` is its id, as far as its domain is known here and has not changed."""

    name: str
    domain: str
    modules: tuple[str, ...]
    objective: str


def read(directory: Path) -> Contents:
    """Read a benchmark. Nothing that it names is loaded or run: the folder may come from anywhere.

    Raises:
        BenchError: the folder is not a benchmark, or a file in it is damaged.
    """
    matrix = Matrix.load(directory)
    cells = read_results(directory)
    tasks = [_task(config, cells) for config in matrix.tasks]
    labels = _labels(tasks, cells)
    have = {(cell.agent, cell.task, cell.seed) for cell in cells}
    states = _states(directory)
    missing = [
        _missing(agent, task, seed, labels, states.get((agent, _key(config), seed)))
        for agent in matrix.agents
        for task, config in zip(tasks, matrix.tasks, strict=True)
        for seed in matrix.seeds
        if (agent, task.name, seed) not in have
    ]
    objectives = {task.name: task.objective for task in tasks}
    return Contents(Path(directory), matrix, cells, missing, labels, objectives)


def readable(text: object) -> str:
    """Text of agents in one line without control characters, cut where it is very long."""
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in str(text)).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _task(config: Mapping[str, Any], cells: Sequence[CellResult]) -> _Task:
    domain, objective = str(config.get("domain", "")), str(config.get("objective", "performance"))
    modules = tuple(str(module) for module in config.get("modules", ()))
    try:
        name = Task.parse(dict(config)).task_id
    except (TaskError, UnknownName, DomainError):
        name = ""
    alike = {cell.task for cell in cells if cell.domain == domain and sorted(cell.modules) == sorted(modules)}
    if name not in alike and len(alike) == 1:
        name = alike.pop()  # its domain has another version here, or is not known, so that ids differ
    return _Task(name or f"{domain}: {', '.join(modules)}", domain, modules, objective)


def _labels(tasks: Sequence[_Task], cells: Sequence[CellResult]) -> dict[str, str]:
    short = {task.name: _label(task.domain, task.modules) for task in tasks}
    for cell in cells:
        short.setdefault(cell.task, _label(cell.domain, cell.modules))
    often = Counter(short.values())
    return {name: text if often[text] == 1 else f"{text} ({name[-6:]})" for name, text in sorted(short.items())}


def _label(domain: str, modules: Sequence[str]) -> str:
    try:
        every = len(modules) > 1 and set(modules) == set(get_domain(domain).modules)
    except (UnknownName, DomainError):
        every = False
    return f"{domain}: {'all' if every else ', '.join(modules)}"


def _states(directory: Path) -> dict[tuple[str, str, int], CellStatus]:
    """What the runner says of cells, by agent, task and seed, where it has written down what a cell is."""
    found = {}
    for path in sorted((Path(directory) / CELLS).glob("*/config.yml")):
        try:
            config = load_untrusted(require_text(path))
            agent, task = str(config["agent"]), _key(config["task"])
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            continue
        for folder in path.parent.iterdir():
            if folder.is_dir() and folder.name.isdigit():
                found[agent, task, int(folder.name)] = read_status(folder)
    return found


def _key(task: Any) -> str:
    """A task's configuration as text that does not depend on the order of keys."""
    return yaml.safe_dump(task, sort_keys=True)


def _missing(agent: str, task: _Task, seed: int, labels: Mapping[str, str], status: CellStatus | None) -> Missing:
    status = status or CellStatus()
    return Missing(agent, labels.get(task.name, task.name), seed, status.state, status.message)
