"""The record of what an agent did between the steps of an episode: ``calls.jsonl``, a file of the run directory.

One JSON object per line, appended and flushed as things happen: ``agent`` (who plays), ``model_call`` (one request to a
language model), ``tool_call`` (one tool used) and ``end``. Each message is written once, by an id, so that the file
grows with the conversation and not with its square. :func:`read_calls` puts the messages back.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from discoenv.episodes import jsonl
from discoenv.machine.kept_writes import KeptWrites

FILE_NAME: Final = "calls.jsonl"
#: Shorter keys ("EMPTY", "none") are placeholders for local servers; replacing them would garble ordinary text.
_SHORTEST_SECRET: Final = 8


class CallRecorder:
    """Appends to the ``calls.jsonl`` of a run directory; safe to use from several threads of one process.

    A line that cannot be written is kept and tried again with the next one, see :class:`KeptWrites`: a full disk
    ends no conversation.

    Args:
        directory: an existing run directory.
        secrets: texts that must not reach the file, such as API keys; see :meth:`redact`.

    Attributes:
        path: the file.
    """

    def __init__(self, directory: Path, secrets: Iterable[str] = ()) -> None:
        self.path = Path(directory) / FILE_NAME
        self._lock = threading.Lock()
        self._writes = KeptWrites(self.path)
        self._secrets: dict[str, None] = {}
        self._ids: dict[str, int] = {}
        self._model_calls = self._tool_calls = 0
        for line in jsonl.read(self.path):
            self._model_calls += line.get("event") == "model_call"
            self._tool_calls += line.get("event") == "tool_call"
            for key, message in line.get("new_messages", {}).items():
                self._ids[_digest(message)] = int(key)
        self._next_id = max(self._ids.values(), default=-1) + 1
        for secret in secrets:
            self.redact(secret)

    def redact(self, secret: str) -> None:
        """From now on, write ``[redacted]`` wherever ``secret`` occurs."""
        if len(secret) >= _SHORTEST_SECRET:
            self._secrets[json.dumps(secret)[1:-1]] = None

    def agent(self, name: str, options: Mapping[str, Any]) -> None:
        """Who plays, and how it was set up."""
        with self._lock:
            self._write({"event": "agent", "name": name, "options": dict(options)})

    def model_call(
        self, messages: Sequence[Mapping[str, Any]], reply: Mapping[str, Any] | None, facts: Mapping[str, Any]
    ) -> None:
        """One request to a language model.

        Args:
            messages: what was sent, in chat-completions form.
            reply: the message that came back; None if the call failed for good.
            facts: model, conversation, usage, cost, latency, failed attempts, …
        """
        with self._lock:
            self._model_calls += 1
            new: dict[str, Any] = {}
            ids = [self._id(message, new) for message in messages]
            reply_id = None if reply is None else self._id(reply, new)
            event = {"event": "model_call", "call": self._model_calls, **facts}
            self._write({**event, "messages": ids, "new_messages": new, "reply": reply_id})

    def tool_call(self, facts: Mapping[str, Any]) -> None:
        """One tool used: name, arguments, the text that came back, and where in the episode."""
        with self._lock:
            self._tool_calls += 1
            self._write({"event": "tool_call", "number": self._tool_calls, **facts})

    def end(self, facts: Mapping[str, Any]) -> None:
        """Why the agent stopped, and what it spent."""
        with self._lock:
            self._write({"event": "end", **facts})

    def _id(self, message: Mapping[str, Any], new: dict[str, Any]) -> int:
        digest = _digest(message)
        if digest not in self._ids:
            self._ids[digest] = self._next_id
            new[str(self._next_id)] = dict(message)
            self._next_id += 1
        return self._ids[digest]

    def _write(self, event: Mapping[str, Any]) -> None:
        stamped = {"time": datetime.datetime.now().astimezone().isoformat(timespec="milliseconds"), **event}
        line = json.dumps(stamped, default=str)
        for secret in self._secrets:
            line = line.replace(secret, "[redacted]")
        self._writes.add(lambda: jsonl.append(self.path, line))


def read_calls(directory: Path) -> list[dict[str, Any]]:
    """The lines of a run directory's ``calls.jsonl``, with whole messages in the place of their ids.

    ``messages`` becomes a list of messages, ``reply`` a message or None, and ``new_messages`` is gone. A half-written
    last line, left by a crash, and lines that are damaged are left out; a message that was in such a line is None.
    Without a file there are no lines.
    """
    known: dict[int, Any] = {}
    events = []
    for line in jsonl.read(Path(directory) / FILE_NAME):
        new = line.pop("new_messages", None)
        for key, message in new.items() if isinstance(new, dict) else ():
            if key.isascii() and key.isdecimal():
                known[int(key)] = message
        if line.get("event") == "model_call":
            sent, reply = line.get("messages"), line.get("reply")
            ids = sent if isinstance(sent, list) else []
            line["messages"] = [known.get(key) for key in ids if isinstance(key, int)]
            line["reply"] = known.get(reply) if isinstance(reply, int) else None
        events.append(line)
    return events


def _digest(message: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()
