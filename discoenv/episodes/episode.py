"""A task being played: what an action changes, when the episode ends, what it earns, and its record."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from discoenv import arguments, module_code, objectives
from discoenv.episodes import feedback
from discoenv.episodes.action import Action, apply_edits, parse_action
from discoenv.episodes.evaluation import Evaluation, RunStopped
from discoenv.episodes.finished import read as finished_exams
from discoenv.episodes.history import History
from discoenv.episodes.journal import Journal
from discoenv.episodes.record import (
    EventRecord,
    IntegrityRecord,
    OriginRecord,
    RunRecord,
    SetupRecord,
    StepRecord,
    best_run,
    score_records,
)
from discoenv.episodes.recorder import Recorder
from discoenv.errors import ActionError, EpisodeLeft, InfraError, RewardFailed
from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.exams.spec import Progress, RunningExam
from discoenv.machine import forks
from discoenv.machine.hardware import fingerprint
from discoenv.scoring import comparison
from discoenv.scoring.scores import Score, Scoring
from discoenv.tasks.registry import spelling
from discoenv.tasks.task import Side, Task
from discoenv.tasks.workspace import initial_modules
from discoenv.text import printable, shown

Info = dict[str, Any]
#: Free actions (``history``, ``compare``, a repeated ``run``) per action that an episode has; more of them are charged,
#: so that every episode ends.
FREE_PER_ACTION: Final = 5
_MAX_STEPS = "an episode needs at least 1 action, a whole number of them"
_COMPUTE_BUDGET = "it must be a positive number of seconds; None is no limit"


@dataclass(frozen=True)
class EpisodeLimits:
    """What bounds an episode, and how its costs are measured.

    Attributes:
        max_steps: actions per episode.
        budget_scale: compute budget of one exam, as a multiple of the CPU seconds of the baseline, beside an allowance
            for start and compilation.
        compute_budget_s: seconds of compute that exams may spend over all ``run`` commands of the episode, counted as
            for the budget of one; None: unlimited.
        max_file_bytes: largest module, in bytes of UTF-8.
        paired: under any objective, exams run alone on the machine, and the baseline is measured anew right after the
            exams of each dataset, with their seeds.
        max_seeds: exams per dataset that one ``run`` may ask for; at least as many as the task says.

    Raises:
        ArgumentError: a limit is of the wrong kind, or leaves nothing to do.
    """

    max_steps: int = 10
    budget_scale: float = 2.0
    compute_budget_s: float | None = None
    max_file_bytes: int = 64 << 10
    paired: bool = False
    max_seeds: int = 8

    def __post_init__(self) -> None:
        budget_s = self.compute_budget_s
        checked: dict[str, Any] = {
            "max_steps": arguments.integer("max_steps", self.max_steps, least=1, why=_MAX_STEPS),
            "budget_scale": arguments.number("budget_scale", self.budget_scale, above=0),
            "compute_budget_s": budget_s
            if budget_s is None
            else arguments.number("compute_budget_s", budget_s, above=0, why=_COMPUTE_BUDGET),
            "max_file_bytes": arguments.integer("max_file_bytes", self.max_file_bytes, least=1),
            "max_seeds": arguments.integer("max_seeds", self.max_seeds, least=1),
            "paired": arguments.flag("paired", self.paired),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # as plain Python values, which records can hold


class Step(NamedTuple):
    """What an action came to, as Gymnasium's ``step`` returns it after the observation."""

    reward: float
    terminated: bool
    truncated: bool
    info: Info


@dataclass(frozen=True)
class PlayedRun:
    """A ``run`` of an episode.

    Attributes:
        record: what it came to.
        modules: text of the editable files, by file name.
    """

    record: RunRecord
    modules: Mapping[str, str]


def compared(one: RunRecord, other: RunRecord) -> comparison.Comparison:
    """Two runs of an episode in the exams that both have had."""
    return comparison.compare(one.exams, other.exams, spreads=one.spreads)


class Episode:
    """One episode of a task on a host. Close it.

    Args:
        task: what is played.
        host: where its exams run. It is not closed with the episode.
        seed: fixes the seeds of all exams; 0 ≤ seed < 2⁶³.
        limits: what bounds it.
        scoring: what scores are compared with, and what they are worth.
        reward_fn: replaces the objective's reward: returns a :class:`Reward`, or the number alone.
        runs_dir: where the run directory is written; None keeps no record.
        on_progress: called at the start and the end of each exam, by the thread that called :meth:`act`.
        history: what happened before, if the episode goes on from there. Its run directory holds that, too.

    Attributes:
        modules: text of the editable files, by file name.
        score: mean normalised score of the last ``run`` over the datasets that it ran; 0 before the first.
        steps: actions taken so far; see :data:`FREE_PER_ACTION` for those that do not count.
        runs: each ``run`` so far.
        text: what the agent should read now.
        over: whether the episode has ended.

    Raises:
        NoBaseline: a dataset of the task has not been calibrated.
        RecordError: nothing can be recorded in ``runs_dir``.
        InfraError: the workspace cannot be written.
    """

    def __init__(
        self,
        task: Task,
        host: Host,
        *,
        seed: int,
        limits: EpisodeLimits,
        scoring: Scoring = Scoring(),  # noqa: B008 - it cannot be changed
        reward_fn: objectives.SimpleRewardFunction | None = None,
        runs_dir: Path | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        history: History | None = None,
    ) -> None:
        begin = time.monotonic()
        self.task = task
        self.limits = limits
        self.scoring = scoring
        self._host = host
        self._reward_fn = reward_fn
        self._seed = seed
        self._owner = os.getpid()
        self._on_progress = on_progress
        finished = _Finished()
        self._evaluation = Evaluation(
            task,
            host,
            seed=seed,
            budget_scale=limits.budget_scale,
            costs=objectives.get(task.objective).measured,
            paired=limits.paired,
            scoring=scoring,
            on_progress=on_progress,
            on_finished=finished,
        )
        self._closing = forks.finalize(self, self._evaluation.close)
        try:
            self._begin(runs_dir, history)
        except BaseException:
            self._closing()
            raise
        finished.journal = self._journal
        self.over = False
        self._last = self._report(begin) if history is None else replace(history.last.info, **self._places())
        if history is None:
            self._journal.event(EventRecord(event="reset", text=self.text, info=self._last))

    def _begin(self, runs_dir: Path | None, history: History | None) -> None:
        """Set what actions change, as it is at the start or was at the end of the history."""
        about = self._about()
        if history is not None:
            if history.exams is None:
                assert history.source is not None
                exams = finished_exams(history.source, self._host.secret, about, self._evaluation.seed)
                history = replace(history, exams=tuple(exams))
            self._evaluation.resume(history.exams or (), history.step, max(0.0, history.last.info.compute_spent_s))
        self.modules = initial_modules(self.task) if history is None else history.files
        self.score = 0.0 if history is None else history.score
        self.steps = 0 if history is None else history.step
        self.runs = [] if history is None else [PlayedRun(run, modules) for run, modules in history.runs]
        self._free = 0 if history is None else history.free
        self.text = self._introduction() if history is None else history.last.text
        recorder = None if runs_dir is None else Recorder(runs_dir, self.task, self._setup(history))
        self._journal = Journal(recorder, self._host.secret, about, history)
        if history is None:
            self._journal.modules(self.modules)
        else:
            self._evaluation.place(self.modules)

    @property
    def steps_left(self) -> int:
        """Actions left."""
        return max(0, self.limits.max_steps - self.steps)

    @property
    def info(self) -> Info:
        """What is reported of the last reset or step: a :class:`StepRecord` as plain values."""
        return self._last.to_json()

    @property
    def run_directory(self) -> Path | None:
        """Where the episode is recorded; None without a record."""
        return self._journal.directory

    @property
    def history(self) -> History:
        """All that has happened so far."""
        return self._journal.history

    def fork(self, runs_dir: Path | None) -> Episode:
        """A second episode that goes on from the present step, with the same seeds; close both.

        Args:
            runs_dir: where its run directory is written, which holds what has happened so far, too; None keeps none.

        Raises:
            ValueError: the episode is over.
            RecordError, InfraError: as for an episode that begins.
        """
        if self.over:
            raise ValueError("the episode is over, so there is nothing to go on with: fork it before its last step")
        return Episode(
            self.task,
            self._host,
            seed=self._seed,
            limits=self.limits,
            scoring=self.scoring,
            reward_fn=self._reward_fn,
            runs_dir=runs_dir,
            on_progress=self._on_progress,
            history=self.history,
        )

    def save(self, directory: Path) -> None:
        """Write all that has happened so far into a run directory, from which the episode can be restored.

        Args:
            directory: a folder that does not exist yet, or is empty.

        Raises:
            RecordError: it cannot be written.
        """
        history = self.history
        recorder = Recorder(directory.parent, self.task, self._setup(history), directory=directory)
        Journal(recorder, self._host.secret, self._about(), history)

    def act(self, action: Any) -> Step:
        """Apply an action. One that cannot be taken changes nothing, says why in ``text``, and counts.

        Raises:
            EpisodeLeft: :meth:`end` was called meanwhile. The action is not recorded.
            RewardFailed: the reward function raised, or returned no reward. The action counts, its scores are in the
                record, and the episode is not over: an action that repeats its exams takes their results from memory.
            InfraError: this process is a child of the one that began the episode.
        """
        self._require_owner()
        begin = time.monotonic()
        parsed, outcome = self._apply(action)
        command = None if parsed is None else parsed.command
        free = parsed is not None and self._costs_nothing(parsed)
        self._free += free
        self.steps += not free
        self._journal.step = self.steps
        reward, terminated, truncated = 0.0, False, False
        failure: RewardFailed | None = None
        try:
            if outcome.get("changed") and command != "run":  # which writes them, too
                self._evaluation.place(self.modules)
            if parsed is not None and command == "run":
                self._run(parsed, outcome, free=free)
            if parsed is not None and command == "history":
                self.text = feedback.history(self._records)
            if parsed is not None and command == "compare":
                outcome |= self._compare(parsed.runs)
            terminated = command == "submit"
            truncated = not terminated and self._spent()
            if terminated or truncated:
                reward = self._score_meta_test(outcome)
        except RewardFailed as error:
            failure, terminated, truncated = error, False, False
            outcome["reward_error"] = str(error)
        except InfraError as error:
            if self.over:
                raise EpisodeLeft("the episode was closed before the action was carried out") from error
            reward, terminated, truncated = 0.0, False, True
            outcome["infra_error"] = str(error)
            self.text = f"The machine failed, and the episode ends without a score: {error}\n"
        self.text = printable(self.text)  # learners say what they like
        report = self._report(begin, **outcome)
        if not free:  # else there are files of this step: the action itself says what it changed
            self._journal.modules(self.modules)
        self._journal.event(
            EventRecord(
                event="step",
                step=self.steps,
                action=parsed.record() if parsed else shown(action, 10_000),
                text=self.text,
                reward=reward,
                terminated=terminated,
                truncated=truncated,
                info=report,
            )
        )
        self.over = terminated or truncated
        self._last = replace(report, record_error=self._journal.problem)
        if failure is not None:
            raise failure
        return Step(reward, terminated, truncated, self.info)

    def stop_run(self) -> bool:
        """Stop the ``run`` that goes on, from any thread; it counts as an action. Whether there was one to stop."""
        return self._evaluation.stop()

    @property
    def running(self) -> list[RunningExam]:
        """The exams of the action that another thread takes; none between actions."""
        return self._evaluation.running

    def end(self) -> None:
        """End what runs. The episode can be looked at, and cannot go on. Safe to call again.

        If it has not ended, it is recorded as left: without a reward.
        """
        left, self.over = not self.over, True
        try:
            if left and os.getpid() == self._owner:
                self._journal.left()
        finally:
            self.close()

    def close(self) -> None:
        """End what runs, write what is not written yet, and remove the temporary files. Safe to call again."""
        self._closing()
        if os.getpid() == self._owner:
            self._journal.close()

    def _examine(self, side: Side, datasets: Sequence[str] = (), seeds: int | None = None) -> list[Score]:
        """Train and examine the modules as they are now; see :meth:`Evaluation.examine`."""
        scores = self._evaluation.examine(self.modules, side, datasets, seeds)
        for result in (result for score in scores for result in score.results):
            self._journal.artifacts(side, result)
        return scores

    def _apply(self, action: Any) -> tuple[Action | None, Info]:
        """Parse an action and apply its edits; (None, …) if it was refused."""
        try:
            parsed = parse_action(action)
            self._check(parsed)
            modules = apply_edits(
                self.modules, parsed.edits, self.limits.max_file_bytes, self._evaluation.domain.importable
            )
        except ActionError as error:
            self.text = feedback.refused(str(error))
            return None, {"refused": str(error)}
        changed = sorted(name for name, text in modules.items() if text != self.modules[name])
        self.modules = modules
        self.text = feedback.edited(changed)
        return parsed, {"changed": tuple(changed)}

    def _check(self, action: Action) -> None:
        """What an action chooses has to be there.

        Raises:
            ActionError: it is not.
        """
        known = self.task.meta_train
        for name in action.datasets:
            if name not in known:
                raise ActionError(f"{shown(name)} is not a meta-train dataset; they are {', '.join(known)}")
        most = max(self.limits.max_seeds, self.task.train_seeds)
        if action.seeds is not None and action.seeds > most:
            raise ActionError(f"seeds is {action.seeds}; a run may have at most {most} exams per dataset")
        if action.race and not self.runs:
            raise ActionError("there is no earlier run to race against: run the first files without race")
        if action.command == "compare" and len(self.runs) < 2:
            raise ActionError(f"two runs are needed to compare; there were {len(self.runs)} so far")
        for number in action.runs:
            if not 1 <= number <= len(self.runs):
                raise ActionError(f"there is no run {number}; there were {len(self.runs)} runs so far")

    def _costs_nothing(self, action: Action) -> bool:
        """Whether an action trains nothing, and there were not too many of the kind."""
        if self._free >= FREE_PER_ACTION * self.limits.max_steps:
            return False
        if action.command in ("history", "compare"):
            return True
        return action.command == "run" and self._same_as(action) is not None

    def _same_as(self, action: Action) -> int | None:
        """Number of the first run of the present files, if all exams that a run asks for have been held."""
        if not self._evaluation.is_known(self.modules, action.datasets, action.seeds):
            return None
        return next((run.record.number for run in self.runs if run.modules == self.modules), None)

    @property
    def _records(self) -> list[RunRecord]:
        return [run.record for run in self.runs]

    def _run(self, action: Action, outcome: Info, *, free: bool) -> None:
        """Train and examine on the meta-train side; what it comes to is added to ``outcome`` as it is known."""
        try:
            best, same_as = best_run(self._records), self._same_as(action)
            race: comparison.Race | None = None
            if action.race and best is not None and same_as is None:
                scores, race = self._race(action, self.runs[best.number - 1])
            elif free:  # what examiners saved has been recorded
                scores = self._evaluation.examine(self.modules, "meta_train", action.datasets, action.seeds)
            else:
                scores = self._examine("meta_train", action.datasets, action.seeds)
        except RunStopped as stop:
            self.text += feedback.stopped(stop.results, stop.total) + f"\n{self._left()}\n"
            outcome["stopped"] = str(stop)
            return
        self.score = float(np.mean([score.normalised for score in scores]))
        outcome |= {"meta_train": score_records(scores), "score": self.score}
        reward = self._reward(scores)
        outcome["meta_train_reward"] = reward.value
        if same_as is not None:
            outcome["same_as"] = same_as
        scored = {key: outcome[key] for key in ("meta_train", "score", "meta_train_reward")}
        record = StepRecord(task=self.task.model_dump(mode="json"), same_as=same_as, **scored).run(
            len(self.runs) + 1, self.steps
        )
        assert record is not None
        total = len(self.task.meta_train)
        part = f" over {len(scores)} of {total} datasets" if len(scores) < total else ""
        self.text = feedback.report(scores, title=f"Meta-train scores (mean normalised {self.score:.3f}{part})")
        self.text += feedback.objective(self.task, reward)
        if same_as is not None:
            self.text = f"{feedback.same_as(same_as, free=free)}\n{self.text}"
        elif best is not None:
            found = race.comparison if race else compared(record, best)
            self.text += f"\n{feedback.compared(record.number, best.number, found, best=True)}"
            ended = {"seeds": race.seeds, "ended": race.ended} if race else {}
            outcome["comparison"] = {**_plain(found, record.number, best.number), **ended}
            if race:
                self.text += feedback.raced(race, action.seeds or self.limits.max_seeds)
        self.runs.append(PlayedRun(record, dict(self.modules)))
        self.text += f"\n{self._left()}\n"

    def _left(self) -> str:
        return feedback.left(self.steps_left, self._compute_left_s())

    def _race(self, action: Action, best: PlayedRun) -> tuple[list[Score], comparison.Race]:
        """Examine the present files and those of the best run with more and more seeds, until one is found better."""
        scores: list[Score] = []

        def examine(seeds: int) -> tuple[comparison.Worths, comparison.Worths]:
            nonlocal scores
            other = self._evaluation.examine(best.modules, "meta_train", action.datasets, seeds)
            scores = self._evaluation.examine(self.modules, "meta_train", action.datasets, seeds)
            return _worths(scores), _worths(other)

        def go_on() -> bool:
            seconds = self._compute_left_s()
            return seconds is None or seconds > 0

        most = action.seeds or self.limits.max_seeds
        race = comparison.race(examine, most=most, first=min(most, self.task.train_seeds), go_on=go_on)
        self._examine("meta_train", action.datasets, race.seeds)  # known by now: for the record
        return scores, race

    def _compare(self, numbers: Sequence[int]) -> Info:
        records = self._records
        if numbers:
            one, other = (records[number - 1] for number in numbers)
        else:
            one = records[-1]
            best = best_run(records[:-1])
            assert best is not None
            other = best
        found = compared(one, other)
        self.text = feedback.compared(one.number, other.number, found)
        return {"comparison": _plain(found, one.number, other.number)}

    def _score_meta_test(self, outcome: Info) -> float:
        """The episode's reward; what it is made of is added to ``outcome`` as it is known."""
        scores = self._examine("meta_test")
        outcome["meta_test"] = score_records(scores)
        reward = self._reward(scores)
        outcome["reward_parts"] = dict(reward.parts)
        text = feedback.report(scores, title=f"Meta-test scores (reward {reward.value:.3f})")
        self.text = f"{self.text}\n{text}{feedback.objective(self.task, reward)}"
        return reward.value

    def _reward(self, scores: Sequence[Score]) -> objectives.Reward:
        function = self._reward_fn or objectives.get(self.task.objective).reward
        try:
            return objectives.compute(function, self.task, scores, dict(self.modules))
        except RewardFailed as error:
            kept = f" and in {self.run_directory}" if self.run_directory else ""
            raise RewardFailed(
                f"{error}. The results of the exams are kept here{kept}: correct the function, then repeat the action"
            ) from error.__cause__

    def _spent(self) -> bool:
        seconds = self._compute_left_s()
        return self.steps_left <= 0 or (seconds is not None and seconds <= 0)

    def _compute_left_s(self) -> float | None:
        """What is left of the compute budget, in seconds; None without one."""
        budget_s = self.limits.compute_budget_s
        return None if budget_s is None else budget_s - self._evaluation.spent_s

    def _report(self, begin: float, **outcome: Any) -> StepRecord:
        """What the environment reports of a reset or step that began at ``begin``, with what it came to."""
        sandbox, integrity = self._host.sandbox, self._evaluation.domain.specification.integrity
        return StepRecord(
            task=self.task.model_dump(mode="json"),
            task_id=self.task.task_id,
            **self._places(),
            integrity=IntegrityRecord(
                level=integrity.level if sandbox.isolated else "self-reported",
                sandbox=sandbox.name,
                notes=tuple(integrity.notes),
                flags=tuple(flag for name, text in self.modules.items() for flag in module_code.flags(text, name)),
            ),
            device=self._evaluation.device,
            compute_spent_s=self._evaluation.spent_s,
            duration_s=time.monotonic() - begin,
            **outcome,
        )

    def _require_owner(self) -> None:
        if os.getpid() != self._owner:
            raise InfraError(
                f"the episode is one of process {self._owner}, whose child this is: save() it there and restore() it "
                "here, in an environment made here"
            )

    def _places(self) -> dict[str, Any]:
        """What the environment reports of folders."""
        return {
            "workspace": str(self._evaluation.workspace),
            "run_directory": None if self.run_directory is None else str(self.run_directory),
        }

    def _introduction(self) -> str:
        return feedback.introduction(
            self.task,
            max_steps=self.limits.max_steps,
            budgets={dataset: self._evaluation.budget_s(dataset) for dataset in self.task.meta_train},
            hidden_costs=self._evaluation.hidden_costs(),
            max_file_bytes=self.limits.max_file_bytes,
            compute_budget_s=self.limits.compute_budget_s,
        ) + feedback.scoring(self.task, self._evaluation.entries, self.scoring)

    def _about(self) -> dict[str, str | int]:
        """What the results of exams depend on, beside modules, side, dataset and number."""
        alone = self._evaluation.compares_costs
        return {
            "task": self.task.task_id,
            "episode": self._seed,
            "sandbox": self._host.sandbox.name,
            "device": self._evaluation.device,
            "budget_scale": repr(self.limits.budget_scale),
            "machine": fingerprint() if alone else "any",
        }

    def _setup(self, history: History | None) -> SetupRecord:
        domain = self._evaluation.domain
        origin = None
        if history is not None:
            origin = OriginRecord("" if history.source is None else history.source.name, history.step)
        return SetupRecord(
            episode_seed=self._seed,
            task_id=self.task.task_id,
            sandbox=self._host.sandbox.name,
            device=self._evaluation.device,
            budget_scale=self.limits.budget_scale,
            max_steps=self.limits.max_steps,
            compute_budget_s=self.limits.compute_budget_s,
            packs=(spelling(domain),) if domain.pack else (),
            reward_fn=None if self._reward_fn is None else objectives.function_name(self._reward_fn),
            secret=self._host.secret.commitment,
            max_file_bytes=self.limits.max_file_bytes,
            paired=self.limits.paired,
            max_seeds=self.limits.max_seeds,
            origin=origin,
            reference=self.scoring.reference,
            transform=self.scoring.transform,
        )


class _Finished:
    """Hands finished exams to the journal, without holding the episode, which could else not be collected."""

    journal: Journal

    def __call__(self, digest: str, side: Side, result: ExamResult) -> None:
        self.journal.exam(digest, side, result)


def _worths(scores: Sequence[Score]) -> dict[str, dict[int, float]]:
    return {dataset: record.worths for dataset, record in score_records(scores).items()}


def _plain(found: comparison.Comparison, one: int, other: int) -> dict[str, Any]:
    """A comparison of two runs as JSON."""
    return {"runs": [one, other], **asdict(found), "datasets": list(found.datasets), "verdict": found.verdict}
