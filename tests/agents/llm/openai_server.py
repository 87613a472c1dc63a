"""A chat-completions server whose replies are written beforehand; real HTTP, for the real ``openai`` client.

Each element of the script answers one request: a :class:`Say` (text and tool calls), a :class:`Fail` (an HTTP error),
or a :class:`Break` (an answer that breaks off). It checks what a strict server would: that every tool result belongs to
a call of the message before, that there is one for each, and that arguments of calls are valid JSON.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass
class Say:
    """An answer. Usage is counted at four bytes per token, as real models' is about."""

    text: str = ""
    calls: Sequence[tuple[str, Any]] = ()
    finish_reason: str = ""
    usage: Mapping[str, Any] | None = None
    report_usage: bool = True
    reasoning: str = ""
    delay_s: float = 0.0
    whole_calls: bool = False  # each call in one piece, without index and id, as some servers do
    tail: str = ""  # instead of usage and end: ``break`` sends half an event, ``hang`` nothing for a long time
    odd: Mapping[str, Any] = field(default_factory=dict)  # "usage", "content", "tool_calls" as sent, of any kind


@dataclass
class Fail:
    """An HTTP error."""

    status: int
    message: str = "no"
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None


@dataclass
class Break:
    """An answer that breaks off: after the text, the connection is closed (``drop``) or the stream ends politely.

    ``garbage`` is sent instead of the next piece; ``silent`` closes before the status line.
    """

    text: str = "so far so"
    drop: bool = False
    garbage: str = ""
    silent: bool = False


Answer = Say | Fail | Break


class FakeOpenAI:
    """A server on a free port of localhost, for a ``with`` statement.

    Args:
        script: answers in order, or a function from the request to an answer. After the last one, it says nothing more
            than ``repeat``.
        repeat: the answer to all further requests; None makes them errors of status 500.

    Attributes:
        requests: bodies of all requests.
        headers: headers of all requests.
        answered: usage of all complete answers.
        problems: what a strict server would have complained of.
    """

    def __init__(
        self, script: Sequence[Answer] | Callable[[dict[str, Any]], Answer], repeat: Answer | None = None
    ) -> None:
        self._script = script
        self._repeat = repeat
        self._lock = threading.Lock()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answered: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self._closed = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer._answer(self, body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def tokens(self) -> int:
        """Tokens of all complete answers and their prompts."""
        return sum(usage["prompt_tokens"] + usage["completion_tokens"] for usage in self.answered)

    def __enter__(self) -> FakeOpenAI:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        with self._lock:
            index = len(self.requests)
            self.requests.append(body)
            self.headers.append(dict(handler.headers))
            self.problems += _problems(body["messages"])
        if callable(self._script):
            answer: Answer | None = self._script(body)
        else:
            answer = self._script[index] if index < len(self._script) else self._repeat
        try:
            if isinstance(answer, Say):
                self._say(handler, body, answer)
            elif isinstance(answer, Break):
                self._break(handler, body, answer)
            else:
                _fail(handler, answer or Fail(500, "the script has no more answers"))
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True

    def _say(self, handler: BaseHTTPRequestHandler, body: dict[str, Any], say: Say) -> None:
        if say.delay_s:
            time.sleep(say.delay_s)
        limit = body.get("max_tokens") or body.get("max_completion_tokens")
        calls = [
            {
                "id": f"call_{len(self.requests)}_{number}",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
                },
            }
            for number, (name, arguments) in enumerate(say.calls)
        ]
        text, cut = say.text, False
        if limit and tokens(text) + tokens(calls) > limit:
            text, calls, cut = text[: 4 * limit], [], True
        finish_reason = "length" if cut else say.finish_reason or ("tool_calls" if calls else "stop")
        usage = dict(
            say.usage
            or {
                "prompt_tokens": tokens(body["messages"]) + tokens(body.get("tools", [])),
                "completion_tokens": tokens(text) + (tokens(calls) if calls else 0),
            }
        )
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
        with self._lock:
            self.answered.append(usage)
        if not body.get("stream"):
            message = {"role": "assistant", "content": text or None, "tool_calls": calls or None}
            message |= {key: say.odd[key] for key in ("content", "tool_calls") if key in say.odd}
            choice = {"index": 0, "message": message, "finish_reason": finish_reason}
            content = {**_head("chat.completion"), "choices": [choice]}
            _send(handler, 200, content | ({"usage": say.odd.get("usage", usage)} if say.report_usage else {}))
            return
        pieces: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        pieces += [{"reasoning_content": part} for part in _split(say.reasoning)]
        pieces += [{"content": part} for part in _split(text)]
        for index, call in enumerate(calls):
            function = call["function"]
            assert isinstance(function, dict)
            if say.whole_calls:
                pieces.append({"tool_calls": [{"index": None, "type": "function", "function": function}]})
                continue
            start = {**call, "index": index, "function": {"name": function["name"], "arguments": ""}}
            pieces.append({"tool_calls": [start]})
            pieces += [
                {"tool_calls": [{"index": index, "function": {"arguments": part}}]}
                for part in _split(function["arguments"])
            ]
        pieces += [{key: say.odd[key]} for key in ("content", "tool_calls") if key in say.odd]
        _start_stream(handler)
        for piece in pieces:
            _event(handler, _chunk(piece))
        _event(handler, _chunk({}, finish_reason))
        if say.tail:
            handler.close_connection = True
            handler.wfile.write(b"data: {\n\n" if say.tail == "break" else b"")
            if say.tail == "hang":
                self._closed.wait(60)
            return
        if say.report_usage and (body.get("stream_options") or {}).get("include_usage"):
            _event(handler, {**_head("chat.completion.chunk"), "choices": [], "usage": say.odd.get("usage", usage)})
        handler.wfile.write(b"data: [DONE]\n\n")
        handler.close_connection = True

    def _break(self, handler: BaseHTTPRequestHandler, body: dict[str, Any], broken: Break) -> None:
        handler.close_connection = True
        if broken.silent:
            return
        if not body.get("stream"):
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"id": "x", "choices": [')
            return
        if broken.drop:  # fewer bytes than announced
            handler.send_response(200)
            handler.send_header("Content-Type", "text/event-stream")
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
        else:
            _start_stream(handler)
        for part in _split(broken.text):
            _event(handler, _chunk({"content": part}))
        if broken.garbage:
            handler.wfile.write(f"data: {broken.garbage}\n\n".encode())


def tokens(value: Any) -> int:
    """What this server counts: a token for four bytes."""
    text = value if isinstance(value, str) else json.dumps(value)
    return (len(text.encode()) + 3) // 4


def _problems(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    problems = []
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                problems.append(f"a tool result without its call: {message['tool_call_id']}")
            else:
                waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            problems.append(f"tool calls without results: {waiting}")
        waiting = [call["id"] for call in message.get("tool_calls") or []]
        for call in message.get("tool_calls") or []:
            try:
                json.loads(call["function"]["arguments"])
            except ValueError:
                problems.append(f"arguments that are no JSON: {call['function']['arguments']!r}")
    return problems


def _split(text: str) -> list[str]:
    return [text[start : start + 50] for start in range(0, len(text), 50)]


def _head(kind: str) -> dict[str, Any]:
    return {"id": "chat-1", "object": kind, "created": 0, "model": "fake"}


def _chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {**_head("chat.completion.chunk"), "choices": [choice]}


def _start_stream(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.send_header("Connection", "close")
    handler.end_headers()


def _event(handler: BaseHTTPRequestHandler, content: Mapping[str, Any]) -> None:
    handler.wfile.write(f"data: {json.dumps(content)}\n\n".encode())


def _send(
    handler: BaseHTTPRequestHandler, status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> None:
    body = json.dumps(content).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def _fail(handler: BaseHTTPRequestHandler, fail: Fail) -> None:
    error = {"message": fail.message, "type": "error", "code": fail.code}
    _send(handler, fail.status, {"error": error}, fail.headers)
