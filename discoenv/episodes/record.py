"""The record of an episode, typed: what ``info`` holds, what a run directory holds, and which run of it is the best.

::

    EpisodeRecord               a run directory
    ├── setup: SetupRecord      episode.json, how the environment was set up
    ├── events: EventRecord     episode.jsonl, a line per reset or step
    │   └── info: StepRecord    what the environment returned as info
    │       └── meta_train, meta_test: ScoreRecord      by dataset
    │           └── exams: ExamRecord                   one per exam
    └── result: ResultRecord    result.json, once the episode has ended

A *score* is normalised: 0 is the floor, 1 the baseline. What an examiner measured, in its own unit, is a *metric*.
:mod:`discoenv.episodes.recorder` writes run directories; docs/records.md describes every key.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar, cast

from discoenv.episodes import jsonl, version_1
from discoenv.episodes.codec import SOMETIMES, Record
from discoenv.errors import RunError
from discoenv.examiners.plotting import ExamArtifacts
from discoenv.json_text import loads
from discoenv.machine.owner import boot_id, is_abandoned
from discoenv.machine.regular import open_regular, read_text
from discoenv.tasks.task import Task

if TYPE_CHECKING:
    from discoenv.exams.result import ExamResult
    from discoenv.scoring.scores import Score, Scoring

#: The version of the format that is written. Both versions are read.
VERSION: Final = 3
TASK: Final = "task.yaml"
SETUP: Final = "episode.json"
EVENTS: Final = "episode.jsonl"
RESULT: Final = "result.json"
OWNER: Final = "owner.json"


@dataclass(frozen=True)
class ExamRecord(Record):
    """One exam of a dataset.

    Attributes:
        number: which of the exams of its dataset, from 0. Its seed is a secret, see :mod:`discoenv.exams.secrets`.
        status: ``ok``; or the learner's failure: ``error``, ``timeout``, ``memory``, ``protocol_error``.
        metric: the dataset's metric, in its own unit, as it counts: the floor's mean where the exam failed.
        normalised: the score of this exam; 0 where it failed.
        worth: what the exam is worth to the objective ``performance``, by which runs are compared.
        reference: the metric of the base modules in the same exam, in its own unit; null unless scores are compared
            with that.
        metrics: all that the examiner measured, by name; null unless ``status`` is ``ok``.
        seconds: training and answering, in seconds; null if the learner never served.
        cpu_s: CPU time of the learner's whole process tree, in seconds.
        peak_memory_bytes: peak memory of the process tree, scratch files included, in bytes.
        memory_method: how memory was measured: ``cgroup`` or ``sampled``.
        peak_gpu_memory_bytes: peak memory on the GPU, in bytes; 0 unless one was used, and used alone.
        device: ``cpu``, or the product name of the GPU.
        joules: energy, in joules.
        energy_method: how energy was measured, or ``estimate``.
        energy_uncertainty: relative uncertainty of ``joules``, as a fraction.
        budget_s: compute budget, in CPU seconds; on a GPU in seconds of wall time.
        spent_s: how much of it was spent, the learner's idle seconds included; null in older runs.
        starved_s: seconds in which the learner was ready to run and got no core, which spends nothing; null in older
            runs.
        message: one line that says what went wrong; empty if nothing did.
        traceback: the task's own frames of the error; empty if nothing was raised.
        stdout: the end of what the learner printed.
    """

    number: int = 0
    status: str = ""
    metric: float = math.nan
    normalised: float | None = None
    worth: float | None = None
    reference: float | None = None
    metrics: dict[str, float] | None = None
    seconds: float | None = None
    cpu_s: float = math.nan
    peak_memory_bytes: int = 0
    memory_method: str = ""
    peak_gpu_memory_bytes: int = 0
    device: str = "cpu"
    joules: float | None = None
    energy_method: str = ""
    energy_uncertainty: float | None = None
    budget_s: float = math.nan
    spent_s: float | None = None
    starved_s: float | None = None
    message: str = ""
    traceback: str = ""
    stdout: str = ""

    @classmethod
    def of(
        cls,
        result: ExamResult,
        metric: float,
        normalised: float | None = None,
        worth: float | None = None,
        reference: float | None = None,
    ) -> Self:
        """The record of a result; ``metric`` as it counts."""
        return cls(
            number=result.number,
            status=result.status,
            metric=metric,
            normalised=normalised,
            worth=worth,
            reference=reference,
            metrics=result.metrics,
            seconds=result.seconds,
            cpu_s=result.cpu_s,
            peak_memory_bytes=result.peak_memory_bytes,
            memory_method=result.memory_method,
            peak_gpu_memory_bytes=result.peak_gpu_memory_bytes,
            device=result.device,
            joules=result.energy.joules,
            energy_method=result.energy.method,
            energy_uncertainty=result.energy.uncertainty,
            budget_s=result.budget_s,
            spent_s=result.spent_s,
            starved_s=result.starved_s,
            message=result.message,
            traceback=result.traceback,
            stdout=result.stdout,
        )


@dataclass(frozen=True)
class ScoreRecord(Record):
    """The exams of one dataset and their score.

    Attributes:
        normalised: the score, mean over exams of (metric − floor) / (baseline − floor), or with a paired reference of
            1 + (metric − reference) / (baseline − floor); more is better. A failed exam counts as 0.
        standard_error: of ``normalised``; null for a single exam.
        spread: standard deviation over seeds of the score of one exam, as the base modules show it; null if not known.
        valid: share of the exams that were passed through to their end with a finite metric, from 0 to 1.
        outcome: what the exams are worth to the objective ``performance``.
        metric: mean over exams of the dataset's metric, in its own unit.
        metric_name: the metric's name in ``domain.yaml``.
        floor: the metric of a trivial learner, in its own unit: 0 on the normalised scale.
        baseline: the metric of the base modules, in its own unit: 1 on the normalised scale.
        baseline_std: standard deviation of the baseline's metric over seeds.
        baseline_seconds: training and answering of the base modules where they were calibrated, mean in seconds.
        exams: one :class:`ExamRecord` per exam.
    """

    normalised: float = math.nan
    standard_error: float | None = None
    spread: float | None = None
    valid: float | None = None
    outcome: float | None = None
    metric: float = math.nan
    metric_name: str = ""
    floor: float = math.nan
    baseline: float = math.nan
    baseline_std: float = math.nan
    baseline_seconds: float = math.nan
    exams: tuple[ExamRecord, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every exam was passed through to its end."""
        return all(exam.status == "ok" for exam in self.exams)

    @property
    def worths(self) -> dict[int, float]:
        """What each exam is worth, by its number; of runs that do not record it, the score clipped to [−1, 10]."""
        span = self.baseline - self.floor
        return {
            exam.number: exam.worth
            if exam.worth is not None and math.isfinite(exam.worth)
            else min(max((exam.metric - self.floor) / span if span else 0.0, -1.0), 10.0)
            for exam in self.exams
        }

    @classmethod
    def of(cls, score: Score) -> Self:
        """The record of a score."""
        return cls(
            normalised=score.normalised,
            standard_error=score.standard_error,
            spread=score.spread,
            valid=score.valid_share,
            outcome=score.outcome,
            metric=score.metric,
            metric_name=score.entry.metric,
            floor=score.entry.floor.mean,
            baseline=score.entry.baseline.mean,
            baseline_std=score.entry.baseline.std,
            baseline_seconds=score.entry.seconds.mean,
            exams=tuple(
                map(
                    ExamRecord.of,
                    score.results,
                    score.values,
                    score.each or itertools.repeat(None),
                    score.worths or itertools.repeat(None),
                    score.references or itertools.repeat(None),
                )
            ),
        )


def score_records(scores: Iterable[Score]) -> dict[str, ScoreRecord]:
    """The records of scores, by dataset."""
    return {score.dataset: ScoreRecord.of(score) for score in scores}


@dataclass(frozen=True)
class IntegrityRecord(Record):
    """How far scores can be trusted.

    Attributes:
        level: ``examined``; or ``self-reported``, where a sandbox does not isolate or a domain trusts what is printed.
        sandbox: name of the provider that learners ran in.
        notes: what the domain cannot exclude, in sentences.
        flags: what the text of the modules does that no algorithm needs: reflection, files, changes of other code.
    """

    level: str = ""
    sandbox: str = ""
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Versioned(Record):
    """A record with a ``version`` of the format; without one it is read as version 1."""

    def to_json(self) -> dict[str, Any]:
        """As plain values, with the ``version``."""
        return {"version": VERSION, **super().to_json()}

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """From what :meth:`to_json` gave, in this version or an earlier one."""
        if isinstance(content, Mapping) and _version(content) == 1:
            content = version_1.with_scores(content)
        return super().from_json(content)


def _version(content: Mapping[str, Any]) -> int:
    version = content.get("version", 1)
    return version if isinstance(version, int) else 1


@dataclass(frozen=True)
class RunRecord:
    """One ``run`` of an episode, as runs are compared.

    Attributes:
        number: 1 for the first run of the episode.
        step: actions so far, this one included.
        score: mean normalised score over ``datasets``.
        reward: what the task's objective makes of the meta-train scores.
        datasets: meta-train datasets that were trained on.
        full: whether these are all meta-train datasets of the task.
        exams: what each exam was worth, by dataset, then by its number.
        spreads: standard deviation over seeds of the score of one exam, by dataset, as far as it is known.
        same_as: number of the earlier run of the same files, if they had been run before; null: they had not.
    """

    number: int
    step: int
    score: float
    reward: float
    datasets: tuple[str, ...]
    full: bool
    exams: dict[str, dict[int, float]] = field(default_factory=dict)
    spreads: dict[str, float] = field(default_factory=dict)
    same_as: int | None = None


@dataclass(frozen=True)
class StepRecord(_Versioned):
    """What the environment reports of a reset or a step: ``info`` is its JSON.

    Keys that do not apply to a step are left out: ``"meta_train" in info`` is true after a ``run`` and only then.

    Attributes:
        task: the whole task, as :class:`discoenv.Task` reads it.
        task_id: a name of the task that depends on all of it.
        workspace: folder of the files that the agent may read; it is gone after the episode.
        run_directory: where the episode is recorded; null without a record.
        integrity: an :class:`IntegrityRecord`.
        device: what learners train on: ``cpu``, or the product name of the GPU.
        compute_spent_s: compute that the exams of the episode have spent so far, in seconds.
        duration_s: wall-clock time of the reset or step, in seconds.
        changed: names of the files that the action changed; left out if it was refused, and after a reset.
        refused: why the action was refused; left out if it was taken.
        meta_train: after a ``run``: a :class:`ScoreRecord` by dataset.
        score: after a ``run``: mean of ``normalised`` over these datasets.
        meta_train_reward: after a ``run``: what the task's objective makes of the meta-train scores.
        same_as: after a ``run`` of files that had been run before: the number of that run. It cost no action.
        comparison: after a ``run``, with the best run before it, and after a ``compare``: ``runs`` (two numbers, the
            first is compared with the second), ``difference`` (of what exams are worth), ``low``, ``high``,
            ``confidence``, ``probability``, ``exams``, ``datasets``, ``method``, ``verdict``; after a race ``seeds``
            and ``ended``, too. See ``discoenv.scoring.comparison``.
        meta_test: at the end: a :class:`ScoreRecord` by dataset.
        reward_parts: at the end: what the reward was computed from; keys depend on the objective.
        stopped: after a ``run`` that was stopped on request: how many of its exams had finished.
        infra_error: how the machine failed; the episode ended without a score.
        reward_error: how the reward function failed; the step raised this, and the episode went on.
        record_error: why the run directory lacks something that is kept in memory until it can be written.
    """

    task: dict[str, Any] = field(default_factory=dict)
    task_id: str = ""
    workspace: str = ""
    run_directory: str | None = None
    integrity: IntegrityRecord = IntegrityRecord()
    device: str = "cpu"
    compute_spent_s: float = 0.0
    duration_s: float = math.nan
    changed: tuple[str, ...] | None = field(default=None, metadata=SOMETIMES)
    refused: str | None = field(default=None, metadata=SOMETIMES)
    meta_train: dict[str, ScoreRecord] | None = field(default=None, metadata=SOMETIMES)
    score: float | None = field(default=None, metadata=SOMETIMES)
    meta_train_reward: float | None = field(default=None, metadata=SOMETIMES)
    same_as: int | None = field(default=None, metadata=SOMETIMES)
    comparison: dict[str, Any] | None = field(default=None, metadata=SOMETIMES)
    meta_test: dict[str, ScoreRecord] | None = field(default=None, metadata=SOMETIMES)
    reward_parts: dict[str, Any] | None = field(default=None, metadata=SOMETIMES)
    stopped: str | None = field(default=None, metadata=SOMETIMES)
    infra_error: str | None = field(default=None, metadata=SOMETIMES)
    reward_error: str | None = field(default=None, metadata=SOMETIMES)
    record_error: str | None = field(default=None, metadata=SOMETIMES)

    def run(self, number: int, step: int) -> RunRecord | None:
        """The ``run`` that this step was; None if it was none.

        Args:
            number: 1 for the first run of the episode.
            step: actions so far, this one included.
        """
        if self.meta_train is None:
            return None
        wanted = self.task.get("meta_train")
        return RunRecord(
            number,
            step,
            score=math.nan if self.score is None else self.score,
            reward=math.nan if self.meta_train_reward is None else self.meta_train_reward,
            datasets=tuple(self.meta_train),
            full=isinstance(wanted, (list, tuple)) and set(map(str, wanted)) <= set(self.meta_train),
            exams={dataset: score.worths for dataset, score in self.meta_train.items()},
            spreads={dataset: score.spread for dataset, score in self.meta_train.items() if score.spread is not None},
            same_as=self.same_as,
        )


@dataclass(frozen=True)
class EventRecord(Record):
    """A reset or a step, one line of ``episode.jsonl``.

    Attributes:
        time: when it ended, ISO 8601 with the UTC offset.
        event: ``reset`` or ``step``.
        step: actions so far, this one included; 0 for a reset.
        action: what was done: ``edits``, ``command`` and perhaps ``datasets``; the beginning of its text if it could
            not be parsed or was refused; null for a reset.
        text: the observation's text.
        reward: of the step; 0 unless it ended the episode.
        terminated: whether the step ended the episode by ``submit``.
        truncated: whether the step ended it because steps or budget were spent, or the machine failed.
        info: a :class:`StepRecord`.
    """

    time: str | None = field(default=None, metadata=SOMETIMES)
    event: str = ""
    step: int = 0
    action: dict[str, Any] | str | None = None
    text: str = ""
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: StepRecord = StepRecord()


@dataclass(frozen=True)
class OriginRecord(Record):
    """Where an episode was forked or restored from; what happened before is in its own run directory, too.

    Attributes:
        run: name of the other run directory; empty if it had none.
        step: actions until then.
    """

    run: str = ""
    step: int = 0


@dataclass(frozen=True)
class SetupRecord(_Versioned):
    """How the environment was set up, ``episode.json``.

    Attributes:
        episode_seed: seed of the episode; exam seeds are derived from it and the secret.
        sandbox: name of the provider that learners run in.
        budget_scale: compute budget of one exam, as a multiple of what the baseline needs, beside an allowance for its
            start.
        task_id: a name of the task that depends on all of it.
        device: what learners train on: ``cpu``, or the product name of the GPU.
        max_steps: actions of the episode.
        compute_budget_s: seconds of compute over all ``run`` commands; null: unlimited.
        packs: folders of further domains.
        reward_fn: function that replaced the objective's reward, ``package.module:name``; null: none did.
        secret: SHA-256, in hexadecimal digits, of the secret that exam seeds are derived from; null before version 3,
            where they were public.
        max_file_bytes: largest module, in bytes of UTF-8; null where it was not recorded.
        paired: whether the baseline was measured anew after the exams of each dataset.
        max_seeds: exams per dataset that one ``run`` may ask for; null where it was not recorded.
        origin: where the episode was forked or restored from; null if it began at its reset.
        reference: what scores are compared with: ``shipped``, or ``paired``, the base modules in the same exams.
        transform: what an exam is worth to the objective ``performance``: ``ordered``; or ``linear``, as in all runs
            that do not record it.
    """

    episode_seed: int
    sandbox: str
    budget_scale: float
    task_id: str | None = None
    device: str = "cpu"
    max_steps: int | None = None
    compute_budget_s: float | None = None
    packs: tuple[str, ...] = ()
    reward_fn: str | None = None
    secret: str | None = None
    max_file_bytes: int | None = None
    paired: bool = False
    max_seeds: int | None = None
    origin: OriginRecord | None = None
    reference: str = "shipped"
    transform: str = "linear"

    @property
    def scoring(self) -> Scoring:
        """How scores and rewards were made.

        Raises:
            RunError: in a way that this version does not know.
        """
        from discoenv.scoring.scores import Scoring  # noqa: PLC0415 - needs NumPy, and few readers score anything

        try:
            return Scoring(cast(Any, self.reference), cast(Any, self.transform))
        except ValueError as error:
            raise RunError(f"{SETUP}: {error}; a later version of discoenv recorded this run") from None


@dataclass(frozen=True)
class ResultRecord(_Versioned):
    """How an episode ended, ``result.json``.

    Attributes:
        reward: of the episode.
        terminated: whether it ended by ``submit``.
        truncated: whether it ended because steps or budget were spent, or the machine failed.
        steps: actions of the episode.
        task_id: a name of the task that depends on all of it.
        integrity: an :class:`IntegrityRecord`.
        meta_test: a :class:`ScoreRecord` by dataset; left out if the machine failed.
        reward_parts: what the reward was computed from; left out if the machine failed.
        infra_error: how the machine failed; left out if it did not.
    """

    reward: float = math.nan
    terminated: bool = False
    truncated: bool = False
    steps: int = 0
    task_id: str = ""
    integrity: IntegrityRecord = IntegrityRecord()
    meta_test: dict[str, ScoreRecord] | None = field(default=None, metadata=SOMETIMES)
    reward_parts: dict[str, Any] | None = field(default=None, metadata=SOMETIMES)
    infra_error: str | None = field(default=None, metadata=SOMETIMES)

    @classmethod
    def of(cls, event: EventRecord) -> Self:
        """The result of an episode that ended with ``event``."""
        info = event.info
        return cls(
            reward=event.reward,
            terminated=event.terminated,
            truncated=event.truncated,
            steps=event.step,
            task_id=info.task_id,
            integrity=info.integrity,
            meta_test=info.meta_test,
            reward_parts=info.reward_parts,
            infra_error=info.infra_error,
        )


class _Comparable(Protocol):
    @property
    def full(self) -> bool: ...
    @property
    def reward(self) -> float: ...
    @property
    def score(self) -> float: ...


_Run = TypeVar("_Run", bound=_Comparable)


def best_run(runs: Iterable[_Run]) -> _Run | None:
    """The best of the runs of an episode; None if there are none.

    A run on all meta-train datasets is better than one on some of them, whose mean says nothing about the others. Then
    the reward decides, which is what the objective makes of these scores; then the score. Where two runs have had
    different exams, and their rewards are what these are worth, they are compared in the exams that both have had. Of
    equal runs the first is the best: what the agent did after it has gained nothing, and to repeat a run, or to go on
    with changes that have no effect, must not change what is submitted or reported. A reward or score that is not a
    number is the worst.

    Args:
        runs: in the order of the episode; anything with ``full``, ``reward`` and ``score``, as :class:`RunRecord` has,
            and perhaps with its ``exams``.
    """
    best: _Run | None = None
    for run in runs:
        if best is None or _better(run, best):
            best = run
    return best


def _better(run: _Comparable, best: _Comparable) -> bool:
    if run.full != best.full:
        return run.full
    one, other = _exams(run), _exams(best)
    common = {
        dataset: numbers for dataset in one if (numbers := sorted(set(one[dataset]) & set(other.get(dataset, {}))))
    }
    if common and {name: set(each) for name, each in one.items()} != {name: set(each) for name, each in other.items()}:
        restricted = [
            _mean([_mean([exams[name][number] for number in numbers]) for name, numbers in common.items()])
            for exams in (one, other)
        ]
        return restricted[0] > restricted[1]
    return (_or_worst(run.reward), _or_worst(run.score)) > (_or_worst(best.reward), _or_worst(best.score))


def _exams(run: _Comparable) -> dict[str, dict[int, float]]:
    """What a run's exams are worth, if that is what its reward is made of."""
    exams: dict[str, dict[int, float]] = getattr(run, "exams", {})
    worth = _mean([_mean(list(each.values())) for each in exams.values() if each])
    return exams if math.isclose(worth, run.reward, rel_tol=1e-9, abs_tol=1e-9) else {}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _or_worst(value: float) -> float:
    return -math.inf if math.isnan(value) else value


@dataclass(frozen=True)
class EpisodeRecord:
    """A recorded episode: a run directory, read back.

    Attributes:
        directory: the run directory.
        task: the task.
        setup: how the environment was set up.
        result: how the episode ended; None before its end.
        events: resets and steps in order.
    """

    directory: Path
    task: Task
    setup: SetupRecord
    result: ResultRecord | None = None
    events: tuple[EventRecord, ...] = ()

    @classmethod
    def load(cls, directory: str | Path, *, events: bool = True) -> Self:
        """Read a run directory, of this version of the format or of an earlier one.

        Args:
            directory: the run directory.
            events: whether ``episode.jsonl`` is read too; it is large where learners print much.

        Raises:
            RunError: the folder is not a run, or a file of it is damaged or of a later version.
            TaskError: ``task.yaml`` is not a task.
        """
        directory = Path(directory)
        for name in (TASK, SETUP):
            if not (directory / name).is_file():
                raise RunError(f"{directory}: {name} is missing, so this is not a run directory")
            if (directory / name).is_symlink():
                raise RunError(f"{directory / name}: not a regular file; links are not followed")
        task, setup = Task.parse(directory / TASK), _read_json(directory / SETUP)
        if _version(setup) > VERSION:
            raise RunError(
                f"{directory}: recorded in version {_version(setup)} of the format; this discoenv reads versions up to "
                f"{VERSION}: install a later one"
            )
        try:
            parsed = SetupRecord.from_json(setup)
        except RunError as error:
            raise RunError(f"{directory / SETUP}: {error}") from None
        try:
            result = ResultRecord.from_json(_read_json(directory / RESULT)) if (directory / RESULT).is_file() else None
        except RunError as error:
            raise RunError(f"{directory / RESULT}: {error}") from None
        lines = jsonl.read(directory / EVENTS) if events else iter(())
        return cls(directory, task, parsed, result, tuple(map(EventRecord.from_json, lines)))

    def to_json(self) -> dict[str, Any]:
        """The whole record as plain values: ``version``, ``directory``, ``task``, ``setup``, ``result``, ``events``."""
        return {
            "version": VERSION,
            "directory": str(self.directory),
            "task": self.task.model_dump(mode="json"),
            "setup": self.setup.to_json(),
            "result": None if self.result is None else self.result.to_json(),
            "events": [event.to_json() for event in self.events],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """From what :meth:`to_json` gave.

        Raises:
            RunError, TaskError: it is something else.
        """
        for key in ("directory", "task", "setup", "events"):
            if key not in content:
                raise RunError(f"{key} is missing, so this is not the record of an episode")
        result = content.get("result")
        return cls(
            Path(content["directory"]),
            Task.parse(content["task"]),
            SetupRecord.from_json(content["setup"]),
            None if result is None else ResultRecord.from_json(result),
            tuple(map(EventRecord.from_json, content["events"])),
        )

    @property
    def runs(self) -> list[RunRecord]:
        """The ``run`` commands of the episode, in order."""
        return numbered_runs((event.step, event.info) for event in self.events)

    @property
    def best_run(self) -> RunRecord | None:
        """The best of :attr:`runs`; see :func:`best_run`."""
        return best_run(self.runs)

    def modules(self, step: int | None = None) -> dict[str, str]:
        """The modules as they were last, text by file name: what was, or would have been, submitted.

        Args:
            step: as they were after so many actions.

        Raises:
            RunError: none were recorded.
        """
        found = {}
        for path in sorted(self._modules_folder(step).glob("*.py")):
            with open_regular(path) as file:
                if file is not None:
                    try:
                        found[path.name] = file.read().decode()
                    except UnicodeDecodeError as error:
                        raise RunError(f"{path}: not UTF-8, so this is no module: {error}") from None
        return found

    def submission(self, step: int | None = None) -> dict[str, str]:
        """As :meth:`modules`, but those of the task and no others.

        Raises:
            RunError: one is missing, or there are others.
        """
        found, wanted = self.modules(step), {f"{name}.py" for name in self.task.modules}
        if found.keys() != wanted:
            raise RunError(
                f"{self._modules_folder(step)}: holds {', '.join(found) or 'no modules'}, but those of the task are "
                f"{', '.join(sorted(wanted))}; the run is damaged"
            )
        return found

    def _modules_folder(self, step: int | None) -> Path:
        folders = module_folders(self.directory)
        known = [number for number in folders if step is None or number <= step]
        if not known:
            raise RunError(f"{self.directory}: files/ is empty, so there is nothing to score")
        return folders[max(known)]

    def artifacts(self) -> list[ExamArtifacts]:
        """What examiners saved of the exams, by step; exams of which nothing was saved are not listed.

        Links are not followed.
        """
        root = self.directory / "exams"
        found = []
        for path in root.glob("step_*/**/*.npz"):
            below = [path, *path.parents][: len(path.relative_to(self.directory).parts)]
            if not path.is_file() or any(each.is_symlink() for each in below):
                continue
            step, *rest = path.parent.relative_to(root).parts
            if step[5:].isdecimal() and path.stem.isdecimal() and len(rest) > 1:
                found.append(ExamArtifacts(int(step[5:]), rest[0], "/".join(rest[1:]), int(path.stem), path))
        return sorted(found, key=lambda exam: (exam.step, exam.side, exam.dataset, exam.number))

    def owner_is_dead(self) -> bool:
        """Whether the process that wrote this run has ended; False where that cannot be judged, as elsewhere."""
        owner = self._owner()
        return owner.get("boot") == boot_id() != "" and is_abandoned(f"discoenv-{owner.get('process')}-run")

    @property
    def was_left(self) -> bool:
        """Whether the agent left before the episode had ended: it has no reward, and has not crashed."""
        return self.result is None and isinstance(self._owner().get("left"), str)

    def _owner(self) -> dict[str, Any]:
        try:
            owner = json.loads(read_text(self.directory / OWNER) or "")
        except (ValueError, RecursionError):
            return {}
        return owner if isinstance(owner, dict) else {}


def numbered_runs(steps: Iterable[tuple[int, StepRecord]]) -> list[RunRecord]:
    """The runs among steps, given as numbers of actions so far and infos."""
    runs: list[RunRecord] = []
    for step, info in steps:
        run = info.run(len(runs) + 1, step)
        runs += [] if run is None else [run]
    return runs


def trusted_packs(run: EpisodeRecord, *, trust: bool) -> tuple[str, ...]:
    """Folders of the packs that a run needs.

    A run directory may come from anywhere, and loading a pack runs its code.

    Raises:
        RunError: it needs some, and the user did not say that they are to be trusted.
    """
    packs = run.setup.packs
    if packs and not trust:
        raise RunError(
            f"{run.directory}: the run names packs of domains, whose code would be run: {', '.join(packs)}. If you "
            "know them, give --trust (in Python: trust=True)"
        )
    return packs


def module_folders(directory: Path) -> dict[int, Path]:
    """Folders of a run directory with the modules as they were after a step, by step; 0 is the start.

    There is one for each step that changed them. Links are not followed.
    """
    root = directory / "files"
    if root.is_symlink():
        return {}
    found = [path for path in root.glob("step_*") if path.name[5:].isdecimal() and path.is_dir()]
    return {int(path.name[5:]): path for path in found if not path.is_symlink()}


def _read_json(path: Path) -> dict[str, Any]:
    text = read_text(path, most=256 << 20)
    if text is None:
        raise RunError(f"{path}: not a regular file; links are not followed")
    try:
        content = loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path}: expected a JSON object, not {type(content).__name__}")
    return content
