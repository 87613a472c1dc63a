"""What a benchmark leaves on disk, and how it is read back: one result per cell (agent × task × seed).

A benchmark's directory holds ``bench.json`` (what is compared, see :class:`Matrix`) and ``cells/<ID>/<seed>/``, one
folder per cell, as :func:`discoenv.experiment.run_experiment` makes them, with ``status.json`` (see
:class:`CellStatus`), and with ``result.json`` (a :class:`CellResult`) where the state is ``done`` or ``failed``.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from discoenv.errors import BenchError
from discoenv.json_text import loads
from discoenv.machine import atomic
from discoenv.machine.regular import read_text, require_text
from discoenv.tasks.yaml_text import load_untrusted

if TYPE_CHECKING:
    from discoenv.episodes.record import ScoreRecord
    from discoenv.scoring.scores import Scoring
    from discoenv.tasks.task import Task

MATRIX: Final = "bench.json"
CELLS: Final = "cells"
RESULT: Final = "result.json"
STATUS: Final = "status.json"

#: ``done``: the episode ended with a submission; ``failed``: the agent raised; ``infra``: the machine failed again and
#: again, which says nothing about the agent, so the next ``resume`` tries again; ``running``: begun and not ended
#: (killed, if nothing runs any more); ``interrupted``: asked to stop; ``pending``: not begun.
CellState = Literal["pending", "running", "interrupted", "done", "failed", "infra"]


@dataclass(frozen=True)
class DatasetOutcome:
    """What became of the exams of one dataset.

    Attributes:
        metric: the dataset's metric, in its own unit, mean over seeds; the floor's where an exam failed.
        normalised: the score: (metric − floor) / (baseline − floor), oriented so that more is better.
        ok: whether every exam was passed through to its end.
        valid: share of the exams that were passed through to their end, from 0 to 1; None where it was not recorded.
    """

    metric: float
    normalised: float
    ok: bool
    valid: float | None = None

    @classmethod
    def of(cls, score: ScoreRecord) -> Self:
        """The outcome of a recorded score."""
        return cls(score.metric, score.normalised, score.ok, score.valid)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """From plain values; ``metric`` was called ``score`` once."""
        metric = content["metric"] if "metric" in content else content["score"]
        return cls(float(metric), float(content["normalised"]), bool(content["ok"]), content.get("valid"))


@dataclass(frozen=True)
class CellResult:
    """The result of one cell, ``result.json``.

    Attributes:
        agent: as given to ``--agents``, options included.
        task: the task's id.
        domain: the task's domain.
        modules: the task's editable modules.
        seed: of the matrix; the episode's own seed follows from it and the task.
        reward: of the episode; None if the agent failed before the end.
        meta_test: outcome per meta-test dataset; empty if the agent failed.
        meta_train: outcome per dataset of the best ``run`` of the episode (see
            :func:`discoenv.episodes.record.best_run`); empty without any.
        succeeded: whether every meta-test exam was passed through to its end.
        steps: actions of the episode.
        seconds: wall-clock time of the episode, exams and the agent together.
        joules: energy of all exams of the episode, as far as it was measured; None if none was.
        tokens: of language models: ``prompt``, ``completion``, ``total``, ``calls``; None without such calls.
        cost_usd: of language models, in the unit of the prices that the agent was given; None without prices.
        watch: number of findings of each kind in the record, see :mod:`discoenv.episodes.watch`; None without a look.
        record: the episode's run directory, relative to the benchmark's directory; None if it did not begin.
        error: why the agent failed, in one line; empty otherwise.
        failure: what counts instead of a reward if the agent failed: the lowest reward that the objective gives.
    """

    agent: str
    task: str
    domain: str
    modules: list[str]
    seed: int
    reward: float | None = None
    meta_test: dict[str, DatasetOutcome] = field(default_factory=dict)
    meta_train: dict[str, DatasetOutcome] = field(default_factory=dict)
    succeeded: bool = False
    steps: int = 0
    seconds: float = 0.0
    joules: float | None = None
    tokens: dict[str, int] | None = None
    cost_usd: float | None = None
    watch: dict[str, int] | None = None
    record: str | None = None
    error: str = ""
    failure: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As plain values, for :func:`json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """From what :meth:`to_json` gave; keys that are not known are ignored.

        Raises:
            BenchError: a key is missing, or a value is of the wrong kind.
        """
        try:
            values = dict(content)
            for side in ("meta_test", "meta_train"):
                values[side] = {name: DatasetOutcome.from_json(each) for name, each in values.get(side, {}).items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BenchError(f"this is not the result of a cell: {error!r}") from error
        try:
            return _typed(cls, values)
        except BenchError as error:
            raise BenchError(f"this is not the result of a cell: {error}") from None

    def reproducible(self) -> dict[str, Any]:
        """What depends on agent, task and seed alone: all but times, energy, and the place of the record."""
        varying = ("seconds", "joules", "record")
        return {key: value for key, value in self.to_json().items() if key not in varying}


@dataclass(frozen=True)
class CellStatus:
    """How far a cell is, ``status.json``.

    Attributes:
        state: see :data:`CellState`.
        attempts: how often it was begun.
        started, ended: Unix times in seconds; None where it has not come to that.
        message: why it failed, in one line.
    """

    state: CellState = "pending"
    attempts: int = 0
    started: float | None = None
    ended: float | None = None
    message: str = ""


@dataclass(frozen=True)
class Matrix:
    """What is compared, ``bench.json``.

    Attributes:
        name: of the benchmark.
        agents: as given to ``--agents``.
        tasks: whole task configurations, as plain values.
        seeds: of the cells.
        scale: of the tasks.
        environment: arguments of the environment that all cells share (``max_steps``, ``sandbox``, …).
        left_out: tasks that cannot be run here, with the reason.
        versions: of Python, discoenv and its dependencies when the benchmark was made.
        machine: where it was made: host, platform, processor, cores, memory.
        created: ISO 8601 time.
        secret: SHA-256, in hexadecimal digits, of the secret that the exams' seeds come from (a commitment); None
            where they were public, as in benchmarks of the older protocol.
    """

    name: str
    agents: list[str]
    tasks: list[dict[str, Any]]
    seeds: list[int]
    scale: str
    environment: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    created: str = ""
    secret: str | None = None

    @property
    def scoring(self) -> Scoring:
        """How its scores and rewards are made. Benchmarks that do not record it are of the time before ``ordered``.

        Raises:
            BenchError: in a way that this version does not know.
        """
        from discoenv.scoring.scores import Scoring  # noqa: PLC0415 - reports score nothing

        given = self.environment
        try:
            return Scoring(given.get("reference", "shipped"), given.get("transform", "linear"))
        except ValueError as error:
            raise BenchError(f"{MATRIX}: {error}; a later version of discoenv made this benchmark") from None

    def save(self, directory: Path) -> None:
        """Write ``bench.json``."""
        atomic.write_text(directory / MATRIX, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read ``bench.json``.

        Raises:
            BenchError: the folder is not a benchmark, or the file is damaged.
        """
        path = Path(directory) / MATRIX
        if not path.is_file():
            raise BenchError(f"{directory}: {MATRIX} is missing, so this is not a benchmark; see `discoenv bench run`")
        matrix = _read_json(path, functools.partial(_typed, cls))
        for number, task in enumerate(matrix.tasks):
            if not (isinstance(task.get("domain"), str) and isinstance(task.get("modules"), list)):
                raise BenchError(f"{path}: tasks.{number}: domain or modules are missing, so this is not a task")
        for name in ("agents", "tasks", "seeds"):
            if not getattr(matrix, name):
                raise BenchError(f"{path}: {name}: there is none; make the benchmark anew with `discoenv bench run`")
        return matrix


def read_status(cell: Path) -> CellStatus:
    """How far the cell in this folder is.

    Raises:
        BenchError: ``status.json`` is damaged.
    """
    if not os.path.lexists(cell / STATUS):
        return CellStatus()
    return _read_json(
        cell / STATUS, functools.partial(_typed, CellStatus), f"remove the folder {cell} to run this cell again"
    )


def read_result(cell: Path) -> CellResult:
    """The result in a cell's folder; of a cell that failed so badly that it has none, what is known of it.

    Raises:
        BenchError: there is none, or it is damaged.
    """
    if os.path.lexists(cell / RESULT):
        return _read_json(cell / RESULT, CellResult.from_json, f"remove the folder {cell} to run this cell again")
    status = read_status(cell)
    if status.state == "failed":
        return _without_result(cell, status)
    raise BenchError(f"{cell}: there is no result, the cell is {status.state}")


def _without_result(cell: Path, status: CellStatus) -> CellResult:
    from discoenv.tasks.task import Task  # noqa: PLC0415 - rarely needed

    path = cell.parent / "config.yml"
    try:
        config = load_untrusted(require_text(path))
        agent, task, seed = str(config["agent"]), Task.parse(config["task"], f"{path}: task"), int(cell.name)
    except (OSError, ValueError, TypeError, LookupError, RecursionError, yaml.YAMLError) as error:
        raise BenchError(f"{path}: it does not say what the cell is: {error}") from error
    seconds = (status.ended or 0.0) - (status.started or 0.0)
    shared = config.get("environment")
    lowest = failure(task, shared.get("transform", "linear") if isinstance(shared, Mapping) else "linear")
    names = (agent, task.task_id, task.domain, list(task.modules), seed)
    return CellResult(*names, seconds=seconds, error=status.message, failure=lowest)


def failure(task: Task, transform: str) -> float:
    """What an episode counts as whose agent failed: the lowest reward of the objective, with ``linear`` the floor's."""
    from discoenv import objectives  # noqa: PLC0415 - rarely needed

    if transform == "linear" or task.objective not in objectives.names():
        return 0.0
    return objectives.get(task.objective).failure


_Content = TypeVar("_Content")


def _read_json(path: Path, read: Callable[[Any], _Content], hint: str = "") -> _Content:
    """What ``read`` makes of the JSON in a file; ``hint`` ends the messages of errors.

    Raises:
        BenchError: it cannot be read, or is of another shape.
    """
    text = read_text(path, most=64 << 20)
    if text is None:
        raise BenchError(f"{path}: not a regular file that can be read; links are not followed{hint and f': {hint}'}")
    try:
        return read(loads(text))
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path}: {error}{hint and f'; {hint}'}") from error


def _typed(kind: type[_Content], content: Any) -> _Content:
    """A dataclass from plain values, each of which is of the type that its field declares. Unknown keys are ignored.

    Raises:
        BenchError: a key is missing, or a value is of another kind.
    """
    if not isinstance(content, Mapping):
        raise BenchError(f"expected a JSON object, not {type(content).__name__}")
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    try:
        typed: _Content = _ADAPTERS[kind].validate_python(dict(content), extra="ignore")
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:3]]
        raise BenchError("; ".join(faults)) from None
    return typed


#: What checks and converts each class; made once, when it is first used.
_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def read_results(directory: Path) -> list[CellResult]:
    """Results of all cells that are ``done`` or ``failed``, by ID, then seed.

    Raises:
        BenchError: the folder is not a benchmark, or a file is damaged.
    """
    Matrix.load(directory)
    folders = [path for path in (Path(directory) / CELLS).glob("*/*") if path.is_dir() and path.parent.name.isdigit()]
    folders.sort(key=lambda path: (int(path.parent.name), int(path.name)))
    return [read_result(folder) for folder in folders if read_status(folder).state in ("done", "failed")]
