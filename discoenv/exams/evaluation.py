"""Exams of one set of modules on several datasets and seeds: what a ``run`` and a ``submit`` of an episode do."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from discoenv.exams import baselines, calibration, scratch
from discoenv.exams.client import InfraError
from discoenv.exams.devices import CPU, Device
from discoenv.exams.pool import ExaminerPool
from discoenv.exams.programs import Programs, of_base
from discoenv.exams.runner import ExamResult, ExamRunner
from discoenv.exams.scores import DatasetScore, score
from discoenv.exams.slots import ExamSlots, WaitEnded
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.config import Side, TaskConfig
from discoenv.tasks.workspace import base_modules, materialise, write_modules


@dataclass(frozen=True)
class Progress:
    """An exam begins (``result`` is None) or has ended."""

    side: Side
    dataset: str
    seed: int
    number: int
    total: int
    budget_s: float
    result: ExamResult | None = None


class Evaluator:
    """Runs the exams of one episode. Close it to end its processes and remove its files.

    Args:
        task: the episode's task.
        sandbox: where learners run.
        seed: the episode's seed (0 ≤ seed < 2⁶³); exam seeds are derived from it.
        budget_scale: compute budget of an exam as a multiple of the baseline's seconds.
        costs: compare costs with the baseline's on this machine, which is measured where it is not known yet.
        paired: measure the baseline anew, right after the exams that it is compared with, with their seeds.
        device: what learners train on.
        on_progress: called at the start and the end of each exam.
        slots: each exam waits for one of these; all of them, if costs are compared. None: exams never wait.
        examiners: where examiner processes come from; None: one of its own, ended with the evaluator.

    Attributes:
        device: what learners train on.
        workspace: the meta-train side, as the agent may read it.
        spent_s: seconds for which learners have run so far.

    Raises:
        NoBaseline: a dataset of the task has not been calibrated.
    """

    def __init__(
        self,
        task: TaskConfig,
        sandbox: Sandbox,
        *,
        seed: int,
        budget_scale: float,
        costs: bool = False,
        paired: bool = False,
        device: Device = CPU,
        on_progress: Callable[[Progress], None] | None = None,
        slots: ExamSlots | None = None,
        examiners: ExaminerPool | None = None,
    ) -> None:
        self.task = task
        self.domain = task.resolve()
        self.entries = {
            dataset: baselines.entry(
                self.domain, backend=task.backend, dataset=dataset, scale=task.scale, device=device.name
            )
            for dataset in (*task.meta_train, *task.meta_test)
        }
        self.directory = scratch.make()
        try:
            self.workspace = materialise(task, self.directory / "workspace")
        except BaseException:
            scratch.remove(self.directory)
            raise
        self._seed = seed
        self._budget_scale = budget_scale
        self._on_progress = on_progress or (lambda progress: None)
        self._sandbox = sandbox
        self.device = device
        self._costs = costs or paired
        self._paired = paired
        self._runner = ExamRunner(self.domain, sandbox, measure_costs=self._costs, device=device, examiners=examiners)
        self._slots = slots
        self._closed = threading.Event()
        self._finished: dict[tuple[str, str, int], ExamResult] = {}
        self._base_modules = base_modules(task)
        self.spent_s = 0.0

    def place(self, modules: Mapping[str, str]) -> None:
        """Put ``modules`` (text by file name) into the workspace.

        Raises:
            InfraError: they cannot be written.
        """
        try:
            write_modules(self.workspace, modules)
        except OSError as error:
            raise InfraError(f"the modules could not be written: {error}") from error

    def evaluate(self, modules: Mapping[str, str], side: Side, datasets: Sequence[str] = ()) -> list[DatasetScore]:
        """Train and examine ``modules`` (text by file name) on a side: on the ``datasets`` named, or on all if none is.

        The workspace of the meta-test side is made for this call and removed after it. An exam with the modules,
        dataset and seed of an earlier one is not repeated, unless that one ran out of time.

        Raises:
            InfraError: the machine failed twice at the same exam.
        """
        workspace = self.workspace
        if side == "meta_train":
            self.place(modules)
        else:
            try:
                workspace = materialise(self.task, self.directory / side, modules=modules, side=side)
            except OSError as error:
                raise InfraError(f"the meta-test workspace could not be written: {error}") from error
        digest = hashlib.sha256(repr(sorted(modules.items())).encode()).hexdigest()
        datasets = [name for name in getattr(self.task, side) if not datasets or name in datasets]
        total = len(datasets) * len(self.seeds(side, datasets[0]))
        number = 0
        scores = []
        try:
            for dataset in datasets:
                results = []
                seeds = self.seeds(side, dataset)
                for seed in seeds:
                    number += 1
                    progress = Progress(side, dataset, seed, number, total, self.budget_s(dataset))
                    key = (digest, dataset, seed)
                    if key not in self._finished:
                        self._on_progress(progress)
                        result = self._exam(workspace, dataset, seed, self._programs(modules, side, dataset, digest))
                        self.spent_s += result.wall_s
                        if result.status != "timeout":
                            self._finished[key] = result
                    else:
                        result = self._finished[key]
                    self._on_progress(Progress(**{**vars(progress), "result": result}))
                    results.append(result)
                cost_entry = None
                if self._costs:
                    with self._slot():  # whoever waited for the same measurement finds it known
                        cost_entry = self._cost_entry(dataset, seeds)
                scores.append(score(self.domain.metric(dataset), self.entries[dataset], results, cost_entry))
        finally:
            if workspace is not self.workspace:
                scratch.remove(workspace)
        return scores

    def seeds(self, side: Side, dataset: str) -> list[int]:
        """Exam seeds of a dataset in this episode: the same at every step, different between the two sides."""
        count = self.task.train_seeds if side == "meta_train" else self.task.test_seeds
        words = [self._seed, *f"{side}:{dataset}".encode()]
        state = np.random.SeedSequence(words).generate_state(count, np.uint64)
        return [int(word) >> 1 for word in state]

    def budget_s(self, dataset: str) -> float:
        """Compute budget of one exam of a dataset, in seconds."""
        minimum = self.domain.specification.limits.minimum_budget_s
        local = self._local_entry(dataset)
        return max(minimum, self._budget_scale * (local or self.entries[dataset]).seconds.mean)

    def close(self) -> None:
        """End the examiner and whatever still runs, and remove the episode's files. Safe to call again."""
        self._closed.set()
        self._runner.close()
        scratch.remove(self.directory)

    def _cost_entry(self, dataset: str, seeds: Sequence[int]) -> baselines.Entry:
        """The baseline's costs on this machine: known, or measured now and kept (kept only in memory if paired)."""
        task = self.task
        known = self._local_entry(dataset, sandbox=self._sandbox.name)
        if known is not None and not self._paired:
            return known
        measured = calibration.calibrate(
            self.domain,
            dataset=dataset,
            backend=task.backend,
            scale=task.scale,
            seeds=seeds if self._paired else range(calibration.LOCAL_SEEDS),
            sandbox=self._sandbox,
            device=self.device,
        )
        if not self._paired:
            key = baselines.key(task.backend, dataset, task.scale)
            baselines.write(baselines.local_path(self.domain, self.device.name), {key: measured})
        return measured

    def _local_entry(self, dataset: str, sandbox: str | None = None) -> baselines.Entry | None:
        task = self.task
        return baselines.local_entry(
            self.domain,
            backend=task.backend,
            dataset=dataset,
            scale=task.scale,
            device=self.device.name,
            sandbox=sandbox,
        )

    def _programs(self, modules: Mapping[str, str], side: Side, dataset: str, digest: str) -> Programs:
        """Which compiled programs an exam may use, or whether those that it compiles are kept."""
        task = self.task
        ours = of_base(self.domain, backend=task.backend, dataset=dataset, scale=task.scale)
        if modules == self._base_modules:
            return Programs(used=ours) if ours.is_dir() else Programs(kept_in=ours)
        if side == "meta_train" and task.train_seeds > 1:
            folder = self.directory / "programs" / digest / dataset
            return Programs(used=folder) if folder.is_dir() else Programs(kept_in=folder)
        return Programs(used=ours if ours.is_dir() else None)

    def _exam(self, workspace: Path, dataset: str, seed: int, programs: Programs) -> ExamResult:
        """One exam, repeated once if the machine, not the agent's code, failed."""

        def run() -> ExamResult:
            return self._runner.run(
                workspace,
                dataset=dataset,
                scale=self.task.scale,
                seed=seed,
                budget_s=self.budget_s(dataset),
                programs=programs,
            )

        with self._slot():
            try:
                return run()
            except InfraError:
                return run()

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        if self._slots is None:
            yield
            return
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._slots.hold(alone=self._costs, give_up=self._closed.is_set))
            except (OSError, WaitEnded) as error:
                raise InfraError(f"no slot for an exam: {error}") from error
            yield
