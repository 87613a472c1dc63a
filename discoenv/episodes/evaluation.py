"""Exams of a task's modules on several datasets and seeds: what a ``run`` and a ``submit`` of an episode do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from discoenv import arguments
from discoenv.episodes.finished import FinishedExam, digest_of
from discoenv.errors import InfraError
from discoenv.exams.compile_cache import CompileCache, of_base
from discoenv.exams.host import ExamGroup, Host
from discoenv.exams.result import ExamResult
from discoenv.exams.spec import ExamSpec, Progress, RunningExam
from discoenv.machine import scratch
from discoenv.scoring import baselines, budgets, calibration, references
from discoenv.scoring.scores import Score, Scoring, is_valid, score
from discoenv.tasks.task import Setting, Side, Task
from discoenv.tasks.workspace import base_modules, materialise, write_modules

_logger = logging.getLogger(__name__)


class RunStopped(Exception):
    """Exams of the meta-train side were stopped on request, see :meth:`Evaluation.stop`; that is no failure.

    Attributes:
        results: of the exams that had finished.
        total: number of exams that were asked for.
    """

    def __init__(self, results: Sequence[ExamResult], total: int) -> None:
        self.results = tuple(results)
        self.total = total
        super().__init__(f"the run was stopped when {len(self.results)} of its {total} exams had finished")


class Evaluation:
    """Trains and examines modules on both sides of a task, with the exam seeds of one episode. Close it.

    Exams of one call run concurrently, as many as the host has cores (and places on GPUs), but one after another if
    costs are compared. Scores do not depend on that.

    Args:
        task: the episode's task.
        host: where its exams run. It is not closed with the evaluation.
        seed: the episode's seed (0 ≤ seed < 2⁶³); exam seeds are derived from it and the host's secret.
        budget_scale: compute budget of an exam as a multiple of what the baseline needs, beside an allowance for start
            and compilation (see :func:`discoenv.scoring.budgets.budget_s`).
        costs: compare costs with the baseline's on this machine, which is measured where it is not known yet.
        paired: measure the baseline's costs anew, right after the exams that they are compared with, with their seeds.
        scoring: what scores are compared with, and what they are worth. With a paired reference the base modules are
            examined with the seeds and data of each exam, once on this machine: see :mod:`discoenv.scoring.references`.
        on_progress: called at the start and the end of each exam, by the thread that called :meth:`examine`; of an exam
            whose result is known, at the end only.
        on_finished: called by that thread with each exam that :meth:`resume` can be given later: the digest of its
            modules, its side and its result.

    Attributes:
        device: name of what learners train on: ``cpu``, or the product name of a GPU if any dataset goes to one.
        workspace: the meta-train side, as the agent may read it.
        spent_s: seconds of compute that exams have spent so far, without those of references.

    Raises:
        ArgumentError: ``seed`` or ``budget_scale`` is out of range.
        NoBaseline: a dataset of the task has not been calibrated.
        DatasetUnavailable: its learners would not find a package that they import.
    """

    def __init__(
        self,
        task: Task,
        host: Host,
        *,
        seed: int,
        budget_scale: float,
        costs: bool = False,
        paired: bool = False,
        scoring: Scoring = Scoring(),  # noqa: B008 - it cannot be changed
        on_progress: Callable[[Progress], None] = lambda progress: None,
        on_finished: Callable[[str, Side, ExamResult], None] = lambda digest, side, result: None,
    ) -> None:
        seed = arguments.integer("seed", seed, least=0, most=2**63 - 1)
        budget_scale = arguments.number("budget_scale", budget_scale, above=0)
        self.task = task
        self.domain = task.resolve()
        self._host = host
        settings = [task.setting(dataset) for dataset in (*task.meta_train, *task.meta_test)]
        self.device = host.device(any(setting.wants_gpu for setting in settings)).name
        host.sandbox.require_image(self.domain.image)
        if not host.sandbox.own_packages:
            for setting in settings:
                self.domain.require_packages(setting.dataset)
        self.entries = {setting.dataset: baselines.entry(setting, self._device_of(setting)) for setting in settings}
        self.directory, self.workspace = _materialised(task)
        self._seed = seed
        self._budget_scale = budget_scale
        self._costs = costs or paired
        self._paired = paired
        self._scoring = scoring
        self._on_progress = on_progress
        self._on_finished = on_finished
        self._group = host.group()
        self._run: _Run | None = None
        self._finished: dict[tuple[str, str, int], ExamResult] = {}
        self._references: dict[tuple[str, int], ExamResult] = {}
        self._unshown: dict[tuple[str, str, int], ExamResult] = {}
        self._measured: dict[str, baselines.Baseline] = {}
        self._base_digest = digest_of(base_modules(task))
        self.spent_s = 0.0

    @property
    def compares_costs(self) -> bool:
        """Whether exams run alone on the machine."""
        return self._costs

    def resume(self, exams: Sequence[FinishedExam], step: int, spent_s: float) -> None:
        """Go on from an earlier evaluation of the task, with the same seeds.

        Args:
            exams: that it finished. Those after ``step`` are charged when they are asked for, as if they were held
                then.
            step: actions so far.
            spent_s: seconds for which learners have run until then.
        """
        for exam in exams:
            known = self._finished if exam.step <= step else self._unshown
            known.setdefault((exam.modules, exam.result.dataset, exam.result.seed), exam.result)
        self.spent_s = spent_s

    def place(self, modules: Mapping[str, str]) -> None:
        """Put ``modules`` (text by file name) into the workspace.

        Raises:
            InfraError: they cannot be written.
        """
        try:
            write_modules(self.workspace, modules)
        except OSError as error:
            raise InfraError(f"the modules could not be written: {error}") from error

    def examine(
        self, modules: Mapping[str, str], side: Side, datasets: Sequence[str] = (), seeds: int | None = None
    ) -> list[Score]:
        """Train and examine ``modules`` (text by file name) on a side: on the ``datasets`` named, or on all if none is.

        ``seeds`` is the number of exams per dataset; None: as many as the task says. The first ones are always the
        same. The workspace of the meta-test side is made for this call and removed after it. An exam with the modules,
        dataset and seed of an earlier one is not repeated, unless that one ran out of time.

        Raises:
            InfraError: the machine failed twice at the same exam. The others were ended.
            RunStopped: :meth:`stop` ended exams of the meta-train side.
        """
        if side == "meta_train":
            self.place(modules)
            run = self._run = _Run(ExamGroup(self._group))
            try:
                return self._scores(self.workspace, modules, side, datasets, seeds)
            except InfraError:
                if not run.stopped or self._group.cancelled:
                    raise
                self.spent_s += sum(time.monotonic() - begin for begin in run.begun.values())
                raise RunStopped(run.results, run.total) from None
            finally:
                self._run = None
        try:
            workspace = materialise(self.task, self.directory / side, modules=modules, side=side)
        except OSError as error:
            raise InfraError(f"the meta-test workspace could not be written: {error}") from error
        try:
            return self._scores(workspace, modules, side, datasets, seeds)
        finally:
            scratch.remove(workspace)

    def stop(self) -> bool:
        """Stop the exams of the meta-train side that go on, from any thread. Whether there are any."""
        run = self._run
        if run is None:
            return False
        run.stopped = True
        run.group.cancel()
        return True

    @property
    def running(self) -> list[RunningExam]:
        """The exams that go on, from any thread."""
        return self._group.running

    def is_known(self, modules: Mapping[str, str], datasets: Sequence[str] = (), seeds: int | None = None) -> bool:
        """Whether all these meta-train exams have been held, so that :meth:`examine` runs none and measures nothing."""
        digest = digest_of(modules)
        chosen = [name for name in self.task.meta_train if not datasets or name in datasets]
        wanted = [(digest, name, seed) for name in chosen for seed in self.seeds("meta_train", name, seeds)]
        return not self._paired and all(exam in self._finished for exam in wanted)

    def seeds(self, side: Side, dataset: str, count: int | None = None) -> list[int]:
        """Exam seeds of a dataset in this episode: the same at every step, different between the two sides.

        There are as many as the task says, or ``count``: with more, the first ones stay the same.
        """
        if count is None:
            count = self.task.train_seeds if side == "meta_train" else self.task.test_seeds
        return [self.seed(side, dataset, number) for number in range(count)]

    def seed(self, side: Side, dataset: str, number: int) -> int:
        """Seed of one exam, which the record does not hold."""
        label: dict[str, str | int] = {
            "domain": self.domain.name,
            "dataset": dataset,
            "scale": self.task.scale,
            "side": side,
            "episode": self._seed,
            "number": number,
        }
        return self._host.secret.seed(label)

    def budget_s(self, dataset: str) -> float:
        """Compute budget of one exam of a dataset, in seconds."""
        setting = self.task.setting(dataset)
        device = self._host.device(setting.wants_gpu)
        local = baselines.local_entry(setting, device.name, editable=self.task.modules)
        on_gpu = device.broker is not None
        return budgets.budget_s(setting, self.entries[dataset], local, scale=self._budget_scale, on_gpu=on_gpu)

    def hidden_costs(self) -> list[float]:
        """What an exam of each meta-test dataset costs the baseline, relative to the mean of the meta-train ones.

        Empty where no costs are known.
        """
        seen = [self.entries[name].work_s for name in self.task.meta_train]
        mean = sum(seen) / len(seen)
        return [self.entries[name].work_s / mean for name in self.task.meta_test] if mean > 0 else []

    def close(self) -> None:
        """End what still runs, and remove the episode's files. Safe to call again."""
        self._group.cancel()
        scratch.remove(self.directory)

    def _scores(
        self, workspace: Path, modules: Mapping[str, str], side: Side, datasets: Sequence[str], seeds: int | None
    ) -> list[Score]:
        chosen = [name for name in getattr(self.task, side) if not datasets or name in datasets]
        specs = {name: self._specs(side, name, seeds) for name in chosen}
        digest = digest_of(modules)
        total = sum(map(len, specs.values()))
        if self._costs:  # one by one: the baseline may have to be measured right after the exams of a dataset
            scores = []
            for dataset, exams in specs.items():
                first = sum(len(specs[name]) for name in chosen[: chosen.index(dataset)])
                results = self._results(workspace, digest, exams, first, total)
                cost_entry = self._cost_entry(dataset, exams)
                scores += self._compared(side, digest, exams, results, {dataset: cost_entry})
            return scores
        every = [spec for name in chosen for spec in specs[name]]
        return self._compared(side, digest, every, self._results(workspace, digest, every, 0, total))

    def _compared(
        self,
        side: Side,
        digest: str,
        specs: Sequence[ExamSpec],
        results: Sequence[ExamResult],
        cost_entries: Mapping[str, baselines.Baseline] | None = None,
    ) -> list[Score]:
        """The scores of exams, by dataset."""
        paired = self._scoring.reference == "paired"
        if paired and digest == self._base_digest:  # they are their own reference
            for spec, result in zip(specs, results, strict=True):
                self._references[spec.dataset, spec.seed] = _reference(spec, result)
        elif paired:
            valid = [is_valid(spec.setting.metric, result) for spec, result in zip(specs, results, strict=True)]
            self._measure_references(side, [spec for spec, ok in zip(specs, valid, strict=True) if ok])
        scores = []
        for dataset in dict.fromkeys(spec.dataset for spec in specs):
            metric = self.domain.metric(dataset)
            own = [result for result in results if result.dataset == dataset]
            known = [self._references.get((dataset, result.seed)) for result in own]
            bases = [None if each is None or each.metrics is None else each.metrics[metric.name] for each in known]
            scores.append(
                score(
                    metric,
                    self.entries[dataset],
                    own,
                    (cost_entries or {}).get(dataset),
                    references=bases if paired else None,
                    transform=self._scoring.transform,
                )
            )
        return scores

    def _measure_references(self, side: Side, specs: Sequence[ExamSpec]) -> None:
        """Have the results of the base modules in these exams: known, kept on this machine, or measured now.

        Raises:
            InfraError: the base modules failed, or the machine did.
        """
        shared = self._host.sandbox.isolated  # else a learner could write there
        missing = []
        for spec in specs:
            if (spec.dataset, spec.seed) not in self._references:
                known = references.read(self._kept_at(spec), spec) if shared else None
                if known is None:
                    missing.append(replace(spec, budget_s=calibration.BUDGET_S))
                else:
                    self._references[spec.dataset, spec.seed] = known
        if not missing:
            return
        workspace = materialise(self.task, self.directory / "reference", modules=base_modules(self.task), side=side)
        try:
            results = self._host.run_all(
                workspace,
                missing,
                programs=lambda spec: self._programs(spec, self._base_digest),
                group=self._run.group if self._run else self._group,
                on_progress=lambda progress: self._on_progress(replace(progress, reference=True)),
            )
        finally:
            scratch.remove(workspace)
        for spec, result in zip(missing, results, strict=True):
            self._references[spec.dataset, spec.seed] = _reference(spec, result)
            if shared:
                try:
                    references.write(self._kept_at(spec), result)
                except OSError as error:  # it is measured again the next time
                    _logger.warning("a reference could not be kept: %s", error)

    def _kept_at(self, spec: ExamSpec) -> Path:
        return references.path_of(spec, self._device_of(spec.setting))

    def _specs(self, side: Side, dataset: str, count: int | None = None) -> list[ExamSpec]:
        budget_s, setting = self.budget_s(dataset), self.task.setting(dataset)
        return [
            ExamSpec(setting, seed, budget_s, side, setting.wants_gpu, self.task.modules, number)
            for number, seed in enumerate(self.seeds(side, dataset, count))
        ]

    def _results(
        self, workspace: Path, digest: str, specs: Sequence[ExamSpec], first: int, total: int
    ) -> list[ExamResult]:
        """Results of exams, known or run now; ``first`` of the ``total`` exams of the call came before them."""
        numbers = {spec: first + number for number, spec in enumerate(specs, start=1)}
        run = self._run or _Run(self._group)
        run.total = total

        def finish(spec: ExamSpec, result: ExamResult) -> None:
            self.spent_s += result.spent_s
            if result.status != "timeout":
                self._finished[digest, spec.dataset, spec.seed] = result
                self._on_finished(digest, spec.side, result)

        for spec in specs:
            unshown = self._unshown.pop((digest, spec.dataset, spec.seed), None)
            if unshown is not None and (digest, spec.dataset, spec.seed) not in self._finished:
                finish(spec, unshown)
        if digest == self._base_digest and self._scoring.reference == "paired" and not self._costs:
            self._measure_references(specs[0].side, specs)
            for spec in specs:
                own = self._references[spec.dataset, spec.seed]
                self._finished[digest, spec.dataset, spec.seed] = replace(own, number=spec.number)
        known = {spec: self._finished.get((digest, spec.dataset, spec.seed)) for spec in specs}
        for spec, result in known.items():
            if result is not None:
                run.results.append(result)
                self._on_progress(Progress(spec, numbers[spec], total, result))

        def report(progress: Progress) -> None:
            spec, result = progress.spec, progress.result
            if result is None:
                run.begun[spec] = time.monotonic()
            else:
                run.results.append(result)
                del run.begun[spec]
                finish(spec, result)
            self._on_progress(Progress(spec, numbers[spec], total, result))

        unknown = [spec for spec, result in known.items() if result is None]
        new = self._host.run_all(
            workspace,
            unknown,
            alone=self._costs,
            programs=lambda spec: self._programs(spec, digest),
            group=run.group,
            on_progress=report,
        )
        return [result or new[unknown.index(spec)] for spec, result in known.items()]

    def _cost_entry(self, dataset: str, exams: Sequence[ExamSpec]) -> baselines.Baseline:
        """The baseline's costs on this machine: known, or measured now and kept (kept only in memory if paired)."""
        setting, editable = self.task.setting(dataset), self.task.modules
        device, sandbox = self._device_of(setting), self._host.sandbox.name
        group = self._run.group if self._run else self._group
        with self._host.reserve(alone=True, group=group) as cores:
            # only now, because another process may have measured it while this one waited
            known = baselines.local_entry(setting, device, sandbox=sandbox, editable=editable)
            known = known or self._measured.get(dataset)
            if known is not None and not self._paired:
                return known
            measured = calibration.calibrate(
                self._host,
                setting,
                seeds=[exam.seed for exam in exams] if self._paired else range(calibration.LOCAL_SEEDS),
                editable=editable,
                gpu=setting.wants_gpu,
                held=cores,
                group=group,
            )
            if not self._paired:
                self._measured[dataset] = measured
                path = baselines.local_path(self.domain, device)
                try:
                    baselines.write(path, {baselines.local_key(setting, editable): measured})
                except OSError as error:  # others measure it again; this episode has it
                    _logger.warning("%s: this machine's baseline of %s cannot be kept: %s", path, dataset, error)
            return measured

    def _device_of(self, setting: Setting) -> str:
        """Name of what the exams of a dataset train on."""
        return self._host.device(setting.wants_gpu).name

    def _programs(self, spec: ExamSpec, digest: str) -> CompileCache:
        """Which compiled programs an exam may use, or whether those that it compiles are kept."""
        ours = of_base(spec.setting)
        if digest == self._base_digest:
            return CompileCache(used=ours) if ours.is_dir() else CompileCache(kept_in=ours)
        if spec.side == "meta_train" and self.task.train_seeds > 1:
            kept = self.directory / "programs"
            for other in kept.iterdir() if kept.is_dir() else ():  # of other modules: no episode hoards them
                if other.name != digest:
                    scratch.remove(other)
            folder = kept / digest / spec.dataset
            return CompileCache(used=folder) if folder.is_dir() else CompileCache(kept_in=folder)
        return CompileCache()  # a program of the base modules holds them, and is of no use without them


@dataclass
class _Run:
    """Exams of one call: those that have finished, and when those began that go on."""

    group: ExamGroup
    total: int = 0
    stopped: bool = False
    results: list[ExamResult] = field(default_factory=list)
    begun: dict[ExamSpec, float] = field(default_factory=dict)


def _materialised(task: Task) -> tuple[Path, Path]:
    """A new folder, and in it the workspace of the meta-train side.

    Raises:
        InfraError: they cannot be written.
    """
    try:
        directory = scratch.make()
        try:
            return directory, materialise(task, directory / "workspace")
        except BaseException:
            scratch.remove(directory)
            raise
    except OSError as error:
        raise InfraError(
            f"the workspace could not be written: {error}. Make room there, or let TMPDIR name another folder"
        ) from error


def _reference(spec: ExamSpec, result: ExamResult) -> ExamResult:
    """The result of the base modules, if it is one to compare with.

    Raises:
        InfraError: they failed, which says nothing about the agent.
    """
    if not is_valid(spec.setting.metric, result):
        problem = result.message or f"{spec.setting.metric.name} is not a finite number"
        raise InfraError(
            f"the base modules failed in the exam that {spec.setting} is compared with: {result.status}: {problem}. "
            "Play with reference='shipped', or see that `discoenv validate` passes"
        )
    return result
