"""Writes run directories, as things happen; :class:`discoenv.episodes.record.EpisodeRecord` reads them.

In a run directory: ``task.yaml``; ``episode.json`` (how the environment was set up); ``owner.json`` (the process that
writes, and when the agent left, if it did before the end); ``episode.jsonl`` (one line per reset or step);
``files/step_000/`` (the modules whenever they changed); ``exams/step_000/<side>/<dataset>/<number>.npz`` (what
examiners saved for pictures, see :mod:`discoenv.episodes.plots`); ``result.json`` (when the episode ended).
"""

from __future__ import annotations

import datetime
import json
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discoenv.episodes import jsonl
from discoenv.episodes.record import EVENTS, OWNER, RESULT, SETUP, TASK, EventRecord, ResultRecord, SetupRecord
from discoenv.errors import RunError
from discoenv.machine import atomic
from discoenv.machine.owner import boot_id, owner_tag
from discoenv.tasks.task import Task


class Recorder:
    """Writes one run directory, ``<root>/%Y-%m-%d_%H-%M-%S_<slug>_<id>/``.

    Args:
        root: folder of the run directory; made if it does not exist.
        task: the episode's task.
        setup: how the environment was set up.

    Attributes:
        directory: the run directory.

    Raises:
        RunError: it cannot be made.
    """

    def __init__(self, root: Path, task: Task, setup: SetupRecord) -> None:
        now = datetime.datetime.now().astimezone()
        slug = re.sub(r"[^A-Za-z0-9]+", "-", f"{task.domain}-{'-'.join(task.modules)}")[:60].strip("-")
        self.directory = root / f"{now:%Y-%m-%d_%H-%M-%S}_{slug}_{uuid.uuid4().hex[:8]}"
        try:
            self.directory.mkdir(parents=True)
        except OSError as error:
            raise RunError(f"{root}: no run directory can be made there: {error.strerror}; choose another") from error
        atomic.write_text(self.directory / TASK, task.to_yaml())
        atomic.write_text(self.directory / SETUP, _dumps(setup.to_json(), indent=1) + "\n")
        self._owner()
        self._modules: dict[str, str] | None = None

    def modules(self, step: int, modules: Mapping[str, str]) -> None:
        """Write the modules, text by file name, as they are after a step (0: at the start), if they have changed."""
        if dict(modules) == self._modules:
            return
        folder = self.directory / "files" / f"step_{step:03d}"
        temporary = folder.with_name(f".{folder.name}")  # so that no folder has only some of the files
        temporary.mkdir(parents=True)
        for name, text in modules.items():
            atomic.write_text(temporary / name, text)
        temporary.rename(folder)
        self._modules = dict(modules)

    def event(self, event: EventRecord) -> None:
        """Append a reset or a step to ``episode.jsonl``; if it ended the episode, write ``result.json`` too."""
        jsonl.append(self.directory / EVENTS, _dumps({"time": _now(), **event.to_json()}))
        if event.terminated or event.truncated:
            self.result(ResultRecord.of(event))

    def artifacts(self, step: int, side: str, dataset: str, number: int, data: bytes) -> None:
        """Write what an examiner saved of an exam (the bytes of an .npz), unless it saved nothing."""
        if data:
            path = self.directory / "exams" / f"step_{step:03d}" / side / dataset / f"{number}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_bytes(path, data)

    def left(self) -> None:
        """Record that the agent has left, in ``owner.json``: the episode has no result, and has not crashed."""
        self._owner(left=_now())

    def _owner(self, **facts: str) -> None:
        owner = {"process": owner_tag(), "boot": boot_id(), **facts}
        atomic.write_text(self.directory / OWNER, json.dumps(owner) + "\n")

    def result(self, result: ResultRecord) -> None:
        """Write ``result.json``."""
        atomic.write_text(self.directory / RESULT, _dumps(result.to_json(), indent=1) + "\n")


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")


def _dumps(content: Any, indent: int | None = None) -> str:
    """JSON; NumPy scalars and arrays, which an objective may report, as Python values, anything else as text."""
    return json.dumps(content, indent=indent, default=_python)


def _python(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
