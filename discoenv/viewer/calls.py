"""What language models were asked and what they did, from ``calls.jsonl`` (see :mod:`discoenv.episodes.transcript`).

A message is stored once, where it was first sent. The page asks for messages one by one, so that a long conversation
is neither sent nor exported again with each of its calls.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from discoenv.episodes.jsonl import Json, JsonLines, NotThere
from discoenv.episodes.transcript import FILE_NAME
from discoenv.viewer.plain import mapping, number, sequence, total


class Calls:
    """The record of language models in a run directory; empty if there is none.

    Attributes:
        light: model calls and tool calls in order, without their texts.
        agent: the agent's name; None if it was not recorded.
        modified_s: when the record last grew, seconds since 1970; 0 without a record.
    """

    def __init__(self, directory: Path) -> None:
        self._lines = JsonLines(directory / FILE_NAME)
        self._generation = 0
        self._stamp: object = None
        self._clear()

    def _clear(self) -> None:
        self.light: list[Json] = []
        self.agent: str | None = None
        self.facts: list[Json] = []
        self.modified_s = 0.0
        self._rows: list[int] = []
        self._models: dict[str, None] = {}
        self._messages: dict[int, int] = {}
        self._known: dict[str, set[int]] = {}

    @property
    def model(self) -> str | None:
        """Names of the models that were called; None if none was."""
        return ", ".join(self._models) or None

    def update(self) -> bool:
        """Read what is new. Returns whether anything was."""
        try:
            status = self._lines.path.lstat()
        except OSError:
            return False
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp == self._stamp:
            return False
        for event in self._lines.new():
            if self._lines.generation != self._generation:
                self._clear()
                self._generation = self._lines.generation
            self._take(event, len(self._lines) - 1)
        self._stamp, self.modified_s = stamp, status.st_mtime
        return True

    def full(self, index: int) -> Json:
        """One call with its texts; of messages, their ids: those sent for the first time, and those before them.

        Raises:
            NotThere: there is no such call.
        """
        if not 0 <= index < len(self.light):
            raise NotThere(f"there is no call {index}")
        event = {key: value for key, value in self._lines.read(self._rows[index]).items() if key != "new_messages"}
        return {**event, **self.light[index]}

    def message(self, number_: int) -> Json:
        """One message, in the form of OpenAI's chat completions.

        Raises:
            NotThere: there is no message with this id.
        """
        if number_ not in self._messages:
            raise NotThere(f"there is no message {number_}")
        return mapping(mapping(self._lines.read(self._messages[number_]).get("new_messages")).get(str(number_)))

    @property
    def messages(self) -> list[int]:
        """Ids of all messages."""
        return list(self._messages)

    def totals(self) -> Json:
        """Tokens, money (in the unit of the prices) and seconds of all model calls; None where nothing is known."""
        calls = [each for each in self.light if each["kind"] == "model_call"]
        return {
            "model_calls": len(calls),
            "tool_calls": len(self.light) - len(calls),
            "prompt_tokens": total([call["usage"].get("prompt_tokens") for call in calls]),
            "cached_tokens": total([call["usage"].get("cached_tokens") for call in calls]),
            "completion_tokens": total([call["usage"].get("completion_tokens") for call in calls]),
            "money": total([call["cost"] for call in calls]),
            "model_s": total([call["latency_s"] for call in calls]),
        }

    def _take(self, event: Json, row: int) -> None:
        kind = event.get("event")
        if kind == "agent":
            self.agent = str(event.get("name"))
            self.facts.append({key: value for key, value in event.items() if key != "event"})
        elif kind == "end":
            self.facts.append({key: value for key, value in event.items() if key != "event"})
        elif kind in ("model_call", "tool_call"):
            self._rows.append(row)
            common = {"index": len(self.light), "kind": kind, "time": event.get("time")}
            self.light.append({**common, **(self._model(event, row) if kind == "model_call" else _tool(event))})

    def _model(self, event: Json, row: int) -> Json:
        if event.get("model"):
            self._models[str(event["model"])] = None
        for identity in mapping(event.get("new_messages")):
            if identity.isascii() and identity.isdecimal():
                self._messages.setdefault(int(identity), row)
        sent = [identity for identity in sequence(event.get("messages")) if isinstance(identity, int)]
        known = self._known.setdefault(str(event.get("conversation")), set())
        fresh = [identity for identity in sent if identity not in known]
        reply = event.get("reply") if isinstance(event.get("reply"), int) else None
        known.update(sent, () if reply is None else (reply,))
        step = number(event.get("step"))
        return {
            "model": event.get("model"),
            "conversation": event.get("conversation"),
            "label": event.get("label"),
            "for_step": None if step is None else step + 1,
            "earlier": [identity for identity in sent if identity not in fresh],
            "fresh": fresh,
            "reply": reply,
            "usage": mapping(event.get("usage")),
            "cost": number(event.get("cost")),
            "latency_s": number(event.get("latency_s")),
            "finish_reason": event.get("finish_reason"),
            "error": event.get("error"),
            "failed_attempts": len(sequence(event.get("attempts"))),
        }


def _tool(event: Json) -> Json:
    step = number(event.get("step"))
    stepped = bool(event.get("stepped"))
    for_step: Any = None if step is None else step if stepped else step + 1
    return {
        "name": event.get("name"),
        "for_step": for_step,
        "ok": event.get("ok") is not False,
        "stepped": stepped,
        "source": event.get("source"),
        "duration_s": number(event.get("duration_s")),
    }
