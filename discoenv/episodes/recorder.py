"""Writes run directories, as things happen; :class:`discoenv.episodes.record.EpisodeRecord` reads them.

In a run directory: ``task.yaml``; ``episode.json`` (how the environment was set up); ``owner.json`` (the process that
writes, and when the agent left, if it did before the end); ``episode.jsonl`` (one line per reset or step);
``exams.jsonl`` (one line per exam that was held, see :mod:`discoenv.episodes.finished`); ``files/step_000/`` (the
modules whenever they changed); ``exams/step_000/<side>/<dataset>/<number>.npz`` (what examiners saved for pictures, see
:mod:`discoenv.episodes.plots`); ``result.json`` (when the episode ended).
"""

from __future__ import annotations

import datetime
import errno
import json
import re
import shutil
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from discoenv.episodes import finished, jsonl
from discoenv.episodes.record import EVENTS, OWNER, RESULT, SETUP, TASK, EventRecord, ResultRecord, SetupRecord
from discoenv.errors import RecordError
from discoenv.machine import atomic
from discoenv.machine.kept_writes import KeptWrites
from discoenv.machine.owner import boot_id, owner_tag
from discoenv.tasks.task import Task


class Recorder:
    """Writes one run directory, ``<root>/%Y-%m-%d_%H-%M-%S_<slug>_<id>/``.

    Once it exists, nothing here raises for lack of space or of rights: what cannot be written is kept in memory and
    written later, see :class:`KeptWrites`, and :attr:`problem` says so.

    Args:
        root: folder of the run directory; made if it does not exist.
        task: the episode's task.
        setup: how the environment was set up.
        directory: the run directory itself, if it is to be another one; it must not exist, or be empty.

    Attributes:
        directory: the run directory.

    Raises:
        RecordError: it cannot be made.
    """

    def __init__(self, root: Path, task: Task, setup: SetupRecord, *, directory: Path | None = None) -> None:
        now = datetime.datetime.now().astimezone()
        slug = re.sub(r"[^A-Za-z0-9]+", "-", f"{task.domain}-{'-'.join(task.modules)}")[:60].strip("-")
        self.directory = directory or root / f"{now:%Y-%m-%d_%H-%M-%S}_{slug}_{uuid.uuid4().hex[:8]}"
        self._modules: dict[str, str] | None = None
        self._writes = KeptWrites(self.directory)
        try:
            self.directory.mkdir(parents=True, exist_ok=directory is not None)
            if any(self.directory.iterdir()):
                raise FileExistsError(errno.EEXIST, "there is something in it; name a folder that does not exist")
            atomic.write_text(self.directory / TASK, task.to_yaml())
            atomic.write_text(self.directory / SETUP, _dumps(setup.to_json(), indent=1) + "\n")
            atomic.write_text(self.directory / OWNER, _owner())
        except OSError as error:
            advice = "runs_dir= names another folder, and runs_dir=None keeps no record" if directory is None else ""
            raise RecordError(
                f"{self.directory}: no run can be recorded there: {error.strerror or error}"
                + (f". {advice}" if advice else "")
            ) from error

    @property
    def problem(self) -> str | None:
        """Why something is not written yet; None if everything is."""
        return self._writes.problem

    def flush(self) -> bool:
        """Try again to write what could not be written. Whether all is written."""
        return self._writes.flush()

    def modules(self, step: int, modules: Mapping[str, str]) -> None:
        """Write the modules, text by file name, as they are after a step (0: at the start), if they have changed."""
        if dict(modules) != self._modules:
            self._modules = texts = dict(modules)
            self._writes.add(lambda: self._write_modules(step, texts))

    def event(self, event: EventRecord) -> None:
        """Append a reset or a step to ``episode.jsonl``; if it ended the episode, write ``result.json`` too."""
        self.events([event])

    def events(self, events: Iterable[EventRecord]) -> None:
        """As :meth:`event`, many at once."""
        events = list(events)
        self._append(EVENTS, [{"time": now(), **event.to_json()} for event in events])
        for event in events:
            if event.terminated or event.truncated:
                self.result(ResultRecord.of(event))

    def exams(self, exams: Iterable[Mapping[str, Any]]) -> None:
        """Append finished exams to ``exams.jsonl``."""
        self._append(finished.FILE_NAME, exams)

    def _append(self, name: str, contents: Iterable[Mapping[str, Any]]) -> None:
        text = "\n".join(map(_dumps, contents))
        if text:
            self._writes.add(lambda: jsonl.append(self.directory / name, text))

    def artifacts(self, step: int, side: str, dataset: str, number: int, data: bytes) -> None:
        """Write what an examiner saved of an exam (the bytes of an .npz), unless it saved nothing."""
        path = finished.artifacts_path(self.directory, step, side, dataset, number)

        def write() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_bytes(path, data)

        if data:
            self._writes.add(write)

    def result(self, result: ResultRecord) -> None:
        """Write ``result.json``."""
        text = _dumps(result.to_json(), indent=1) + "\n"
        self._writes.add(lambda: atomic.write_text(self.directory / RESULT, text))

    def _write_modules(self, step: int, modules: Mapping[str, str]) -> None:
        folder = self.directory / "files" / f"step_{step:03d}"
        temporary = folder.with_name(f".{folder.name}")  # so that no folder has only some of the files
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, text in modules.items():
            atomic.write_text(temporary / name, text)
        temporary.rename(folder)

    def left(self) -> None:
        """Record that the agent has left, in ``owner.json``: the episode has no result, and has not crashed."""
        owner = _owner(left=now())
        self._writes.add(lambda: atomic.write_text(self.directory / OWNER, owner))


def _owner(**facts: str) -> str:
    return json.dumps({"process": owner_tag(), "boot": boot_id(), **facts}) + "\n"


def now() -> str:
    """The present time, ISO 8601 with the UTC offset."""
    return datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")


def _dumps(content: Any, indent: int | None = None) -> str:
    """JSON; NumPy scalars and arrays, which an objective may report, as Python values, anything else as text."""
    return json.dumps(content, indent=indent, default=_python)


def _python(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
