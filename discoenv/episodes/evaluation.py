"""Exams of one set of modules on several datasets and seeds: what a ``run`` and a ``submit`` of an episode do."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from discoenv.errors import InfraError
from discoenv.exams.compile_cache import CompileCache, of_base
from discoenv.exams.examiner_client import ExaminerPool
from discoenv.exams.result import ExamResult
from discoenv.exams.runner import ExamRunner
from discoenv.exams.simultaneous import run_all
from discoenv.machine import scratch
from discoenv.machine.cores import Cores, WaitEnded
from discoenv.machine.devices import CPU, Device
from discoenv.sandbox.base import Sandbox
from discoenv.scoring import baselines, calibration
from discoenv.scoring.scores import Score, score
from discoenv.tasks.task import Side, Task
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

    Exams of one call run at the same time, as many as there are slots for (and places on GPUs), each learner on a core
    of its own; but one after another if costs are compared, or without slots. Scores do not depend on that.

    Args:
        task: the episode's task.
        sandbox: where learners run.
        seed: the episode's seed (0 ≤ seed < 2⁶³); exam seeds are derived from it.
        budget_scale: compute budget of an exam as a multiple of the baseline's seconds.
        costs: compare costs with the baseline's on this machine, which is measured where it is not known yet.
        paired: measure the baseline anew, right after the exams that it is compared with, with their seeds.
        device: what learners train on.
        on_progress: called at the start and the end of each exam, by the thread that called :meth:`evaluate`.
        slots: each exam waits for one of these; all of them, if costs are compared. None: exams never wait, but for
            each other.
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
        task: Task,
        sandbox: Sandbox,
        *,
        seed: int,
        budget_scale: float,
        costs: bool = False,
        paired: bool = False,
        device: Device = CPU,
        on_progress: Callable[[Progress], None] | None = None,
        slots: Cores | None = None,
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
        self._examiners = examiners or ExaminerPool()
        self._owns_examiners = examiners is None
        self._slots = slots
        self._closed = threading.Event()
        self._lock = threading.Lock()  # of the attributes below
        self._runners: set[ExamRunner] = set()
        self._finished: dict[tuple[str, str, int], ExamResult] = {}
        self._base_digest = _digest(base_modules(task))
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

    def evaluate(self, modules: Mapping[str, str], side: Side, datasets: Sequence[str] = ()) -> list[Score]:
        """Train and examine ``modules`` (text by file name) on a side: on the ``datasets`` named, or on all if none is.

        The workspace of the meta-test side is made for this call and removed after it. An exam with the modules,
        dataset and seed of an earlier one is not repeated, unless that one ran out of time.

        Raises:
            InfraError: the machine failed twice at the same exam. The others were ended.
        """
        workspace = self.workspace
        if side == "meta_train":
            self.place(modules)
        else:
            try:
                workspace = materialise(self.task, self.directory / side, modules=modules, side=side)
            except OSError as error:
                raise InfraError(f"the meta-test workspace could not be written: {error}") from error
        digest = _digest(modules)
        chosen = [name for name in getattr(self.task, side) if not datasets or name in datasets]
        planned = self._planned(side, chosen)
        scores = []
        try:
            together = [] if self._costs else self._run(workspace, digest, [*itertools.chain(*planned.values())])
            for dataset, exams in planned.items():
                if self._costs:  # the baseline's are compared with, and may be measured, right after
                    results, cost_entry = self._run(workspace, digest, exams), self._cost_entry(dataset, exams)
                else:
                    results, cost_entry = [each for each in together if each.dataset == dataset], None
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
        self._end_running()
        if self._owns_examiners:
            self._examiners.close()
        scratch.remove(self.directory)

    def _planned(self, side: Side, datasets: Sequence[str]) -> dict[str, list[Progress]]:
        """The exams of a call, by dataset."""
        each = [(dataset, seed) for dataset in datasets for seed in self.seeds(side, dataset)]
        budgets = {dataset: self.budget_s(dataset) for dataset in datasets}
        planned: dict[str, list[Progress]] = {dataset: [] for dataset in datasets}
        for number, (dataset, seed) in enumerate(each, start=1):
            planned[dataset].append(Progress(side, dataset, seed, number, len(each), budgets[dataset]))
        return planned

    def _run(self, workspace: Path, digest: str, exams: Sequence[Progress]) -> list[ExamResult]:
        """Results of exams, as many at once as may be. If one fails, or the wait is interrupted, all are ended."""
        cancelled = threading.Event()

        def stop() -> None:
            cancelled.set()
            self._end_running()

        jobs = [functools.partial(self._exam, workspace, digest, exam, cancelled) for exam in exams]
        at_once = self._most_at_once(sum((digest, exam.dataset, exam.seed) not in self._finished for exam in exams))
        return run_all(jobs, at_once=at_once, on_report=self._on_progress, stop=stop)

    def _most_at_once(self, unknown: int) -> int:
        """How many of the exams that must really be run may run at the same time."""
        if self._costs or self._slots is None:
            return 1
        broker = self.device.broker
        places = unknown if broker is None else len(broker.devices) * self.device.sharers
        return max(1, min(unknown, self._slots.count, places))

    def _exam(
        self,
        workspace: Path,
        digest: str,
        exam: Progress,
        cancelled: threading.Event,
        report: Callable[[Progress], None],
    ) -> ExamResult:
        """One exam, unless its result is known; repeated once if the machine, not the agent's code, failed."""
        key = (digest, exam.dataset, exam.seed)
        result = self._finished.get(key)
        if result is None:
            with self._slot(cancelled) as cores, self._runner(cores, cancelled) as runner:
                report(exam)
                run = functools.partial(
                    runner.run,
                    workspace,
                    dataset=exam.dataset,
                    scale=self.task.scale,
                    seed=exam.seed,
                    budget_s=exam.budget_s,
                    programs=self._programs(exam, digest),
                )
                try:
                    result = run()
                except InfraError:
                    result = run()
            with self._lock:
                self.spent_s += result.wall_s
                if result.status != "timeout":
                    self._finished[key] = result
        report(replace(exam, result=result))
        return result

    @contextlib.contextmanager
    def _runner(self, cores: tuple[int, ...], cancelled: threading.Event) -> Iterator[ExamRunner]:
        """A runner for one exam, which :meth:`_end_running` finds."""
        runner = ExamRunner(
            self.domain,
            self._sandbox,
            measure_costs=self._costs,
            device=self.device,
            examiners=self._examiners,
            cores=cores,
        )
        with self._lock:
            if self._closed.is_set() or cancelled.is_set():
                raise InfraError("the exam was cancelled before it began")
            self._runners.add(runner)
        try:
            yield runner
        finally:
            with self._lock:
                self._runners.discard(runner)
            runner.close()

    def _end_running(self) -> None:
        """End the exams that are under way."""
        with self._lock:
            running = list(self._runners)
        for runner in running:
            runner.close()

    def _cost_entry(self, dataset: str, exams: Sequence[Progress]) -> baselines.Entry:
        """The baseline's costs on this machine: known, or measured now and kept (kept only in memory if paired)."""
        task = self.task
        with self._slot() as cores:  # whoever waited for the same measurement finds it known
            known = self._local_entry(dataset, sandbox=self._sandbox.name)
            if known is not None and not self._paired:
                return known
            measured = calibration.calibrate(
                self.domain,
                dataset=dataset,
                backend=task.backend,
                scale=task.scale,
                seeds=[exam.seed for exam in exams] if self._paired else range(calibration.LOCAL_SEEDS),
                sandbox=self._sandbox,
                device=self.device,
                cores=cores,
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

    def _programs(self, exam: Progress, digest: str) -> CompileCache:
        """Which compiled programs an exam may use, or whether those that it compiles are kept."""
        task = self.task
        ours = of_base(self.domain, backend=task.backend, dataset=exam.dataset, scale=task.scale)
        if digest == self._base_digest:
            return CompileCache(used=ours) if ours.is_dir() else CompileCache(kept_in=ours)
        if exam.side == "meta_train" and task.train_seeds > 1:
            folder = self.directory / "programs" / digest / exam.dataset
            return CompileCache(used=folder) if folder.is_dir() else CompileCache(kept_in=folder)
        return CompileCache(used=ours if ours.is_dir() else None)

    @contextlib.contextmanager
    def _slot(self, cancelled: threading.Event | None = None) -> Iterator[tuple[int, ...]]:
        """Hold a slot, or all where costs are compared; yields the cores that the learner is to stay on, if any."""
        if self._slots is None:
            yield ()
            return

        def give_up() -> bool:
            return self._closed.is_set() or (cancelled is not None and cancelled.is_set())

        with contextlib.ExitStack() as held:
            try:
                cores = held.enter_context(self._slots.hold(alone=self._costs, give_up=give_up))
            except (OSError, WaitEnded) as error:
                raise InfraError(f"no slot for an exam: {error}") from error
            yield () if self.device.broker else cores  # a GPU's learner needs what the framework's own threads need


def _digest(modules: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(modules.items())).encode()).hexdigest()
