"""What happens in an episode, as it happens: in memory, so that it can be forked, and in a run directory."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

from discoenv.episodes import history as histories
from discoenv.episodes.finished import FinishedExam
from discoenv.episodes.history import History
from discoenv.episodes.record import EventRecord
from discoenv.episodes.recorder import Recorder, now
from discoenv.errors import RecordError
from discoenv.exams.result import ExamResult
from discoenv.exams.secrets import Secret
from discoenv.tasks.task import Side

_logger = logging.getLogger(__name__)


class Journal:
    """The events, modules and finished exams of an episode.

    Args:
        recorder: writes the run directory; None keeps no record.
        secret: what finished exams are sealed with.
        about: what their results depend on, see :class:`FinishedExam`.
        history: what happened before, with its exams; it is recorded, too.

    Attributes:
        step: actions so far; to be set when one begins.

    Raises:
        RecordError: the history cannot be written.
    """

    def __init__(
        self,
        recorder: Recorder | None,
        secret: Secret,
        about: Mapping[str, str | int],
        history: History | None = None,
    ) -> None:
        self.step = 0
        self._recorder = recorder
        self._secret = secret
        self._about = about
        self._events: list[EventRecord] = []
        self._modules: dict[int, dict[str, str]] = {}
        self._exams: list[FinishedExam] = []
        self._saved: set[tuple[int, str, str, int]] = set()
        self._source = None if history is None else history.source
        if history is not None:
            self._repeat(history)

    def modules(self, modules: Mapping[str, str]) -> None:
        """Note the modules, text by file name, as they are after the present step, if they have changed."""
        if not self._modules or dict(modules) != self._modules[max(self._modules)]:
            self._modules[self.step] = dict(modules)
            if self._recorder is not None:
                self._recorder.modules(self.step, modules)

    def event(self, event: EventRecord) -> None:
        """Note a reset or a step."""
        event = dataclasses.replace(event, time=event.time or now())
        self._events.append(event)
        if self._recorder is not None:
            self._recorder.event(event)

    def exam(self, digest: str, side: Side, result: ExamResult) -> None:
        """Note an exam of modules with this digest that has just ended."""
        exam = FinishedExam(self.step, digest, side, result)
        self._exams.append(exam)
        if self._recorder is not None:
            self.artifacts(side, result)
            self._recorder.exams([exam.to_json(self._secret, self._about)])

    def left(self) -> None:
        """Note that the agent has left before the end."""
        if self._recorder is not None:
            self._recorder.left()

    def artifacts(self, side: Side, result: ExamResult) -> None:
        """Note what an examiner saved of an exam of the present step, once."""
        key = (self.step, side, result.dataset, result.number)
        if self._recorder is not None and key not in self._saved:
            self._saved.add(key)
            self._recorder.artifacts(*key, result.artifacts)

    @property
    def directory(self) -> Path | None:
        """The run directory; None without a record."""
        return self._recorder.directory if self._recorder else None

    @property
    def history(self) -> History:
        """All until now."""
        source = self.directory or self._source
        return History(tuple(self._events), dict(self._modules), tuple(self._exams), source)

    @property
    def problem(self) -> str | None:
        """Why something is not written yet; None if everything is."""
        return self._recorder.problem if self._recorder else None

    def close(self) -> None:
        """Try once more to write what is not written; log what is lost. Safe to call again."""
        if self._recorder is not None and not self._recorder.flush():
            _logger.error("%s; the episode has ended, so they are lost with this process", self._recorder.problem)

    def _repeat(self, history: History) -> None:
        """Take over what happened before, and record it."""
        exams = [exam for exam in history.exams or () if exam.step <= history.step]
        for step, modules in sorted(history.modules.items()):
            self.step = step
            self.modules(modules)
        self.step = history.step
        self._exams += exams
        self._events += history.events
        if self._recorder is None:
            return
        self._recorder.events(history.events)
        self._recorder.exams(exam.to_json(self._secret, self._about) for exam in exams)
        try:
            histories.copy_artifacts(history, self._recorder.directory)
            histories.copy_calls(history, self._recorder.directory)
            problem = self.problem
        except OSError as error:
            problem = f"{self._recorder.directory}: the record cannot be written: {error.strerror or error}"
        if problem is not None:
            raise RecordError(problem)
