"""One recorded run as the page shows it: an overview that is cheap to send again, and each step in full on demand."""

from __future__ import annotations

import datetime
import math
import time
from pathlib import Path
from typing import Any

from discoenv.episodes.jsonl import Json, JsonLines, NotThere
from discoenv.episodes.record import Run
from discoenv.errors import RunError, TaskError
from discoenv.machine.regular import open_regular, read_text
from discoenv.viewer import diffs
from discoenv.viewer.calls import Calls
from discoenv.viewer.plain import mapping, number, sequence, total

#: A run that its process neither ended nor added to for so long counts as crashed, seconds.
STALE_S = 6 * 3600.0
#: A step carries at most this much of a dataset's output; the rest is fetched when somebody asks for it.
OUTPUT_CHARACTERS = 20_000
#: Kinds of pictures that are shown, by the ends of their names.
PICTURES = {".png": "image/png", ".gif": "image/gif"}
MOST_PICTURE_BYTES = 32 << 20
SIDES = ("meta_train", "meta_test")


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
        self._events = JsonLines(directory / "episode.jsonl")
        self._rows: list[int] = []
        self._generation = 0
        self._state: object = None
        self._run: Run | None = None
        self._problem = ""
        self._files: dict[int, dict[str, str]] = {}

    def update(self) -> bool:
        """Read what is new. Returns whether anything was."""
        state = tuple(_stamp(self.directory / name) for name in ("episode.jsonl", "result.json", "task.yaml"))
        changed = self.calls.update()
        if state == self._state:
            return changed
        self._state = state
        try:
            self._run, self._problem = Run(self.directory), ""
        except (RunError, TaskError, OSError) as error:
            self._run, self._problem = None, str(error)
        for event in self._events.new():
            if self._events.generation != self._generation:
                self._generation, self.steps, self._rows, self._files = self._events.generation, [], [], {}
            self.steps.append(_light(event, len(self.steps)))
            self._rows.append(len(self._events) - 1)
        return True

    @property
    def result(self) -> Json:
        """``result.json``; empty before the end."""
        return mapping(self._run.result) if self._run else {}

    @property
    def status(self) -> str:
        """``running``, ``done``, ``crashed``, ``infra_error`` or ``unreadable``."""
        if self._run is None:
            return "unreadable"
        if self.result:
            return "infra_error" if self.result.get("infra_error") else "done"
        written = [_stamp(self.directory / name)[0] / 1e9 for name in ("episode.json", "episode.jsonl")]
        idle = time.time() - max(*written, self.calls.modified_s)
        return "crashed" if idle > STALE_S or self._run.owner_is_dead() else "running"

    def summary(self) -> Json:
        """What a list of runs shows."""
        task: Json = self._run.task.model_dump(mode="json") if self._run else {}
        setup = self._run.setup if self._run else {}
        scores = [step["score"] for step in self.steps if step["score"] is not None]
        return {
            "name": self.directory.name,
            "status": self.status,
            "problem": self._problem,
            "task": task,
            "task_id": setup.get("task_id"),
            "sandbox": setup.get("sandbox"),
            "max_steps": number(setup.get("max_steps")),
            "steps": max((step["step"] for step in self.steps), default=0),
            "score": scores[-1] if scores else None,
            "best": max(scores, default=None),
            "scores": scores,
            "reward": number(self.result.get("reward")),
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
            "setup": self._run.setup if self._run else {},
            "integrity": mapping(self.result.get("integrity")) or self._integrity(),
            "reward_parts": mapping(self.result.get("reward_parts")),
            "infra_error": self.result.get("infra_error"),
            "truncated": bool(self.result.get("truncated")),
            "pictures": sorted(self._pictures()),
            "agent_facts": self.calls.facts,
            "first": after,
            "list": self.steps[after:],
        }

    def step(self, index: int) -> Json:
        """Everything about one step, with outputs cut to their last :data:`OUTPUT_CHARACTERS`."""
        event = self._event(index)
        info = mapping(event.get("info"))
        scores = {side: _scores(info.get(side)) for side in SIDES if mapping(info.get(side))}
        left_out = {"task", "integrity", *SIDES, "workspace", "run_directory", "changed", "task_id"}
        action = event.get("action")
        return {
            **self.steps[index],
            "text": _text(event.get("text")),
            "refused_action": action if isinstance(action, str) else None,
            "scores": scores,
            "diff": self.diff(index - 1, index) if index else [],
            "start_files": self.files(0) if index == 0 else {},
            "info": {key: value for key, value in info.items() if key not in left_out},
        }

    def output(self, index: int, side: str, dataset: str) -> str:
        """All that a step's learner printed on one dataset."""
        record = mapping(mapping(mapping(self._event(index).get("info")).get(side)).get(dataset))
        return _text(record.get("stdout"))

    def diff(self, before: int, after: int) -> list[Json]:
        """What changed between two steps, by index."""
        return diffs.compare(self.files(before), self.files(after))

    def files(self, index: int) -> dict[str, str]:
        """The modules as they were after a step (0: at the start); index −1 is the last."""
        if not -1 <= index < len(self.steps):
            raise NotThere(f"{self.directory.name} has no step {index}")
        number_ = self.steps[index]["step"] if self.steps else 0
        folders = {int(path.name[5:]): path for path in self._folders()}
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

    def _folders(self) -> list[Path]:
        root = self.directory / "files"
        if root.is_symlink():
            return []
        named = [path for path in root.glob("step_*") if path.name[5:].isdecimal()]
        return [path for path in named if path.is_dir() and not path.is_symlink()]

    def _event(self, index: int) -> Json:
        if not 0 <= index < len(self._rows):
            raise NotThere(f"{self.directory.name} has no step {index}")
        return self._events.read(self._rows[index])

    def _counts(self, index: int) -> list[Json]:
        return diffs.counts(self.files(index - 1), self.files(index)) if index else []

    def _integrity(self) -> Json:
        return mapping(mapping(self._event(0).get("info")).get("integrity")) if self._rows else {}

    def _costs(self) -> Json:
        exams = [step["costs"] for step in self.steps]
        return {
            "seconds": total([each["seconds"] for each in exams]),
            "joules": total([each["joules"] for each in exams]),
            "exams": sum(each["exams"] for each in exams),
            "wall_s": _span(self.steps),
            **self.calls.totals(),
        }


def _light(event: Json, position: int) -> Json:
    info = mapping(event.get("info"))
    action = mapping(event.get("action"))
    step = number(event.get("step"))
    records = [mapping(record) for side in SIDES for record in mapping(info.get(side)).values()]
    return {
        "index": position,
        "step": int(step) if step is not None else position,
        "event": _text(event.get("event")),
        "time": _text(event.get("time")) or None,
        "command": _text(action.get("command")) or None,
        "datasets": sequence(action.get("datasets")),
        "files": None,  # counted when somebody looks
        "score": number(info.get("score")),
        "meta_train": _points(info.get("meta_train")),
        "meta_test": _points(info.get("meta_test")),
        "reward": number(event.get("reward")),
        "ended": bool(event.get("terminated") or event.get("truncated")),
        "truncated": bool(event.get("truncated")),
        "refused": _text(info.get("refused")) or None,
        "infra_error": _text(info.get("infra_error")) or None,
        "duration_s": number(info.get("duration_s")),
        "costs": {
            "seconds": total([total(record.get("seconds")) for record in records]),
            "joules": total([total(record.get("joules")) for record in records]),
            "exams": sum(len(sequence(record.get("statuses"))) for record in records),
        },
    }


def _points(side: Any) -> Json:
    """What a chart needs of each dataset."""
    return {
        dataset: {
            "normalised": number(mapping(record).get("normalised")),
            "standard_error": number(mapping(record).get("standard_error")),
            "ok": all(status == "ok" for status in sequence(mapping(record).get("statuses"))),
        }
        for dataset, record in mapping(side).items()
    }


def _scores(side: Any) -> Json:
    scores = {}
    for dataset, record in mapping(side).items():
        printed = _text(mapping(record).get("stdout"))
        cut = {"stdout": printed[-OUTPUT_CHARACTERS:], "stdout_characters": len(printed)}
        scores[dataset] = {**mapping(record), **cut}
    return scores


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
