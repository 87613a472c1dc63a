"""The record of an agent as a trajectory in ATIF, the interchange format of Harbor (ATIF-v1.8), from ``calls.jsonl``.

A step of the trajectory is a message that the model was sent, an answer of the model with the tools that it called and
what they returned, or a tool that was used without an answer of a model, for example through MCP.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from discoenv import __version__, arguments
from discoenv.episodes.record import EpisodeRecord
from discoenv.episodes.transcript import read_calls
from discoenv.errors import RunError
from discoenv.text import printable
from discoenv.tools import TOOLS

SCHEMA: Final = "ATIF-v1.8"
_COUNTED: Final = ("prompt_tokens", "completion_tokens", "cached_tokens")
Json = dict[str, Any]


def trajectory(run: Path) -> Json:
    """The trajectory of a run directory, as JSON.

    Raises:
        RunError: it is no run directory, or holds no reset.
    """
    record = EpisodeRecord.load(run)
    if not record.events:
        raise RunError(f"{run}: nothing was recorded in episode.jsonl")
    calls = read_calls(run)
    agent = next((call for call in calls if call.get("event") == "agent"), {})
    models = list(dict.fromkeys(str(call["model"]) for call in calls if call.get("model")))
    writer = _Writer()
    if not any(call.get("event") == "model_call" for call in calls):
        first = record.events[0]
        writer.add({"source": "user", "message": first.text, **_timestamp(first.time)})
    for call in calls:
        if call.get("event") == "model_call":
            writer.model_call(call)
        elif call.get("event") == "tool_call":
            writer.tool_call(call)
    result = record.result
    facts: Json = {"task_id": record.setup.task_id, "reward": None if result is None else result.reward}
    described: Json = {
        "name": str(agent.get("name") or "unknown"),
        "version": __version__,
        "tool_definitions": [tool.openai() for tool in TOOLS],
        "extra": {"options": agent.get("options") or {}},
    }
    if models:
        described["model_name"] = models[0]
    return {
        "schema_version": SCHEMA,
        "session_id": Path(run).name,
        "agent": described,
        "steps": writer.steps,
        "final_metrics": writer.totals(),
        "extra": {"discoenv": facts},
    }


class _Writer:
    """Steps, in order.

    Attributes:
        steps: what was written so far.
    """

    def __init__(self) -> None:
        self.steps: list[Json] = []
        self._seen: set[str] = set()
        self._pending: dict[str, Json] = {}  # calls of tools whose results are to come: the step of each

    def add(self, content: Json) -> Json:
        """Append a step; it."""
        self.steps.append({"step_id": len(self.steps) + 1, **content})
        return self.steps[-1]

    def model_call(self, call: Mapping[str, Any]) -> None:
        """What was sent and had not been sent before, and the answer."""
        stamp = _timestamp(call.get("time"))
        for message in call["messages"]:
            if isinstance(message, Mapping) and message.get("role") in ("system", "user") and self._is_new(message):
                self.add({"source": message["role"], "message": _text(message.get("content")), **stamp})
        reply = call["reply"]
        if not isinstance(reply, Mapping):
            return
        self._is_new(reply)
        usage = call.get("usage") if isinstance(call.get("usage"), Mapping) else {}
        metrics = {key: int(value) for key in _COUNTED if (value := arguments.as_number((usage or {}).get(key)))}
        cost = arguments.as_number(call.get("cost"))
        step = self.add(
            {
                "source": "agent",
                "message": _text(reply.get("content")),
                **stamp,
                **({"model_name": str(call["model"])} if call.get("model") else {}),
                **({"reasoning_content": printable(str(call["reasoning"]))} if call.get("reasoning") else {}),
                "metrics": {**metrics, **({} if cost is None else {"cost_usd": cost})},
                "llm_call_count": 1,
            }
        )
        called = []
        for each in reply.get("tool_calls") or ():
            function = each.get("function") or {}
            called.append(_tool_call(str(each.get("id")), function.get("name"), function.get("arguments")))
            self._pending[str(each.get("id"))] = step
        if called:
            step["tool_calls"] = called

    def tool_call(self, call: Mapping[str, Any]) -> None:
        """The result of a tool: of the answer that called it, or a step of its own."""
        key = self._answered(call)
        step = self._pending.pop(key, None)
        if step is None:
            key = f"call-{call.get('number')}"
            source = {"source": str(call.get("source") or "")}
            step = self.add(
                {"source": "agent", "message": "", **_timestamp(call.get("time")), "llm_call_count": 0, "extra": source}
            )
            step["tool_calls"] = [_tool_call(key, call.get("name"), call.get("arguments"))]
        result = {"source_call_id": key, "content": _text(call.get("text"))}
        step.setdefault("observation", {"results": []})["results"].append(result)

    def _answered(self, call: Mapping[str, Any]) -> str:
        """Id of the call that this is the result of; where ids are not recorded, the first one of that tool."""
        if call.get("call_id") is not None or call.get("source") != "model":
            return str(call.get("call_id"))
        waiting = (
            each["tool_call_id"]
            for key, step in self._pending.items()
            for each in step["tool_calls"]
            if each["tool_call_id"] == key and each["function_name"] == call.get("name")
        )
        return next(waiting, "")

    def totals(self) -> Json:
        """What all steps cost together."""
        metrics = [step["metrics"] for step in self.steps if "metrics" in step]
        totals: Json = {"total_steps": len(self.steps)}
        for key in (*_COUNTED, "cost_usd"):
            if any(key in each for each in metrics):
                totals[f"total_{key}"] = sum(each.get(key, 0) for each in metrics)
        return totals

    def _is_new(self, message: Mapping[str, Any]) -> bool:
        text = json.dumps(message, sort_keys=True, default=str)
        new = text not in self._seen
        self._seen.add(text)
        return new


def _tool_call(key: str, name: Any, values: Any) -> Json:
    if isinstance(values, str):
        try:
            values = json.loads(values or "{}")
        except (ValueError, RecursionError):
            values = {"not_valid_json": values}
    if not isinstance(values, Mapping):
        values = {} if values is None else {"value": values}
    return {"tool_call_id": key, "function_name": str(name), "arguments": dict(values)}


def _text(content: Any) -> str:
    """The text of a message, whose content may be a list of parts."""
    if isinstance(content, Sequence) and not isinstance(content, str):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return printable("" if content is None else str(content))


def _timestamp(time: Any) -> Json:
    return {"timestamp": str(time)} if time else {}
