"""A benchmark: a matrix of agents, tasks and seeds in a directory, run as an experiment (see discoenv.experiment)."""

from __future__ import annotations

import datetime
import json
import platform
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import discoenv
from discoenv.bench.agents import Agent
from discoenv.bench.cell import CELLS, MATRIX, CellResult, CellState, CellStatus, Matrix, read_result, read_status
from discoenv.bench.playing import checked_environment, play_cell
from discoenv.errors import BenchError, Inconclusive
from discoenv.exams import secrets
from discoenv.exams.secrets import Secret
from discoenv.experiment import Config, Finished, Grid, RunDirectory, run_experiment
from discoenv.experiment.layout import ExperimentFolder
from discoenv.machine import packages
from discoenv.machine.hardware import hardware
from discoenv.scoring.scores import Scoring
from discoenv.tasks.task import Task

_PACKAGES: Final = ("gymnasium", "numpy", "jax", "flax", "scikit-learn", "torch", "openai", "distributed")
#: States that a benchmark does not leave by itself.
SETTLED: Final[tuple[CellState, ...]] = ("done", "failed")


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix.

    Attributes:
        number: of its agent and task, the ``ID`` of its folder.
        agent: as given to ``--agents``.
        task: the task's configuration.
        seed: its seed.
        folder: where it is recorded.
    """

    number: int
    agent: str
    task: dict[str, Any]
    seed: int
    folder: Path


@dataclass
class BenchmarkProgress:
    """How far a benchmark is.

    Attributes:
        matrix: what is run.
        active: whether a process runs it now.
        states: number of cells per state.
        by_agent: the same per agent.
        rewards: of the cells that are done, per agent.
        seconds: of the cells that are done.
    """

    matrix: Matrix
    active: bool
    states: dict[str, int] = field(default_factory=dict)
    by_agent: dict[str, dict[str, int]] = field(default_factory=dict)
    rewards: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    @property
    def cells(self) -> int:
        """Number of cells."""
        return sum(self.states.values())

    @property
    def settled(self) -> int:
        """Cells that are done or failed."""
        return sum(self.states.get(state, 0) for state in SETTLED)

    @property
    def seconds_left(self) -> float | None:
        """About how long the rest will take, by the mean of those that are done; None before the first."""
        if not self.seconds:
            return None
        mean = sum(self.seconds) / len(self.seconds)
        return mean * (self.cells - self.settled) / max(1, self.states.get("running", 0))


class Benchmark:
    """A benchmark's directory.

    Args:
        directory: it holds ``bench.json``.

    Attributes:
        directory: the directory.
        matrix: what is compared.

    Raises:
        BenchError: the folder is not a benchmark.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory).absolute()
        self.matrix = Matrix.load(self.directory)
        self._known: dict[Path, tuple[CellStatus, CellResult | None]] = {}
        self._cells: list[Cell] = []

    @classmethod
    def create(
        cls,
        directory: Path | None,
        *,
        agents: Sequence[Agent],
        tasks: Sequence[Task],
        seeds: Sequence[int],
        name: str = "bench",
        root: Path = Path("bench-runs"),
        environment: Mapping[str, Any] | None = None,
        left_out: Mapping[str, str] | None = None,
        secret: Secret | None = None,
    ) -> Benchmark:
        """A new benchmark; or the one that is in ``directory``, if it is of the same matrix.

        Its folder holds the SHA-256 of its secret, a commitment. The secret itself is kept in the user's state folder,
        where :meth:`run` finds it, until it is published.

        Args:
            directory: where it is written; None: a new run directory below ``root``.
            agents, tasks, seeds: the matrix.
            name: for people.
            root: see ``directory``.
            environment: arguments of the environment for all cells; plain values. ``reference`` and ``transform`` have
                the environment's defaults, and are recorded.
            left_out: tasks that cannot be run here, with the reason.
            secret: what the seeds of its exams come from; None: a new one.

        Raises:
            BenchError: ``directory`` holds another benchmark, or something else.
            SecretError: the secret cannot be kept.
        """
        matrix = Matrix(
            name=name,
            agents=[agent.text for agent in agents],
            tasks=[task.model_dump(mode="json") for task in tasks],
            seeds=[int(seed) for seed in seeds],
            scale=", ".join(sorted({task.scale for task in tasks})),
            environment=json.loads(json.dumps(checked_environment({**asdict(Scoring()), **(environment or {})}))),
            left_out=dict(left_out or {}),
            versions=versions(),
            machine={"host": socket.gethostname(), "platform": platform.platform(), **hardware()},
            created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        )
        if directory is None:
            directory = RunDirectory.create(root, name).path
        elif (directory / MATRIX).is_file():
            existing = Matrix.load(directory)
            for key in ("agents", "tasks", "seeds", "environment"):
                if getattr(existing, key) != getattr(matrix, key):
                    raise BenchError(
                        f"{directory} is a benchmark with other {key}: go on with it by `discoenv bench resume "
                        f"{directory}`, or give another --out"
                    )
            if secret is not None and secret.commitment != existing.secret:
                raise BenchError(
                    f"{directory} is a benchmark with another secret: go on with it without --secret, or give another "
                    "--out"
                )
            return cls(directory)
        elif directory.exists() and any(directory.iterdir()):
            raise BenchError(f"{directory} is not empty, and not a benchmark: give another --out")
        directory.mkdir(parents=True, exist_ok=True)
        secret = secret or secrets.new()
        secrets.keep(secret)
        replace(matrix, secret=secret.commitment).save(directory)
        return cls(directory)

    @property
    def configurations(self) -> Config:
        """Agents × tasks, as an experiment's configurations."""
        matrix = self.matrix
        return Config(
            {
                "agent": Grid(matrix.agents),
                "task": Grid(matrix.tasks),
                "environment": matrix.environment,
                "secret": matrix.secret,
            },
            keep_dict_order=True,
        )

    @property
    def commitment(self) -> str:
        """SHA-256 of the secret that the seeds of its exams come from.

        Raises:
            BenchError: they were public, so there is none.
        """
        if not isinstance(self.matrix.secret, str):
            raise BenchError(
                f"{self.directory / MATRIX}: there is no commitment to a secret. This benchmark is of the older "
                "protocol, whose exams had public seeds: it can be reported, but neither continued nor verified; run a "
                "new one"
            )
        return self.matrix.secret

    def cells(self) -> list[Cell]:
        """All cells, by agent, task, seed."""
        folder = ExperimentFolder(self.directory / CELLS)
        self._cells = self._cells or [
            Cell(config["ID"], config["agent"], config["task"], seed, folder.job(config["ID"], seed))
            for config in self.configurations.make_configs()
            for seed in self.matrix.seeds
        ]
        return list(self._cells)

    def run(
        self,
        *,
        workers: int = 1,
        client: Any = None,
        resources: Mapping[str, float] | None = None,
        retries: int = 2,
        retry_failed: bool = False,
        cell_timeout_s: float | None = None,
        on_finished: Callable[[Finished], None] = lambda finished: None,
    ) -> BenchmarkProgress:
        """Run what is not done yet; how far it is then.

        Args:
            workers: cells at a time; with a ``client``, 0 for as many as its workers take.
            client, resources, cell_timeout_s: see :func:`discoenv.experiment.run_experiment`.
            retries: how often a cell is tried again if the machine fails.
            retry_failed: whether to play cells again whose agent raised.
            on_finished: called when a cell has ended for good.

        Raises:
            BenchError: it is of the older protocol, without a secret; an agent that has cells to play cannot be used;
                or an argument of the environment is wrong.
            ExperimentError: another process runs it.
            SecretError: its secret is not on this machine.
        """
        secrets.committed(self.commitment)
        checked_environment(self.matrix.environment)
        settled = () if retry_failed else SETTLED
        for text in dict.fromkeys(cell.agent for cell in self.cells() if self._read(cell)[0].state not in settled):
            Agent.parse(text).load()
        begin = time.monotonic()
        metrics = RunDirectory(self.directory)

        def finished(job: Finished) -> None:
            progress = self.progress(active=True)
            rewards = [reward for rewards in progress.rewards.values() for reward in rewards]
            metrics.add_metrics(
                **{
                    "Cum Time": round(time.monotonic() - begin, 3),
                    "Cells Done": progress.states.get("done", 0),
                    "Cells Failed": progress.states.get("failed", 0),
                    "Cells Infra": progress.states.get("infra", 0),
                    "Mean Reward": sum(rewards) / len(rewards) if rewards else None,
                }
            )
            on_finished(job)

        run_experiment(
            play_cell,
            self.configurations,
            self.matrix.seeds,
            self.directory / CELLS,
            max_workers=workers or None,
            on_exists="resume",
            redo_failed=retry_failed,
            raise_on_error=False,
            infra_errors=(Inconclusive,),
            retries=retries,
            job_timeout_s=cell_timeout_s,
            client=client,
            resources=resources,
            verbose=False,
            pickles=False,  # the folder may come from someone else
            on_finished=finished,
        )
        return self.progress()

    def progress(self, *, active: bool | None = None) -> BenchmarkProgress:
        """How far it is. Cells that are settled are read once.

        Args:
            active: whether it is being run; None: look.
        """
        folder = ExperimentFolder(self.directory / CELLS)
        progress = BenchmarkProgress(self.matrix, folder.is_locked if active is None else active)
        for cell in self.cells():
            status, result = self._read(cell)
            state = "interrupted" if status.state == "running" and not progress.active else status.state
            agents = progress.by_agent.setdefault(cell.agent, {})
            agents[state] = agents.get(state, 0) + 1
            progress.states[state] = progress.states.get(state, 0) + 1
            if status.state == "done" and result is not None:
                progress.seconds.append(result.seconds)
                if result.reward is not None:
                    progress.rewards.setdefault(cell.agent, []).append(result.reward)
        return progress

    def results(self) -> list[CellResult]:
        """Results of the cells that are done or failed, in the order of :meth:`cells`."""
        read = (self._read(cell)[1] for cell in self.cells())
        return [result for result in read if result is not None]

    def problems(self) -> list[str]:
        """A line for each cell that failed, or at which the machine did."""
        lines = []
        for cell in self.cells():
            status = self._read(cell)[0]
            if status.state in ("failed", "infra"):
                lines.append(
                    f"{cell.folder.relative_to(self.directory)}: {cell.agent}: {status.state}: {status.message}"
                )
        return lines

    def _read(self, cell: Cell) -> tuple[CellStatus, CellResult | None]:
        known = self._known.get(cell.folder)
        if known is not None:
            return known
        status = read_status(cell.folder)
        if status.state not in SETTLED:
            return status, None
        result = read_result(cell.folder)
        if status.state == "done":
            self._known[cell.folder] = status, result
        return status, result


def versions() -> dict[str, str]:
    """Versions of Python, discoenv and what its exams depend on."""
    return {
        "python": platform.python_version(),
        "discoenv": discoenv.__version__,
        **packages.versions(_PACKAGES),
    }
