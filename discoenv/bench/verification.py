"""Checks a benchmark by the secret that it committed itself to: the exams of some cells are held again.

Its folder has held the SHA-256 of the secret from the beginning; the secret is published when the benchmark is closed.
The seeds of all exams follow from the secret, the tasks and the seeds of the cells, so that none of them can have been
chosen by its score. What a cell submitted gets the same scores again, if its domain computes the same everywhere.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from discoenv import objectives
from discoenv.bench.benchmark import Benchmark, Cell, versions
from discoenv.bench.cell import CellResult, read_result, read_status
from discoenv.bench.playing import recorded_seed
from discoenv.episodes.episode import EpisodeLimits
from discoenv.episodes.evaluation import Evaluation
from discoenv.episodes.record import EpisodeRecord
from discoenv.errors import BenchError, DiscoenvError, SecretError
from discoenv.exams import secrets
from discoenv.exams.host import Host
from discoenv.exams.secrets import Secret
from discoenv.sandbox import get_sandbox
from discoenv.tasks.registry import load_pack
from discoenv.tasks.task import Task


@dataclass(frozen=True)
class Comparison:
    """A score of a cell, recorded and repeated.

    Attributes:
        cell: which.
        what: a meta-test dataset, whose metric is compared in its own unit; or ``reward``.
        recorded: in the cell's ``result.json``; NaN if it is not there.
        repeated: in the exams that were held now.
    """

    cell: Cell
    what: str
    recorded: float
    repeated: float

    @property
    def equal(self) -> bool:
        """Whether they are the same number. NaN is no number."""
        return self.recorded == self.repeated

    @property
    def difference(self) -> float:
        """Absolute difference; infinite if one of the two is missing."""
        difference = abs(self.recorded - self.repeated)
        return 0.0 if self.equal else math.inf if math.isnan(difference) else difference


def matching(benchmark: Benchmark, path: Path | None) -> Secret:
    """The benchmark's secret: in a file that was published, or kept on this machine.

    Raises:
        BenchError: the benchmark is of the older protocol, without a secret.
        SecretError: it is not there, or the file holds the secret of something else.
    """
    commitment = benchmark.commitment
    if path is None:
        return secrets.committed(commitment)
    secret = secrets.read(path, published=True)
    if secret.commitment != commitment:
        raise SecretError(
            f"{path} is not the secret of {benchmark.directory}: its SHA-256 is {secret.commitment}, and the benchmark "
            f"committed itself to {commitment}"
        )
    return secret


def sample(benchmark: Benchmark, count: int) -> list[Cell]:
    """Some of the cells that are done, drawn by chance anew at each call, in their order; all if there are no more.

    Raises:
        BenchError: no cell is done, or a file is damaged.
    """
    done = [cell for cell in benchmark.cells() if read_status(cell.folder).state == "done"]
    if not done:
        raise BenchError(f"{benchmark.directory}: no cell is done, so there is no score to verify")
    chosen = random.SystemRandom().sample(range(len(done)), min(count, len(done)))
    return [done[number] for number in sorted(chosen)]


def verify(
    benchmark: Benchmark,
    secret: Secret,
    cells: Sequence[Cell],
    *,
    sandbox: str = "",
    trust: bool = False,
    on_cell: Callable[[Cell], None] = lambda cell: None,
) -> list[Comparison]:
    """Hold the meta-test exams of cells again, with the modules that they recorded.

    Args:
        benchmark: the benchmark.
        secret: its secret, see :func:`matching`.
        cells: which, see :func:`sample`.
        sandbox: where learners run; empty: as in the benchmark.
        trust: whether packs of domains that the benchmark names are loaded, whose code is run, and a sandbox that it
            names is used even if it does not isolate.
        on_cell: called before the exams of each cell.

    Returns:
        For each cell the metric of each meta-test dataset, and the reward unless it depends on measured costs.

    Raises:
        BenchError: packs or a sandbox are not trusted, or a cell's record is damaged or of another cell.
        InfraError: the machine failed twice at the same exam.
        MissingHere: a dataset, a package or a baseline is not here.
    """
    environment = benchmark.matrix.environment
    _load_packs(benchmark, trust=trust)
    provider = get_sandbox((sandbox or str(environment.get("sandbox", "auto"))).split(","))
    with contextlib.closing(provider):
        if not (provider.isolated or sandbox or trust):
            raise BenchError(
                f"{benchmark.directory}: its modules ran in the sandbox {provider.name!r}, which does not isolate. If "
                "you know them, give --trust; else name another --sandbox"
            )
        device = environment.get("device", "auto")
        at_once = environment.get("exams_at_once")
        with Host(provider, device=device, exams_at_once=at_once, secret=secret) as host:
            found: list[Comparison] = []
            for cell in cells:
                on_cell(cell)
                found += _verified(benchmark, cell, host)
            return found


def _load_packs(benchmark: Benchmark, *, trust: bool) -> None:
    packs = [str(pack) for pack in benchmark.matrix.environment.get("packs") or ()]
    if packs and not trust:
        raise BenchError(
            f"{benchmark.directory}: the benchmark names packs of domains, whose code would be run: "
            f"{', '.join(packs)}. If you know them, give --trust (in Python: trust=True)"
        )
    for pack in packs:
        load_pack(pack)


def _verified(benchmark: Benchmark, cell: Cell, host: Host) -> list[Comparison]:
    task, result = Task.parse(cell.task), read_result(cell.folder)
    modules, objective = _modules(benchmark, cell, task, result), objectives.get(task.objective)
    limits = benchmark.matrix.environment.get("limits") or {}
    evaluation = Evaluation(
        task,
        host,
        seed=recorded_seed(cell.seed, task),
        budget_scale=float(limits.get("budget_scale", EpisodeLimits.budget_scale)),
        scoring=benchmark.matrix.scoring,
    )
    with contextlib.closing(evaluation):
        scores = evaluation.examine(modules, "meta_test")
    compared = [Comparison(cell, score.dataset, _metric(result, score.dataset), score.metric) for score in scores]
    if not objective.measured:
        recorded = math.nan if result.reward is None else result.reward
        repeated = objectives.compute(objective.reward, task, scores, modules).value
        compared.append(Comparison(cell, "reward", recorded, repeated))
    return compared


def _metric(result: CellResult, dataset: str) -> float:
    outcome = result.meta_test.get(dataset)
    return math.nan if outcome is None else outcome.metric


def _modules(benchmark: Benchmark, cell: Cell, task: Task, result: CellResult) -> dict[str, str]:
    """What a cell submitted, if its record is that of the cell.

    Raises:
        BenchError: it is not, or cannot be read.
    """
    label, root = cell.folder.relative_to(benchmark.directory), benchmark.directory.resolve()
    if result.task != task.task_id:
        raise BenchError(
            f"{label}: it was played as the task {result.task}, which is {task.task_id} here: its domain has another "
            f"version. Install discoenv {benchmark.matrix.versions.get('discoenv', 'as it was then')}"
        )
    folder = (root / str(result.record)).resolve()
    if result.record is None or not folder.is_relative_to(root):
        raise BenchError(f"{label}: the record of its episode, {result.record}, is not in the benchmark's folder")
    try:
        record = EpisodeRecord.load(folder, events=False)
        modules = record.modules()
    except (DiscoenvError, OSError, ValueError) as error:
        raise BenchError(f"{label}: the record of its episode cannot be read: {error}") from error
    expected = {
        "task": (task.task_id, record.task.task_id),
        "secret's SHA-256": (benchmark.commitment, record.setup.secret),
        "episode's seed": (recorded_seed(cell.seed, task), record.setup.episode_seed),
        "list of modules": (sorted(f"{name}.py" for name in task.modules), sorted(modules)),
    }
    for what, (wanted, found) in expected.items():
        if found != wanted:
            raise BenchError(f"{label}: its record is of another cell: the {what} is {found}, not {wanted}")
    return modules


def publish(benchmark: Benchmark, path: Path, *, unfinished: bool = False) -> None:
    """Write the benchmark's secret into a file that everyone may read.

    Args:
        benchmark: the benchmark.
        path: the file.
        unfinished: whether cells may still be played, by agents that could then know their exams.

    Raises:
        BenchError: cells are left to be played, or the file cannot be written.
        SecretError: the secret is not on this machine.
    """
    secret = secrets.committed(benchmark.commitment)
    progress = benchmark.progress()
    left = progress.cells - progress.settled
    if left and not unfinished:
        raise BenchError(
            f"{benchmark.directory}: {left} of {progress.cells} cells are not done, and their exams would be known. "
            "Finish it first (discoenv bench resume), or give --unfinished"
        )
    try:
        path.write_text(secret.key.hex() + "\n", encoding="ascii")
    except OSError as error:
        raise BenchError(f"{path}: the secret cannot be written: {error}") from error


def other_versions(benchmark: Benchmark) -> list[str]:
    """What has another version here than where the benchmark was made: ``numpy 2.4.6, here 2.4.1``."""
    recorded, here = benchmark.matrix.versions, versions()
    return [
        f"{name} {recorded.get(name, 'not installed')}, here {here.get(name, 'not installed')}"
        for name in sorted({*recorded, *here})
        if recorded.get(name) != here.get(name)
    ]
