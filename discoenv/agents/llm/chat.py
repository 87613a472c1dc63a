"""A chat model behind any OpenAI-compatible endpoint: budgets that hold, retries, streaming, tools with or without API.

:class:`discoenv.episodes.transcript.CallRecorder` records what is sent and what comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from discoenv.agents.llm import text_tools
from discoenv.agents.llm.budget import Ledger, Reservation, Spent
from discoenv.agents.llm.context import MESSAGE_OVERHEAD, Message, TokenCounts
from discoenv.agents.llm.event_loop import EventLoop
from discoenv.agents.llm.failures import Failure, classify
from discoenv.agents.llm.streams import Answer, collect, from_completion
from discoenv.episodes.transcript import CallRecorder
from discoenv.errors import BudgetSpent, ChatError, PackageMissing

ToolCalls = Literal["auto", "native", "text"]

#: An answer that must be shorter than this is of no use, so it is not asked for.
LEAST_COMPLETION_TOKENS: Final = 256


@dataclass(frozen=True)
class ToolCall:
    """A tool that the model wants to use; ``arguments`` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Reply:
    """What the model answered.

    Attributes:
        text: what it says, tool calls in text included.
        tool_calls: the tools that it wants to use.
        message: the answer as a message to go on with.
        finish_reason: ``stop``, ``tool_calls``, ``length`` (it was cut off), …
        usage: prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens; and source, which is ``reported`` or
            ``estimated``.
        cost: of this answer, in the unit of the prices.
    """

    text: str
    tool_calls: tuple[ToolCall, ...]
    message: Message
    finish_reason: str
    usage: Mapping[str, Any] = field(default_factory=dict)
    cost: float = 0.0


@dataclass(frozen=True)
class Waiting:
    """What a model is waited for, see :attr:`ChatModel.on_wait`.

    Attributes:
        attempt: number of the attempt that goes on, or of the one that has just failed.
        attempts: most attempts.
        error: why the last attempt failed; empty for the first.
        charged_tokens: what that attempt was counted as.
        pause_s: seconds until the next attempt; None: the model has been asked.
        spent: what has been spent so far.
    """

    attempt: int
    attempts: int
    error: str
    charged_tokens: int
    pause_s: float | None
    spent: Spent


class ChatModel:
    """A language model. Many threads may use one at the same time.

    Args:
        model: its name at the endpoint.
        base_url: the endpoint; default: OPENAI_BASE_URL, then OpenAI's.
        api_key: default: OPENAI_API_KEY; servers at other addresses than OpenAI's may need none.
        ledger: what may be spent; default: no limits. Time spent waiting counts.
        temperature: None leaves it to the server.
        max_completion_tokens: most tokens of one answer, reasoning included.
        context_tokens: tokens of prompt and answer that the model can take.
        stream: read answers as they are written; servers then notice sooner when the client has gone.
        tool_calls: ``native`` uses the API's tools; ``text`` asks for them in the text; ``auto`` is native until the
            server says that it has no tools.
        retries: attempts after the first, for failures that may pass.
        timeout_s: seconds that one attempt may take.
        extra_body: further fields of the request, such as ``{"top_p": 0.9}``.
        sleep, jitter: how to wait between attempts; jitter gives numbers in [0, 1).

    Attributes:
        on_wait: called when an attempt begins, when one has failed and a pause begins, and, with None, when an answer
            is there or given up.

    Raises:
        ChatError: there is no key, and the address is OpenAI's own.
        PackageMissing: the package openai is not installed.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        ledger: Ledger | None = None,
        temperature: float | None = None,
        max_completion_tokens: int = 8192,
        context_tokens: int = 128_000,
        stream: bool = True,
        tool_calls: ToolCalls = "auto",
        retries: int = 6,
        timeout_s: float = 600.0,
        extra_body: Mapping[str, Any] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        try:
            import openai  # slow to import, and an extra
        except ModuleNotFoundError as error:
            raise PackageMissing("chat models need the package openai: pip install 'discoenv[agents]'") from error
        base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        api_key = api_key or os.environ.get("OPENAI_API_KEY") or ("none" if base_url else None)
        if api_key is None:
            raise ChatError("there is no API key: set OPENAI_API_KEY, or give the base URL of a server that needs none")
        self.model = model
        self.ledger = ledger or Ledger()
        self.temperature = temperature
        self.max_completion_tokens = max_completion_tokens
        self.context_tokens = context_tokens
        self.retries = retries
        self.timeout_s = timeout_s
        self.on_wait: Callable[[Waiting | None], None] = lambda waiting: None
        self._stream = stream
        self._tool_calls = tool_calls
        self._extra_body = dict(extra_body or {})
        self._sleep, self._jitter = sleep, jitter
        self._api_key = api_key
        self._limit_name = "max_completion_tokens" if base_url is None else "max_tokens"
        self._usage_in_stream = True
        self._measured = TokenCounts()
        self._loop = EventLoop()
        self._client = openai.AsyncOpenAI(api_key=api_key, base_url=base_url, max_retries=0, timeout=timeout_s)

    @property
    def tools_in_text(self) -> bool:
        """Whether tools are asked for in the text of messages."""
        return self._tool_calls == "text"

    def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        recorder: CallRecorder | None = None,
        conversation: str = "main",
        label: str | None = None,
        step: int | None = None,
    ) -> Reply:
        """One answer.

        Args:
            messages: the conversation, in chat-completions form.
            tools: in OpenAI's form.
            recorder: where the call is recorded; the API key never is.
            conversation, label, step: for the record: which of several conversations, what the call is for, and how
                many steps of the environment came before it.

        Raises:
            BudgetSpent: the answer could exceed the budget, so it was not asked for.
            ChatError: the server refused, or every attempt failed.
        """
        call = _Call(list(messages), list(tools))
        facts: dict[str, Any] = {"model": self.model, "conversation": conversation, "label": label, "step": step}
        try:
            answer = self._attempts(call)
        except (BudgetSpent, ChatError) as error:
            if call.failed or isinstance(error, ChatError):
                self._record(recorder, call, None, facts | {"error": f"{type(error).__name__}: {error}"})
            raise
        finally:
            self.on_wait(None)
        reply = self._reply(answer, call)
        facts |= {
            "finish_reason": answer.finish_reason,
            "usage": dict(reply.usage),
            "cost": reply.cost,
            "latency_s": round(call.latency_s, 3),
            "error": None,
        }
        if answer.reasoning:
            facts["reasoning"] = answer.reasoning
        self._record(recorder, call, reply.message, facts)
        return reply

    def describe(self) -> dict[str, Any]:
        """How the model is set up, for the record: neither the key nor what else an address may give away."""
        url = self._client.base_url
        budget, prices = asdict(self.ledger.budget), asdict(self.ledger.prices)
        return {
            "model": self.model,
            "base_url": f"{url.scheme}://{url.host}{f':{url.port}' if url.port else ''}{url.path}",
            "temperature": self.temperature,
            "max_completion_tokens": self.max_completion_tokens,
            "context_tokens": self.context_tokens,
            "tool_calls": self._tool_calls,
            "budget": {name: limit for name, limit in budget.items() if limit is not None},
            "prices": {name: price for name, price in prices.items() if price is not None},
        }

    def tool_results(self, reply: Reply, results: Sequence[tuple[ToolCall, str]]) -> list[Message]:
        """Messages with the results of the model's calls; append them after ``reply.message``."""
        if "tool_calls" in reply.message:
            return [{"role": "tool", "tool_call_id": call.id, "content": text} for call, text in results]
        return [{"role": "user", "content": text_tools.results([(call.name, text) for call, text in results])}]

    def tokens(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> int:
        """About how many tokens the messages are; learns from the usage that the server reports."""
        return self._measured.estimate(messages, tools)

    def close(self) -> None:
        """End the connections. Safe to call again."""
        self._loop.close(self._client.close)

    # ---- attempts

    def _attempts(self, call: _Call) -> Answer:
        adapted: set[str] = set()
        while True:
            messages, tools = self._wire(call)
            room = max(LEAST_COMPLETION_TOKENS, self.context_tokens - self._measured.estimate(messages, tools))
            bound, most = self._measured.bound(messages, tools), min(self.max_completion_tokens, room)
            reservation = self.ledger.reserve(bound, most, at_least=LEAST_COMPLETION_TOKENS)
            begin = time.monotonic()
            seconds_left = self.ledger.seconds_left()
            limit_s = self.timeout_s if seconds_left is None else min(self.timeout_s, seconds_left)
            call.parameters = self._parameters(reservation)
            self.on_wait(self._waiting(call))
            try:
                answer = self._loop.run(self._request(messages, tools, dict(call.parameters), limit_s))
            except BaseException as error:
                failure = classify(error)
                charged = self._charge(reservation, failure)
                if failure is None:
                    raise
                fix = self._adapt(failure, tools)
                if fix is not None and fix not in adapted:
                    adapted.add(fix)
                    continue
                self._wait(call, failure, charged, error)
                continue
            call.latency_s = time.monotonic() - begin
            self._settle(call, reservation, answer, messages, tools)
            return answer

    def _waiting(self, call: _Call, pause_s: float | None = None) -> Waiting:
        last: dict[str, Any] = call.failed[-1] if call.failed else {"error": "", "charged_tokens": 0}
        number = len(call.failed) + (pause_s is None)
        return Waiting(number, self.retries + 1, last["error"], last["charged_tokens"], pause_s, self.ledger.spent)

    def _charge(self, reservation: Reservation, failure: Failure | None) -> int:
        """What is not known to be free is counted as if all of the reservation had been used."""
        if failure is not None and not failure.may_be_billed:
            self.ledger.release(reservation)
            return 0
        return self.ledger.fail(reservation)

    def _wait(self, call: _Call, failure: Failure, charged: int, error: BaseException) -> None:
        """Wait before the next attempt, or give up."""
        attempt: dict[str, Any] = {"error": failure.message, "status": failure.status, "charged_tokens": charged}
        call.failed.append(attempt | {"waited_s": 0.0})
        seconds_left = self.ledger.seconds_left()
        if seconds_left == 0:
            raise BudgetSpent("seconds", "the time budget was spent while waiting for the model") from error
        if not failure.may_pass or len(call.failed) > self.retries:
            times = f" (after {len(call.failed)} attempts)" if len(call.failed) > 1 else ""
            raise ChatError(f"{self.model}: {failure.message}{times}", context=failure.context) from error
        wait_s = failure.wait_s(len(call.failed), self._jitter())
        if seconds_left is not None and wait_s >= seconds_left:
            raise BudgetSpent(
                "seconds", f"the model asks for {wait_s:.0f} s of patience; {seconds_left:.0f} s are left"
            )
        call.failed[-1]["waited_s"] = round(wait_s, 3)
        self.on_wait(self._waiting(call, wait_s))
        self._sleep(wait_s)

    def _adapt(self, failure: Failure, tools: Sequence[Mapping[str, Any]]) -> str | None:
        """Make do without what this server does not know; the name of what was changed."""
        if failure.status not in (400, 404, 422, 501):
            return None
        text = failure.message.lower()
        if "stream_options" in text:
            self._usage_in_stream = False
            return "stream_options"
        if "max_completion_tokens" in text or "max_tokens" in text:
            wrong = "max_tokens" if "unsupported" in text or "not supported" in text or "unrecognized" in text else ""
            if wrong:
                other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
                self._limit_name = other[self._limit_name]
                return "limit"
        if "temperature" in text and "support" in text and self.temperature is not None:
            self.temperature = None
            return "temperature"
        if tools and self._tool_calls == "auto" and "tool" in text:
            self._tool_calls = "text"
            return "tools"
        return None

    # ---- one request

    def _wire(self, call: _Call) -> tuple[list[Message], list[Mapping[str, Any]]]:
        """Messages and tools as they are sent."""
        if not call.tools or not self.tools_in_text:
            return call.messages, call.tools
        guide = text_tools.guide(call.tools)
        first, *rest = call.messages
        if first["role"] == "system":
            return [{**first, "content": f"{first['content']}\n\n{guide}"}, *rest], []
        return [{"role": "system", "content": guide}, *call.messages], []

    def _parameters(self, reservation: Reservation) -> dict[str, Any]:
        parameters: dict[str, Any] = {self._limit_name: reservation.completion_tokens}
        if self.temperature is not None:
            parameters["temperature"] = self.temperature
        return parameters | self._extra_body

    async def _request(
        self, messages: list[Message], tools: list[Mapping[str, Any]], parameters: dict[str, Any], limit_s: float
    ) -> Answer:
        arguments: dict[str, Any] = {"model": self.model, "messages": messages}
        for name in ("max_tokens", "max_completion_tokens", "temperature"):
            if name in parameters:
                arguments[name] = parameters.pop(name)
        if parameters:
            arguments["extra_body"] = parameters
        if tools:
            arguments["tools"] = tools
        async with asyncio.timeout(limit_s):
            if not self._stream:
                return from_completion(await self._client.chat.completions.create(**arguments))
            if self._usage_in_stream:
                arguments["stream_options"] = {"include_usage": True}
            async with await self._client.chat.completions.create(stream=True, **arguments) as stream:
                return await collect(stream)

    def _settle(
        self, call: _Call, reservation: Reservation, answer: Answer, messages: list[Message], tools: list[Any]
    ) -> None:
        usage = call.usage = _counted(reservation, answer)
        if answer.usage is not None and "prompt_tokens" in answer.usage:
            self._measured.learn(messages, tools, answer.usage["prompt_tokens"])
        call.cost = self.ledger.settle(
            reservation, usage["prompt_tokens"], usage["completion_tokens"], usage.get("cached_tokens", 0)
        )

    def _reply(self, answer: Answer, call: _Call) -> Reply:
        calls = [ToolCall(each["id"], each["name"], each["arguments"]) for each in answer.tool_calls]
        message: Message = {"role": "assistant", "content": answer.text or (None if calls else "")}
        if calls:
            message["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": _valid(c.arguments)}}
                for c in calls
            ]
        elif call.tools and self.tools_in_text:
            found = text_tools.parse_calls(answer.text)
            calls = [ToolCall(f"text_{index}", name, arguments) for index, (name, arguments) in enumerate(found, 1)]
        return Reply(answer.text, tuple(calls), message, answer.finish_reason, call.usage, call.cost)

    def _record(
        self, recorder: CallRecorder | None, call: _Call, message: Message | None, facts: Mapping[str, Any]
    ) -> None:
        if recorder is None:
            return
        recorder.redact(self._api_key)
        messages, _ = self._wire(call)
        rest: dict[str, Any] = {
            "tools": [tool["function"]["name"] for tool in call.tools],
            "parameters": {**call.parameters, "tool_calls": "text" if self.tools_in_text else "native"},
            "attempts": call.failed,
            "spent": self.ledger.spent.record(),
        }
        recorder.model_call(messages, message, {**facts, **rest})


def _counted(reservation: Reservation, answer: Answer) -> dict[str, Any]:
    """Tokens of an answer: as the server says, and what it does not say as we can bound it from what we see."""
    said = answer.usage or {}
    seen = len(answer.text.encode()) + len(answer.reasoning.encode())
    seen += sum(len(call["arguments"].encode()) + len(call["name"]) for call in answer.tool_calls)
    most = min(reservation.completion_tokens, seen + MESSAGE_OVERHEAD)
    prompt, completion, total = (said.get(f"{kind}_tokens") for kind in ("prompt", "completion", "total"))
    if seen and completion == 0:
        completion = None
    reported = prompt is not None and completion is not None
    if total is not None:  # it says how many they are, if not of which kind
        if completion is None:
            completion = min(most, total) if prompt is None else total - prompt
        prompt = max(0, total - completion) if prompt is None else prompt
    prompt = reservation.prompt_tokens if prompt is None else prompt
    completion = most if completion is None or completion <= 0 < seen else completion
    return {
        "prompt_tokens": prompt,
        "completion_tokens": max(0, completion),
        "cached_tokens": said.get("cached_tokens", 0),
        "reasoning_tokens": said.get("reasoning_tokens", 0),
        "source": "reported" if reported else "estimated",
    }


@dataclass
class _Call:
    """One call on its way."""

    messages: list[Message]
    tools: list[Mapping[str, Any]]
    parameters: dict[str, Any] = field(default_factory=dict)
    failed: list[dict[str, Any]] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    cost: float = 0.0
    latency_s: float = 0.0


def _valid(arguments: str) -> str:
    """Arguments as they can be sent back: some servers read them as JSON, and fail at what is none."""
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(json.loads(arguments), dict):
            return arguments
    return json.dumps({"not_valid_json": arguments})
