"""An answer of a chat-completions endpoint, whole or in pieces, as one plain record.

Servers differ in what they send where OpenAI's interface has a text or a number, and its client checks nothing. This is
the only reader of it: what is of another kind is read as far as it can be understood, and left out otherwise.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from discoenv.arguments import as_number
from discoenv.text import printable

#: How long the usage of an answer is waited for that is whole, in seconds.
_TAIL_S: Final = 10.0


class BrokenAnswer(Exception):
    """The answer has no end, or nothing in it: the server or the connection failed in the middle."""


@dataclass
class Answer:
    """What a model answered.

    Attributes:
        text, reasoning: what it said and, where the server reports it, thought.
        tool_calls: dicts of id, name and arguments (JSON text).
        finish_reason: why it ended.
        usage: those of prompt_tokens, completion_tokens, total_tokens, cached_tokens and reasoning_tokens that the
            server reports; None if it reports none of the first three.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: list[dict[str, str]] = field(default_factory=list)
    finish_reason: str = ""
    usage: dict[str, int] | None = None


async def collect(stream: AsyncIterable[Any]) -> Answer:
    """Put the pieces of a streamed answer together.

    Raises:
        BrokenAnswer: the stream ended without a finish reason.
    """
    answer = Answer()
    calls: dict[int, dict[str, str]] = {}
    async for chunk in _to_its_end(stream, answer):
        answer.usage = _usage(_get(chunk, "usage")) or answer.usage
        for choice in _listed(_get(chunk, "choices"))[:1]:
            delta = _get(choice, "delta")
            answer.text += _text(_get(delta, "content"))
            answer.reasoning += _reasoning(delta)
            for piece in _listed(_get(delta, "tool_calls")):
                _add(calls, piece)
            answer.finish_reason = _text(_get(choice, "finish_reason")) or answer.finish_reason
    if not answer.finish_reason:
        raise BrokenAnswer("the stream ended in the middle of the answer")
    answer.tool_calls = _numbered([calls[index] for index in sorted(calls)])
    return answer


async def _to_its_end(stream: AsyncIterable[Any], answer: Answer) -> AsyncIterator[Any]:
    """The pieces of a stream. If it breaks or hangs after the end of the answer, the answer is not lost."""
    pieces = aiter(stream)
    while True:
        try:
            piece = await (asyncio.wait_for(anext(pieces), _TAIL_S) if answer.finish_reason else anext(pieces))
        except StopAsyncIteration:
            return
        except Exception:
            if not answer.finish_reason:
                raise
            return
        yield piece


def from_completion(completion: Any) -> Answer:
    """An answer that came in one piece.

    Raises:
        BrokenAnswer: there is none in it.
    """
    choice = next(iter(_listed(_get(completion, "choices"))), None)
    message = _get(choice, "message")
    if message is None:
        raise BrokenAnswer("the server's answer holds no message")
    functions = [(call, _get(call, "function")) for call in _listed(_get(message, "tool_calls"))]
    calls = [
        {"id": _text(_get(call, "id")), "name": _text(_get(function, "name")), "arguments": _arguments(function)}
        for call, function in functions
        if function is not None
    ]
    return Answer(
        _text(_get(message, "content")),
        _reasoning(message),
        _numbered(calls),
        _text(_get(choice, "finish_reason")) or "stop",
        _usage(_get(completion, "usage")),
    )


def _add(calls: dict[int, dict[str, str]], piece: Any) -> None:
    """One piece of a tool call. Some servers send each call whole and leave out its index."""
    function, identity = _get(piece, "function"), _text(_get(piece, "id"))
    name, index = _text(_get(function, "name")), _count(_get(piece, "index"))
    if index is None:
        index = len(calls) if identity or name or not calls else max(calls)
    call = calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
    call["id"] = call["id"] or identity
    call["name"] += name
    call["arguments"] += _arguments(function)


def _numbered(calls: list[dict[str, str]]) -> list[dict[str, str]]:
    """Every call with a unique id: results refer to them."""
    seen: set[str] = set()
    for number, call in enumerate(calls, 1):
        if not call["id"] or call["id"] in seen:
            call["id"] = f"call_{number}"
        seen.add(call["id"])
    return calls


def _reasoning(part: Any) -> str:
    """What servers call it differs; it is no part of OpenAI's own interface."""
    return _text(_get(part, "reasoning_content")) or _text(_get(part, "reasoning"))


def _arguments(function: Any) -> str:
    """Arguments of a tool call as JSON text; some servers send the object itself."""
    value = _get(function, "arguments")
    return json.dumps(value, default=str) if isinstance(value, dict) else _text(value)


def _text(value: Any) -> str:
    """A text that may come as a list of parts, of which those that hold text count; empty for anything else."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, (list, tuple)):
        return "".join(_text(each if isinstance(each, str) else _get(each, "text")) for each in value)
    return printable(value["value"]) if isinstance(value, dict) and isinstance(value.get("value"), str) else ""


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _get(part: Any, name: str) -> Any:
    """A field of an object or of a dict; None if there is none."""
    return part.get(name) if isinstance(part, dict) else getattr(part, name, None)


def _count(value: Any) -> int | None:
    """A whole number from 0; None for anything else, which says nothing."""
    number = as_number(value)
    return int(number) if number is not None and number >= 0 and number.is_integer() else None


def _usage(usage: Any) -> dict[str, int] | None:
    """What the server says of tokens, each count only if it says it; None if it says nothing of use.

    Every prompt has tokens, so that a count of 0 says nothing there.
    """
    prompt, completion = _get(usage, "prompt_tokens_details"), _get(usage, "completion_tokens_details")
    counts = {
        "prompt_tokens": _count(_get(usage, "prompt_tokens")) or None,
        "completion_tokens": _count(_get(usage, "completion_tokens")),
        "total_tokens": _count(_get(usage, "total_tokens")) or None,
        "cached_tokens": _count(_get(prompt, "cached_tokens")),
        "reasoning_tokens": _count(_get(completion, "reasoning_tokens")),
    }
    said = {name: count for name, count in counts.items() if count is not None}
    return said if said.keys() & {"prompt_tokens", "completion_tokens", "total_tokens"} else None
