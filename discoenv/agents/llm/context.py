"""How long a conversation is, in tokens, without a tokenizer; and what to leave out when it is too long."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

Message = dict[str, Any]
Tools = Sequence[Mapping[str, Any]]

#: Tokens that a chat template may add per message, and to a request with tools.
MESSAGE_OVERHEAD: Final = 16
TOOLS_OVERHEAD: Final = 512
#: Bytes of UTF-8 per token, before the model's own usage has been seen; code has 3 to 4.
_BYTES_PER_TOKEN: Final = 2.5
#: How many more tokens per byte a message may have than the model's messages have on average.
_DENSEST: Final = 2.0

LEFT_OUT: Final = (
    "[Earlier turns of this conversation were left out for lack of room. "
    "Read your notes and the files again if you need them.]"
)


class TokenCounts:
    """Tokens of messages: an upper bound for budgets, and an estimate for the length of the context.

    A byte-level tokenizer never makes more tokens than there are bytes, so bytes are the bound for what is new. What
    was sent before is as many tokens as the server said then; sent before in another arrangement, it is taken for at
    most twice as dense as the model's messages are on average. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._prefixes: dict[str, int] = {}
        self._seen: set[str] = set()
        self._bytes_per_token = _BYTES_PER_TOKEN

    def bound(self, messages: Sequence[Message], tools: Tools = ()) -> int:
        """At most so many tokens will the server count for a prompt of these."""
        known, rest = self._longest_prefix(messages, tools)
        sizes = [(_digest(message), _size(message), MESSAGE_OVERHEAD) for message in rest]
        if known is None and tools:
            sizes.append((_digest(tools), _size(tools), TOOLS_OVERHEAD))
        with self._lock:
            density = min(1.0, _DENSEST / self._bytes_per_token)
            fresh = (size * (density if digest in self._seen else 1.0) + overhead for digest, size, overhead in sizes)
            return (known or 0) + int(sum(fresh))

    def estimate(self, messages: Sequence[Message], tools: Tools = ()) -> int:
        """About so many tokens will the server count for a prompt of these."""
        known, rest = self._longest_prefix(messages, tools)
        size = sum(_size(message) + MESSAGE_OVERHEAD for message in rest)
        if known is None and tools:
            size += _size(tools)
        return (known or 0) + int(size / self._bytes_per_token)

    def learn(self, messages: Sequence[Message], tools: Tools, tokens: int) -> None:
        """The server counted ``tokens`` for a prompt of these."""
        if tokens <= 0:
            return
        size = sum(_size(message) for message in messages) + (_size(tools) if tools else 0)
        with self._lock:
            self._prefixes[_digests(messages, tools)[-1]] = tokens
            self._seen.update(_digest(each) for each in (*messages, tools))
            self._bytes_per_token = min(4.0, max(1.0, size / tokens))

    def _longest_prefix(self, messages: Sequence[Message], tools: Tools) -> tuple[int | None, Sequence[Message]]:
        digests = _digests(messages, tools)
        with self._lock:
            for count in range(len(messages), 0, -1):
                if digests[count] in self._prefixes:
                    return self._prefixes[digests[count]], messages[count:]
        return None, messages


def trim(messages: Sequence[Message], limit_tokens: int, tokens: Callable[[Sequence[Message]], int]) -> list[Message]:
    """The messages without their oldest turns, if they are more than ``limit_tokens``.

    Kept are all messages before the first answer (system prompt and task) and the latest turns; a turn is an answer
    with all that follows before the next one, so a tool's result never stands without its call. What stays is at most
    half of the limit, so that not every request has to be trimmed anew: providers' caches need equal beginnings.

    Args:
        messages: the conversation.
        limit_tokens: most tokens of the result, unless the head and the last turn alone have more.
        tokens: counts tokens.
    """
    starts = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    if len(starts) < 2 or tokens(messages) <= limit_tokens:
        return list(messages)
    head = list(messages[: starts[0]])
    if head and head[-1]["role"] == "user":  # some chat templates want users and assistants to alternate
        if not head[-1]["content"].endswith(LEFT_OUT):
            head[-1] = {**head[-1], "content": f"{head[-1]['content']}\n\n{LEFT_OUT}"}
    else:
        head.append({"role": "user", "content": LEFT_OUT})
    fitting = (start for start in starts[1:] if tokens([*head, *messages[start:]]) <= limit_tokens // 2)
    return [*head, *messages[next(fitting, starts[-1]) :]]


def _size(value: Any) -> int:
    """Bytes of a message's texts, and of the JSON around them where there is some."""
    if isinstance(value, Mapping) and isinstance(value.get("content"), str) and "tool_calls" not in value:
        return len(value["content"].encode(errors="replace"))
    return len(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _digests(messages: Sequence[Message], tools: Tools) -> list[str]:
    """Digests of the tools with the first 0, 1, 2, … messages."""
    running = hashlib.sha256(json.dumps(list(tools), sort_keys=True).encode())
    digests = [running.hexdigest()]
    for message in messages:
        running.update(json.dumps(message, sort_keys=True).encode())
        digests.append(running.hexdigest())
    return digests
