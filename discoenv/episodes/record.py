"""The record of an episode: a run directory, written as things happen, and read back for replay.

TaskSide: ``task.yaml``; ``episode.json`` (how the environment was set up); ``owner.json`` (the process that writes);
``episode.jsonl`` (one line per reset or step); ``files/step_000/`` (the modules whenever they changed);
``exams/step_000/<side>/<dataset>/<seed>.npz`` (what examiners saved for pictures, see :mod:`discoenv.episodes.plots`);
``result.json`` (when the episode ended).
"""

from __future__ import annotations

import datetime
import json
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from discoenv.episodes import jsonl
from discoenv.errors import RunError
from discoenv.examiners.plotting import ExamArtifacts
from discoenv.machine import atomic
from discoenv.machine.owner import is_abandoned, owner_tag
from discoenv.tasks.task import Task

#: The file of a run directory with a line per reset or step.
EVENTS: Final = "episode.jsonl"


class Recorder:
    """Writes one run directory, ``<root>/%Y-%m-%d_%H-%M-%S_<slug>_<id>/``.

    Attributes:
        directory: the run directory.
    """

    def __init__(self, root: Path, task: Task, setup: Mapping[str, Any]) -> None:
        now = datetime.datetime.now().astimezone()
        slug = re.sub(r"[^A-Za-z0-9]+", "-", f"{task.domain}-{'-'.join(task.modules)}")[:60].strip("-")
        self.directory = root / f"{now:%Y-%m-%d_%H-%M-%S}_{slug}_{uuid.uuid4().hex[:8]}"
        self.directory.mkdir(parents=True)
        atomic.write_text(self.directory / "task.yaml", task.to_yaml())
        atomic.write_text(self.directory / "episode.json", json.dumps(setup, indent=1, default=str) + "\n")
        atomic.write_text(self.directory / "owner.json", json.dumps({"process": owner_tag(), "boot": _boot()}) + "\n")
        self._files: dict[str, str] | None = None

    def files(self, step: int, files: Mapping[str, str]) -> None:
        """Keep the modules as they are before or after a step, unless they did not change."""
        if dict(files) == self._files:
            return
        folder = self.directory / "files" / f"step_{step:03d}"
        temporary = folder.with_name(f".{folder.name}")  # so that no folder has only some of the files
        temporary.mkdir(parents=True)
        for name, text in files.items():
            atomic.write_text(temporary / name, text)
        temporary.rename(folder)
        self._files = dict(files)

    def event(self, event: Mapping[str, Any]) -> None:
        """Append one line to ``episode.jsonl`` and flush it to the disk."""
        stamped = {"time": datetime.datetime.now().astimezone().isoformat(timespec="milliseconds"), **event}
        line = json.dumps(stamped, default=_plain)
        jsonl.append(self.directory / EVENTS, line)

    def step(self, step: Mapping[str, Any]) -> None:
        """Append the line of a step; if it ended the episode, write ``result.json`` too.

        Args:
            step: with the keys ``step``, ``reward``, ``terminated``, ``truncated``, ``info``, and any others.
        """
        self.event({"event": "step", **step})
        if step["terminated"] or step["truncated"]:
            info, keys = step["info"], ("meta_test", "reward", "infra_error", "integrity", "task_id")
            parts = {("reward_parts" if key == "reward" else key): info[key] for key in keys if key in info}
            result = {key: step[key] for key in ("reward", "terminated", "truncated")} | {"steps": step["step"]}
            self.result({**parts, **result})

    def artifacts(self, step: int, side: str, dataset: str, seed: int, data: bytes) -> None:
        """Write what an examiner saved of an exam (the bytes of an .npz), unless it saved nothing."""
        if data:
            path = self.directory / "exams" / f"step_{step:03d}" / side / dataset / f"{seed}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_bytes(path, data)

    def result(self, result: Mapping[str, Any]) -> None:
        """Write ``result.json``."""
        atomic.write_text(self.directory / "result.json", json.dumps(result, indent=1, default=_plain) + "\n")


class Run:
    """A recorded run, read back.

    Raises:
        RunError: the folder is not a run, or a file of it is damaged.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("task.yaml", "episode.json"):
            if not (directory / name).is_file():
                raise RunError(f"{directory}: {name} is missing, so this is not a run directory")
        self.task = Task.parse(directory / "task.yaml")
        self.setup: dict[str, Any] = self._json("episode.json")
        for key in ("episode_seed", "sandbox", "budget_scale"):
            if key not in self.setup:
                raise RunError(f"{directory}/episode.json: {key} is missing")
        self.result: dict[str, Any] | None = self._json("result.json") if (directory / "result.json").exists() else None

    def events(self) -> list[dict[str, Any]]:
        """Lines of ``episode.jsonl``; a half-written last line, left by a crash, is left out."""
        return list(jsonl.read(self.directory / EVENTS))

    def submission(self) -> dict[str, str]:
        """The modules as they were last, by file name."""
        folders = sorted((self.directory / "files").glob("step_*"), key=lambda folder: int(folder.name[5:]))
        if not folders:
            raise RunError(f"{self.directory}: files/ is empty, so there is nothing to score")
        return {path.name: path.read_bytes().decode() for path in sorted(folders[-1].glob("*.py"))}

    def owner_is_dead(self) -> bool:
        """Whether the process that wrote this run has ended; False where that cannot be judged, say elsewhere."""
        try:
            owner = json.loads((self.directory / "owner.json").read_text(encoding="utf-8"))
            return owner["boot"] == _boot() != "" and is_abandoned(f"discoenv-{owner['process']}-run")
        except (OSError, ValueError, TypeError, KeyError):
            return False

    def artifacts(self) -> list[ExamArtifacts]:
        """What examiners saved of the exams, by step; exams of which nothing was saved are not listed."""
        root = self.directory / "exams"
        found = []
        for path in root.glob("step_*/**/*.npz"):
            step, side, *dataset = path.parent.relative_to(root).parts
            found.append(ExamArtifacts(int(step[5:]), side, "/".join(dataset), int(path.stem), path))
        return sorted(found, key=lambda exam: (exam.step, exam.side, exam.dataset, exam.seed))

    def _json(self, name: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self.directory / name).read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{self.directory / name}: not valid JSON: {error}") from error
        return content


def name_of(function: Any) -> str | None:
    """A function as ``package.module:name``, an object that can be called by its type, None as None."""
    if function is None:
        return None
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def _boot() -> str:
    """Tells machines, and their boots, apart; empty where the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays as Python values; anything else as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
