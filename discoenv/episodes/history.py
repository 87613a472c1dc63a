"""What has happened in an episode so far: all that it takes to go on from there, in memory or in a run directory.

See :mod:`discoenv.episodes.restoring` for what a run directory is trusted with.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

from discoenv.episodes import jsonl
from discoenv.episodes.action import Edit, apply_edits, parse_action
from discoenv.episodes.finished import FinishedExam
from discoenv.episodes.record import EpisodeRecord, EventRecord, RunRecord, module_folders
from discoenv.episodes.transcript import FILE_NAME as CALLS
from discoenv.errors import ActionError, RunError
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import initial_modules

Modules = Mapping[str, str]
#: Files of artifacts by their path in a run directory.
_ARTIFACTS: Final = "exams"
#: Modules are not larger, in bytes of UTF-8: a limit for texts that are checked afterwards.
_MOST_BYTES: Final = 64 << 20


@dataclass(frozen=True)
class History:
    """An episode up to an action.

    Attributes:
        events: the reset, and the steps that came to their end.
        modules: text by file name, by the number of actions after which they had changed; 0 for the start.
        exams: finished exams, those that ``events`` show. None: they are in ``source``, perhaps with later ones, of a
            step that a crash cut off.
        source: run directory with what examiners saved for pictures; None if there is none.
    """

    events: tuple[EventRecord, ...]
    modules: Mapping[int, Modules]
    exams: tuple[FinishedExam, ...] | None = None
    source: Path | None = field(default=None, compare=False)

    @property
    def last(self) -> EventRecord:
        """The last reset or step."""
        return self.events[-1]

    @property
    def step(self) -> int:
        """Actions so far."""
        return self.last.step

    @property
    def files(self) -> dict[str, str]:
        """The modules as they are, text by file name."""
        return self.files_after(len(self.events) - 1)

    def files_after(self, index: int) -> dict[str, str]:
        """The modules as they were after one of the events, text by file name.

        Actions that cost nothing leave no files: what they changed follows from their edits.
        """
        step = self.events[index].step
        files = dict(self.modules[max(number for number in self.modules if number <= step)])
        for event in [event for event in self.events[: index + 1] if event.step == step][1:]:
            if event.info.changed:
                files = apply_edits(files, parse_action(event.action).edits, _MOST_BYTES)
        return files

    @property
    def runs(self) -> list[tuple[RunRecord, dict[str, str]]]:
        """Each ``run`` so far, with its modules."""
        found: list[tuple[RunRecord, dict[str, str]]] = []
        for index, event in enumerate(self.events):
            run = event.info.run(len(found) + 1, event.step)
            if run is not None and event.info.reward_error is None:
                found.append((run, self.files_after(index)))
        return found

    @property
    def free(self) -> int:
        """Number of actions that cost nothing."""
        return sum(event.step == before.step for before, event in pairwise(self.events))

    @property
    def score(self) -> float:
        """The observation's: that of the last ``run``; 0 before the first."""
        return next((event.info.score for event in reversed(self.events) if event.info.score is not None), 0.0)

    def until(self, step: int) -> Self:
        """The same up to so many actions.

        Raises:
            RunError: there was no such action, or it was not recorded.
        """
        steps = [event.step for event in self.events]
        if step not in steps:
            raise RunError(f"{self.source or 'episode'}: there is no step {step}; recorded are {_ranges(steps)}")
        kept = tuple(event for event in self.events if event.step <= step)
        return replace(
            self, events=kept, modules={number: texts for number, texts in self.modules.items() if number <= step}
        )


def load(record: EpisodeRecord, step: int | None = None) -> History:
    """The history of a recorded episode, without its exams.

    Args:
        record: a run directory, with its events.
        step: actions until then; None: as many as were recorded, but not one at which the machine failed.

    Raises:
        RunError: the episode was over then, nothing was recorded, or the modules are not those of the task.
    """
    where, events = record.directory, _in_order(record.events)
    if not events or events[0].event != "reset":
        raise RunError(f"{where}: the reset is missing in episode.jsonl, so there is nothing to go on from")
    if step is None and events[-1].info.infra_error is not None:
        events = events[:-1]
    try:
        modules = {number: record.submission(number) for number in module_folders(where)}
    except (OSError, ValueError) as error:
        raise RunError(f"{where}: a module cannot be read: {error}") from error
    if 0 not in modules:
        raise RunError(f"{where}: files/step_000 is missing, so there is nothing to go on from")
    history = History(events, modules, source=where)
    history = history.until(events[-1].step if step is None else step)
    if history.last.terminated or history.last.truncated:
        earlier = _ranges([event.step for event in history.events[:-1]])
        raise RunError(
            f"{where}: the episode ended with step {history.step} (reward {history.last.reward:.3f}); give an earlier "
            f"step to go on from: {earlier}"
        )
    return history


def checked(history: History, task: Task, max_file_bytes: int, imports: frozenset[str] | None) -> History:
    """The history, if its modules could have been made by edits.

    Raises:
        RunError: they could not.
    """
    initial = initial_modules(task)
    try:
        after = {history.step: history.files}
    except ActionError as error:
        raise RunError(f"{history.source}: an action of step {history.step} cannot be repeated: {error}") from None
    for number, texts in (*history.modules.items(), *after.items()):
        edits = [Edit(name, content=text) for name, text in texts.items()]
        try:
            if texts.keys() != initial.keys():
                raise ActionError(f"expected {', '.join(sorted(initial))}, not {', '.join(sorted(texts)) or 'nothing'}")
            apply_edits(initial, edits, max_file_bytes, imports)
        except ActionError as error:
            raise RunError(f"{history.source}/files/step_{number:03d}: not modules of the task: {error}") from None
    return history


def copy_artifacts(history: History, directory: Path) -> None:
    """Give a run directory what examiners saved until then, by links where the disk allows it.

    Raises:
        OSError: it cannot be written.
    """
    if history.source is None:
        return
    for path in sorted((history.source / _ARTIFACTS).glob("step_*/**/*.npz")):
        step = path.relative_to(history.source / _ARTIFACTS).parts[0][5:]
        if not step.isdecimal() or int(step) > history.step or not _is_inside(path, history.source):
            continue
        copy = directory / path.relative_to(history.source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            copy.hardlink_to(path)
        except OSError:
            shutil.copyfile(path, copy)


def copy_calls(history: History, directory: Path) -> None:
    """Give a run directory what the agent was asked and did until then, see :mod:`discoenv.episodes.transcript`.

    Raises:
        OSError: it cannot be written.
    """
    for call in jsonl.read(history.source / CALLS) if history.source else ():
        step = call.get("step")
        if call.get("event") == "end" or (isinstance(step, int) and step > history.step):
            return
        jsonl.append(directory / CALLS, json.dumps(call))


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a file is a regular one, and no folder on the way to it is a link."""
    between = [path, *path.parents][: len(path.relative_to(folder).parts)]
    return path.is_file() and not any(each.is_symlink() for each in between)


def _in_order(events: tuple[EventRecord, ...]) -> tuple[EventRecord, ...]:
    """Events whose steps grow, or stay the same where an action cost nothing."""
    found: list[EventRecord] = []
    for event in events:
        if not found or event.step >= found[-1].step:
            found.append(event)
    return tuple(found)


def _ranges(steps: list[int]) -> str:
    """``0 to 3, 5``."""
    parts: list[list[int]] = []
    for step in steps:
        if parts and step == parts[-1][-1] + 1:
            parts[-1].append(step)
        else:
            parts.append([step])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts) or "none"
