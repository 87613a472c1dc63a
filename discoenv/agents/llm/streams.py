"""An answer of a chat-completions endpoint, whole or in pieces, as one plain record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

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
        usage: prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, source; None if the server is silent.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: list[dict[str, str]] = field(default_factory=list)
    finish_reason: str = ""
    usage: dict[str, Any] | None = None


async def collect(stream: AsyncIterable[Any]) -> Answer:
    """Put the pieces of a streamed answer together.

    Raises:
        BrokenAnswer: the stream ended without a finish reason.
    """
    answer = Answer()
    calls: dict[int, dict[str, str]] = {}
    async for chunk in _to_its_end(stream, answer):
        if getattr(chunk, "usage", None) is not None:
            answer.usage = _usage(chunk.usage)
        for choice in (chunk.choices or [])[:1]:
            delta = choice.delta
            answer.text += getattr(delta, "content", None) or ""
            answer.reasoning += _reasoning(delta)
            for piece in getattr(delta, "tool_calls", None) or []:
                _add(calls, piece)
            answer.finish_reason = choice.finish_reason or answer.finish_reason
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
    if not getattr(completion, "choices", None) or completion.choices[0].message is None:
        raise BrokenAnswer("the server's answer holds no message")
    choice = completion.choices[0]
    message = choice.message
    calls = [
        {"id": call.id or "", "name": call.function.name or "", "arguments": call.function.arguments or ""}
        for call in message.tool_calls or []
        if getattr(call, "function", None) is not None
    ]
    usage = None if completion.usage is None else _usage(completion.usage)
    return Answer(message.content or "", _reasoning(message), _numbered(calls), choice.finish_reason or "stop", usage)


def _add(calls: dict[int, dict[str, str]], piece: Any) -> None:
    """One piece of a tool call. Some servers send each call whole and leave out its index."""
    function = getattr(piece, "function", None)
    index = piece.index
    if index is None:
        begins = bool(piece.id or (function and function.name))
        index = len(calls) if begins or not calls else max(calls)
    call = calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
    call["id"] = call["id"] or piece.id or ""
    if function is not None:
        call["name"] += function.name or ""
        call["arguments"] += function.arguments or ""


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
    for name in ("reasoning_content", "reasoning"):
        value = getattr(part, name, None)
        if isinstance(value, str):
            return value
    return ""


def _usage(usage: Any) -> dict[str, Any]:
    prompt = getattr(usage, "prompt_tokens_details", None)
    completion = getattr(usage, "completion_tokens_details", None)
    return {
        "prompt_tokens": usage.prompt_tokens or 0,
        "completion_tokens": usage.completion_tokens or 0,
        "cached_tokens": getattr(prompt, "cached_tokens", None) or 0,
        "reasoning_tokens": getattr(completion, "reasoning_tokens", None) or 0,
        "source": "reported",
    }
