"""One recorded run as the page shows it: an overview that is cheap to send again, and each step in full on demand."""

from __future__ import annotations

import datetime
import math
import time
from pathlib import Path
from typing import Any

from discoenv.episodes.jsonl import Json, JsonLines, NotThere
from discoenv.episodes.record import (
    EVENTS,
    OWNER,
    RESULT,
    SETUP,
    TASK,
    EpisodeRecord,
    EventRecord,
    ExamRecord,
    ResultRecord,
    RunRecord,
    ScoreRecord,
    best_run,
    module_folders,
)
from discoenv.errors import RunError, TaskError
from discoenv.machine.regular import open_regular, read_text
from discoenv.scoring.comparison import compare
from discoenv.viewer import diffs
from discoenv.viewer.calls import Calls
from discoenv.viewer.plain import mapping, number, sequence, total

#: A run that its process neither ended nor added to for so long counts as crashed, seconds.
STALE_S = 6 * 3600.0
#: A step carries at most this much of a dataset's output; the rest is fetched on demand.
OUTPUT_CHARACTERS = 20_000
#: Kinds of pictures that are shown, by the ends of their names.
PICTURES = {".png": "image/png", ".gif": "image/gif"}
MOST_PICTURE_BYTES = 32 << 20


class EpisodeView:
    """A run directory, read again whenever it has changed.

    Attributes:
        directory: the run directory.
        steps: one record per step, without texts and outputs.
        calls: calls of language models.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.calls = Calls(directory)
        self.steps: list[Json] = []
        self._events = JsonLines(directory / EVENTS)
        self._runs: list[RunRecord] = []
        self._best: RunRecord | None = None
        self._rows: list[int] = []
        self._generation = 0
        self._state: object = None
        self._record: EpisodeRecord | None = None
        self._problem = ""
        self._files: dict[int, dict[str, str]] = {}

    def update(self) -> bool:
        """Read what is new. Returns whether anything was."""
        state = tuple(_stamp(self.directory / name) for name in (EVENTS, RESULT, TASK, OWNER))
        changed = self.calls.update()
        if state == self._state:
            return changed
        self._state = state
        try:
            self._record, self._problem = EpisodeRecord.load(self.directory, events=False), ""
        except (RunError, TaskError, OSError) as error:
            self._record, self._problem = None, str(error)
        for line in self._events.new():
            if self._events.generation != self._generation:
                self._generation, self.steps, self._rows, self._files = self._events.generation, [], [], {}
                self._runs, self._best = [], None
            event = EventRecord.from_json(line)
            step = event.step if isinstance(line.get("step"), int) else len(self.steps)
            self.steps.append({**_light(event, len(self.steps), step), **self._compared(event, step)})
            self._rows.append(len(self._events) - 1)
        return True

    def _compared(self, event: EventRecord, step: int) -> Json:
        """The score of the best run so far, after a run, and whether this is it."""
        run = event.info.run(len(self._runs) + 1, step)
        if run is None:
            return {"best": None, "is_best": False}
        self._runs.append(run)
        self._best = best_run([run] if self._best is None else [self._best, run])
        return {"best": self._best and number(self._best.score), "is_best": self._best is run}

    @property
    def result(self) -> ResultRecord | None:
        """How the episode ended; None before the end."""
        return self._record.result if self._record else None

    @property
    def status(self) -> str:
        """``running``, ``done``, ``left``, ``crashed``, ``infra_error`` or ``unreadable``."""
        if self._record is None:
            return "unreadable"
        if self.result is not None:
            return "infra_error" if self.result.infra_error else "done"
        if self._record.was_left:
            return "left"
        written = [_stamp(self.directory / name)[0] / 1e9 for name in (SETUP, EVENTS)]
        idle = time.time() - max(*written, self.calls.modified_s)
        return "crashed" if idle > STALE_S or self._record.owner_is_dead() else "running"

    def summary(self) -> Json:
        """What a list of runs shows."""
        task: Json = self._record.task.model_dump(mode="json") if self._record else {}
        setup = self._record.setup if self._record else None
        scores = [step["score"] for step in self.steps if step["score"] is not None]
        return {
            "name": self.directory.name,
            "status": self.status,
            "problem": self._problem,
            "task": task,
            "task_id": setup and setup.task_id,
            "sandbox": setup and setup.sandbox,
            "max_steps": setup and setup.max_steps,
            "steps": max((step["step"] for step in self.steps), default=0),
            "score": scores[-1] if scores else None,
            "best": self._best and number(self._best.score),
            "scores": scores,
            "reward": number(self.result.reward) if self.result else None,
            "started": self.steps[0]["time"] if self.steps else None,
            "ended": self.steps[-1]["time"] if self.steps else None,
            "costs": self._costs(),
            "agent": self.calls.agent,
            "model": self.calls.model,
        }

    def overview(self, after: int = 0) -> Json:
        """The run without texts, outputs and files; its steps from index ``after`` on."""
        for index in range(after, len(self.steps)):
            if self.steps[index]["files"] is None:
                self.steps[index]["files"] = self._counts(index)
        return {
            **self.summary(),
            "directory": str(self.directory),
            "generation": self._generation,
            "setup": self._record.setup.to_json() if self._record else {},
            "integrity": self._integrity(),
            "reward_parts": (self.result and self.result.reward_parts) or {},
            "infra_error": self.result and self.result.infra_error,
            "truncated": self.result is not None and self.result.truncated,
            "history": self.history(),
            "pictures": sorted(self._pictures()),
            "agent_facts": self.calls.facts,
            "first": after,
            "list": self.steps[after:],
        }

    def history(self) -> list[Json]:
        """Each run, and how it differs from the best one in the exams that both have had."""
        return [
            {
                "run": run.number,
                "step": run.step,
                "datasets": list(run.datasets),
                "exams": sum(map(len, run.exams.values())),
                "score": number(run.score),
                "reward": number(run.reward),
                "same_as": run.same_as,
                "is_best": run is self._best,
                "difference": None if self._best is None or run is self._best else _difference(run, self._best),
            }
            for run in self._runs
        ]

    def step(self, index: int) -> Json:
        """Everything about one step, with outputs cut to their last :data:`OUTPUT_CHARACTERS`."""
        event = self._event(index)
        return {
            **self.steps[index],
            "text": event.text,
            "refused_action": event.action if isinstance(event.action, str) else None,
            "scores": {side: _shown(scores) for side, scores in _sides(event).items() if scores},
            "diff": self.diff(index - 1, index) if index else [],
            "start_files": self.files(0) if index == 0 else {},
        }

    def output(self, index: int, side: str, dataset: str) -> str:
        """All that a step's learner printed on one dataset, in the exam whose output is shown."""
        score = _sides(self._event(index)).get(side, {}).get(dataset, ScoreRecord())
        return _printed(score)

    def diff(self, before: int, after: int) -> list[Json]:
        """What changed between two steps, by index."""
        return diffs.compare(self.files(before), self.files(after))

    def files(self, index: int) -> dict[str, str]:
        """The modules as they were after a step (0: at the start); index −1 is the last."""
        if not -1 <= index < len(self.steps):
            raise NotThere(f"{self.directory.name} has no step {index}")
        number_ = self.steps[index]["step"] if self.steps else 0
        folders = module_folders(self.directory)
        chosen = max((step for step in folders if step <= number_), default=None)
        if chosen is None:
            return {}
        if chosen not in self._files:
            self._files[chosen] = {path.name: read_text(path) or "" for path in sorted(folders[chosen].glob("*.py"))}
        return self._files[chosen]

    def picture(self, name: str) -> bytes:
        """One picture of ``pictures/``, by its file name."""
        found = self._pictures().get(name)
        if found is None:
            raise NotThere(f"{self.directory.name} has no picture {name!r}")
        with open_regular(found) as file:
            return b"" if file is None else file.read(MOST_PICTURE_BYTES)

    def _pictures(self) -> dict[str, Path]:
        folder = self.directory / "pictures"
        if folder.is_symlink():
            return {}
        return {path.name: path for path in folder.glob("*") if path.suffix in PICTURES and not path.is_symlink()}

    def _event(self, index: int) -> EventRecord:
        if not 0 <= index < len(self._rows):
            raise NotThere(f"{self.directory.name} has no step {index}")
        return EventRecord.from_json(self._events.read(self._rows[index]))

    def _counts(self, index: int) -> list[Json]:
        return diffs.counts(self.files(index - 1), self.files(index)) if index else []

    def _integrity(self) -> Json:
        if self.result is None and not self._rows:
            return {}
        return (self.result or self._event(0).info).integrity.to_json()

    def _costs(self) -> Json:
        exams = [step["costs"] for step in self.steps]
        return {
            "seconds": total([each["seconds"] for each in exams]),
            "joules": total([each["joules"] for each in exams]),
            "exams": sum(each["exams"] for each in exams),
            "wall_s": _span(self.steps),
            **self.calls.totals(),
        }


def _light(event: EventRecord, position: int, step: int) -> Json:
    info, action = event.info, mapping(event.action)
    exams = [exam for scores in _sides(event).values() for score in scores.values() for exam in score.exams]
    return {
        "index": position,
        "step": step,
        "event": event.event,
        "time": event.time,
        "command": _text(action.get("command")) or None,
        "datasets": sequence(action.get("datasets")),
        "files": None,  # counted when the step is looked at
        "score": number(info.score),
        "meta_train": _points(info.meta_train),
        "meta_test": _points(info.meta_test),
        "reward": number(event.reward),
        "ended": event.terminated or event.truncated,
        "truncated": event.truncated,
        "refused": info.refused or None,
        "same_as": info.same_as,
        "infra_error": info.infra_error or None,
        "duration_s": number(info.duration_s),
        "costs": {
            "seconds": total([exam.seconds for exam in exams]),
            "joules": total([exam.joules for exam in exams]),
            "exams": len(exams),
        },
    }


def _difference(run: RunRecord, best: RunRecord) -> Json:
    """A run against the best one, as numbers."""
    found = compare(run.exams, best.exams, spreads=run.spreads)
    numbers = {name: number(getattr(found, name)) for name in ("difference", "low", "high", "probability")}
    return {**numbers, "exams": found.exams, "verdict": found.verdict}


def _sides(event: EventRecord) -> dict[str, dict[str, ScoreRecord]]:
    return {"meta_train": event.info.meta_train or {}, "meta_test": event.info.meta_test or {}}


def _points(scores: dict[str, ScoreRecord] | None) -> Json:
    """What a chart needs of each dataset."""
    return {
        dataset: {
            "normalised": number(score.normalised),
            "standard_error": number(score.standard_error),
            "ok": score.ok,
        }
        for dataset, score in (scores or {}).items()
    }


def _shown(scores: dict[str, ScoreRecord]) -> Json:
    """Scores as JSON; of what was printed only the end, in one exam."""
    shown = {}
    for dataset, score in scores.items():
        content, printed = score.to_json(), _printed(score)
        for exam in content["exams"]:
            del exam["stdout"]
        shown[dataset] = {
            **content,
            "stdout": printed[-OUTPUT_CHARACTERS:],
            "stdout_characters": len(printed),
        }
    return shown


def _printed(score: ScoreRecord) -> str:
    """The most useful output: that of the first exam that failed, or else of the last."""
    failed = [exam for exam in score.exams if exam.status != "ok" and exam.stdout]
    return (failed or score.exams[-1:] or (ExamRecord(),))[0].stdout


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _stamp(path: Path) -> tuple[int, int]:
    """Time of the last change in nanoseconds, and size; zeros if there is no such file."""
    try:
        status = path.lstat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _span(steps: list[Json]) -> float | None:
    """Seconds from the first event to the last."""
    try:
        first, last = (datetime.datetime.fromisoformat(steps[end]["time"]) for end in (0, -1))
        span = (last - first).total_seconds()
    except (IndexError, TypeError, ValueError):
        return None
    return span if math.isfinite(span) else None
