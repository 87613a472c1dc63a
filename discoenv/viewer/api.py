"""What the page may ask for, by name; each answer is plain data. The server and the exporter both use it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from discoenv.episodes.jsonl import Json, NotThere
from discoenv.viewer import diffs
from discoenv.viewer.episode import PICTURES
from discoenv.viewer.index import RunIndex

Query = Mapping[str, str]


class BadQuery(ValueError):
    """A request lacks a parameter, or has a wrong one; the message names it."""


class Api:
    """Answers to the page's requests, one at a time.

    Args:
        index: the runs that may be looked at.
    """

    def __init__(self, index: RunIndex) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._answers: dict[str, Callable[[Query], Json]] = {
            "runs": self._runs,
            "run": self._run,
            "step": self._step,
            "output": self._output,
            "diff": self._diff,
            "versus": self._versus,
            "calls": self._calls,
            "call": self._call,
            "message": self._message,
        }

    def answer(self, name: str, query: Query) -> Json:
        """The answer to one request.

        Raises:
            NotThere: there is no such request, run, step or call.
            BadQuery: a parameter is missing or wrong.
        """
        if name not in self._answers:
            raise NotThere(f"there is no request {name!r}; known are {', '.join(self._answers)}")
        with self._lock:
            return self._answers[name](query)

    def picture(self, query: Query) -> tuple[str, bytes]:
        """Kind and bytes of one picture of a run."""
        with self._lock:
            name = _required(query, "name")
            content = self._index.episode(_required(query, "id")).picture(name)
            return PICTURES[Path(name).suffix], content

    def _runs(self, query: Query) -> Json:
        return self._index.list()

    def _run(self, query: Query) -> Json:
        episode = self._index.episode(_required(query, "id"))
        return {"id": query["id"], **episode.overview(_integer(query, "after", 0))}

    def _step(self, query: Query) -> Json:
        return self._index.episode(_required(query, "id")).step(_integer(query, "step"))

    def _output(self, query: Query) -> Json:
        episode = self._index.episode(_required(query, "id"))
        step, side, dataset = _integer(query, "step"), _required(query, "side"), _required(query, "dataset")
        return {"stdout": episode.output(step, side, dataset)}

    def _diff(self, query: Query) -> Json:
        episode = self._index.episode(_required(query, "id"))
        return {"files": episode.diff(_integer(query, "from"), _integer(query, "to"))}

    def _versus(self, query: Query) -> Json:
        """The last modules of one run beside those of another."""
        one = self._index.episode(_required(query, "id")).files(-1)
        other = self._index.episode(_required(query, "other")).files(-1)
        same = sorted(name for name in one if one[name] == other.get(name))
        return {"files": diffs.compare(one, other), "same": same}

    def _calls(self, query: Query) -> Json:
        calls = self._index.episode(_required(query, "id")).calls
        after = _integer(query, "after", 0)
        return {"first": after, "list": calls.light[after:], "facts": calls.facts}

    def _call(self, query: Query) -> Json:
        return self._index.episode(_required(query, "id")).calls.full(_integer(query, "call"))

    def _message(self, query: Query) -> Json:
        return self._index.episode(_required(query, "id")).calls.message(_integer(query, "message"))


def _required(query: Query, name: str) -> str:
    if not query.get(name):
        raise BadQuery(f"parameter {name} is missing")
    return query[name]


def _integer(query: Query, name: str, default: int | None = None) -> int:
    if name not in query and default is not None:
        return default
    text = _required(query, name)
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise BadQuery(f"parameter {name} is {text[:40]!r}; it must be a number from 0 on")
    return int(text)
