"""The chat client against a real HTTP server: faults are survived, budgets hold, records are complete."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from discoenv.agents.llm import chat as chat_module
from discoenv.agents.llm import streams
from discoenv.agents.llm.budget import Budget, Ledger, Prices
from discoenv.episodes.transcript import CallRecorder, read_calls
from discoenv.errors import BudgetSpent, ChatError
from tests.agents.conftest import KEY, MakeModel
from tests.agents.llm.openai_server import Answer, Break, Fail, FakeOpenAI, Say, tokens

HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add numbers.",
        "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
    },
}


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_has_text_calls_and_usage(make_model: MakeModel, stream: bool) -> None:
    say = Say("Adding. " * 20, [("add", {"x": 1}), ("add", {"x": 2})], reasoning="Hm, hm." if stream else "")
    with FakeOpenAI([say]) as server:
        reply = make_model(server.url, stream=stream).complete(HELLO, [TOOL])
    assert reply.text == "Adding. " * 20
    assert [(call.name, json.loads(call.arguments)) for call in reply.tool_calls] == [
        ("add", {"x": 1}),
        ("add", {"x": 2}),
    ]
    assert len({call.id for call in reply.tool_calls}) == 2
    assert reply.finish_reason == "tool_calls"
    assert {**server.answered[0], **reply.usage} == {**reply.usage, "total_tokens": server.tokens}
    assert reply.usage["source"] == "reported"
    assert server.requests[0]["tools"] == [TOOL]
    assert server.requests[0]["max_tokens"] == 2000


def test_tool_calls_without_index_and_id_are_distinguished(make_model: MakeModel) -> None:
    with FakeOpenAI([Say("", [("add", {"x": 1}), ("add", {"x": 2})], whole_calls=True)]) as server:
        reply = make_model(server.url).complete(HELLO, [TOOL])
    assert [json.loads(call.arguments)["x"] for call in reply.tool_calls] == [1, 2]
    assert len({call.id for call in reply.tool_calls}) == 2


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        Fail(429, "slow down"),
        Fail(500),
        Fail(503),
        Fail(408),
        Break(silent=True),
        Break(drop=True),
        Break(),
        Break(garbage='{"id": '),
        Break(garbage='{"error": {"message": "overloaded"}}'),
    ],
    ids=lambda fault: f"{fault}"[:40],
)
def test_faults_that_may_pass_are_survived(
    make_model: MakeModel, waits: list[float], fault: Answer, stream: bool, tmp_path: Path
) -> None:
    recorder = CallRecorder(tmp_path)
    with FakeOpenAI([fault, fault, Say("Hello!")]) as server:
        reply = make_model(server.url, stream=stream).complete(HELLO, recorder=recorder)
    assert reply.text == "Hello!"
    assert len(server.requests) == 3
    assert waits == [0.5, 1.0]
    (call,) = read_calls(tmp_path)
    assert len(call["attempts"]) == 2
    assert all(attempt["error"] for attempt in call["attempts"])


@pytest.mark.parametrize(
    ("headers", "waited"),
    [({"Retry-After": "7"}, 7.0), ({"Retry-After-Ms": "2500"}, 2.5), ({"Retry-After": "soon"}, 0.5), ({}, 0.5)],
)
def test_the_server_says_how_long_to_wait(
    make_model: MakeModel, waits: list[float], headers: dict[str, str], waited: float
) -> None:
    with FakeOpenAI([Fail(429, headers=headers), Say("Hello!")]) as server:
        make_model(server.url).complete(HELLO)
    assert waits == [waited]


def test_after_the_last_retry_it_gives_up_and_says_why(
    make_model: MakeModel, waits: list[float], tmp_path: Path
) -> None:
    with FakeOpenAI([], repeat=Fail(500, "the model is on fire")) as server:
        with pytest.raises(ChatError, match=r"on fire.*after 4 attempts"):
            make_model(server.url, retries=3).complete(HELLO, recorder=CallRecorder(tmp_path))
        assert len(server.requests) == 4
    assert waits == [0.5, 1.0, 2.0]
    (call,) = read_calls(tmp_path)
    assert call["reply"] is None
    assert call["messages"] == HELLO
    assert len(call["attempts"]) == 4
    assert "on fire" in call["error"]


@pytest.mark.parametrize(
    "fail",
    [
        Fail(401, "bad key"),
        Fail(404, "no such model"),
        Fail(400, "no"),
        Fail(429, "pay first", code="insufficient_quota"),
        Fail(429, "come back tomorrow", headers={"Retry-After": "86400"}),
    ],
)
def test_what_cannot_pass_is_not_tried_again(make_model: MakeModel, waits: list[float], fail: Fail) -> None:
    with FakeOpenAI([fail]) as server:
        with pytest.raises(ChatError, match=fail.message):
            make_model(server.url).complete(HELLO)
        assert len(server.requests) == 1
    assert waits == []


def test_a_server_that_cannot_be_reached_costs_nothing(make_model: MakeModel, waits: list[float]) -> None:
    with FakeOpenAI([]) as server:
        url = server.url
    model = make_model(url, retries=2)
    with pytest.raises(ChatError, match="ConnectError"):
        model.complete(HELLO)
    assert len(waits) == 2
    assert (model.ledger.spent.tokens, model.ledger.spent.calls) == (0, 0)


def test_a_context_that_is_too_long_is_distinguished(make_model: MakeModel) -> None:
    too_long = Fail(400, "This model's maximum context length is 100 tokens")
    with FakeOpenAI([too_long]) as server, pytest.raises(ChatError) as caught:
        make_model(server.url).complete(HELLO)
    assert caught.value.context


# ---- servers that know less


def test_a_server_without_tools_is_asked_in_text(make_model: MakeModel) -> None:
    answer = 'Sure.\n```tool\n{"tool": "add", "arguments": {"x": 1}}\n```\n'
    with FakeOpenAI([Fail(400, "this model does not support tools"), Say(answer), Say("Done.")]) as server:
        model = make_model(server.url)
        reply = model.complete(HELLO, [TOOL])
        messages = [*HELLO, reply.message, *model.tool_results(reply, [(reply.tool_calls[0], "3")])]
        model.complete(messages, [TOOL])
    assert [(call.name, json.loads(call.arguments)) for call in reply.tool_calls] == [("add", {"x": 1})]
    assert "tools" not in server.requests[1]
    assert "Add numbers." in server.requests[1]["messages"][0]["content"]
    assert server.requests[2]["messages"][-1] == {"role": "user", "content": "Result of add:\n\n3"}
    assert model.ledger.spent.calls == 2


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("Unrecognized request argument supplied: stream_options", "stream_options"),
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'",
            "max_tokens",
        ),
        ("temperature does not support 0.5 with this model", "temperature"),
    ],
)
def test_fields_that_a_server_does_not_know_are_left_out(make_model: MakeModel, message: str, field: str) -> None:
    with FakeOpenAI([Fail(400, message), Say("Hello!")]) as server:
        make_model(server.url, temperature=0.5).complete(HELLO)
    assert field in server.requests[0]
    assert field not in server.requests[1]


def test_a_limit_on_the_answer_is_always_sent(make_model: MakeModel) -> None:
    unsupported = "Unsupported parameter: 'max_tokens' is not supported with this model."
    with FakeOpenAI([Fail(400, unsupported), Say("Hello!")]) as server:
        make_model(server.url).complete(HELLO)
    assert server.requests[1]["max_completion_tokens"] == 2000


def test_usage_that_is_not_reported_is_estimated_from_above(make_model: MakeModel) -> None:
    with FakeOpenAI([Say("Hello, hello, hello!", report_usage=False)]) as server:
        model = make_model(server.url)
        reply = model.complete(HELLO)
    assert reply.usage["source"] == "estimated"
    assert reply.usage["prompt_tokens"] >= server.answered[0]["prompt_tokens"]
    assert reply.usage["completion_tokens"] >= server.answered[0]["completion_tokens"]
    assert model.ledger.spent.tokens >= server.tokens


#: What servers were seen to send where usage should be, or could send.
ODD_USAGE: list[Any] = [
    {"total_tokens": 60},
    {"prompt_tokens": -5, "completion_tokens": -7, "total_tokens": -12},
    {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    {"prompt_tokens": "many", "completion_tokens": None},
    {"prompt_tokens": 50.5, "completion_tokens": True},
    {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
    {"prompt_tokens": 30, "total_tokens": 60},
    {"completion_tokens": 30, "total_tokens": 60},
    {"prompt_tokens": 30},
    {"completion_tokens": 30},
    {"prompt_tokens": 30, "completion_tokens": 0},
    {"prompt_tokens": 30, "total_tokens": 3},
    {},
    [],
    "none",
    3,
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("usage", ODD_USAGE)
def test_whatever_usage_is_reported_the_budget_counts(make_model: MakeModel, stream: bool, usage: Any) -> None:
    with FakeOpenAI([], repeat=Say("Hello, hello! " * 5, odd={"usage": usage})) as server:
        model = make_model(server.url, stream=stream, ledger=Ledger(Budget(tokens=20_000, calls=3)))
        for number in range(1, 4):
            reply = model.complete(HELLO)
            prompt, completion = (reply.usage[f"{kind}_tokens"] for kind in ("prompt", "completion"))
            assert prompt + completion >= 30
            assert min(prompt, completion) >= 0
            assert model.ledger.spent.tokens >= 30 * number
            assert reply.usage["source"] == "estimated"
    assert chatter(make_model(server.url, ledger=Ledger(Budget(calls=0)))) == "calls"


def test_a_total_alone_is_counted_as_it_is(make_model: MakeModel) -> None:
    with FakeOpenAI([Say("Hello!", odd={"usage": {"total_tokens": 77}})]) as server:
        model = make_model(server.url)
        model.complete(HELLO)
    assert model.ledger.spent.tokens == 77


@pytest.mark.parametrize("limit", [1500, 5000])
def test_a_budget_holds_where_only_totals_are_reported(make_model: MakeModel, limit: int) -> None:
    """Even where the totals are wrong: what was seen counts at least."""
    with FakeOpenAI([], repeat=Say("Hello, hello! " * 40, odd={"usage": {"total_tokens": -1}})) as server:
        model = make_model(server.url, ledger=Ledger(Budget(tokens=limit)))
        assert chatter(model) == "tokens"
    assert 0 < server.tokens <= model.ledger.spent.tokens <= limit


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}], "Hello"),
        ([{"type": "image_url"}, "Hello", 3, None], "Hello"),
        ([{"type": "text", "text": {"value": "Hello"}}], "Hello"),
        ({"value": "Hello"}, "Hello"),
        (3, ""),
        ("\ud800", "\\ud800"),
    ],
)
def test_content_of_other_kinds_is_read(make_model: MakeModel, stream: bool, content: Any, text: str) -> None:
    with FakeOpenAI([Say(odd={"content": content}), Say("And?")]) as server:
        model = make_model(server.url, stream=stream)
        reply = model.complete(HELLO)
        assert reply.text == text
        model.complete([*HELLO, reply.message, HELLO[1]])
    assert not server.problems


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([{"index": 0, "id": "a", "function": {"name": "add", "arguments": {"x": 1}}}], [("add", {"x": 1})]),
        ([{"index": 0, "id": 7, "function": {"name": "add", "arguments": None}}], [("add", None)]),
        ([{"index": "first", "function": {"name": "add", "arguments": "{}"}}], [("add", {})]),
        ({"name": "add"}, []),
        ("add", []),
    ],
)
def test_tool_calls_of_other_kinds_are_read(make_model: MakeModel, stream: bool, calls: Any, expected: Any) -> None:
    with FakeOpenAI([Say(odd={"tool_calls": calls})]) as server:
        reply = make_model(server.url, stream=stream).complete(HELLO, [TOOL])
    got = [(call.name, json.loads(call.arguments) if call.arguments else None) for call in reply.tool_calls]
    assert got == expected


# ---- budgets


def chatter(model: chat_module.ChatModel, turns: int = 200) -> str:
    """Talk until the budget ends it; what it was that ended."""
    messages = list(HELLO)
    for _ in range(turns):
        try:
            reply = model.complete(messages)
        except BudgetSpent as error:
            return error.what
        messages += [reply.message, {"role": "user", "content": "And then? " * 10}]
    return "turns"


@pytest.mark.parametrize("limit", [600, 1500, 5000, 20_000])
def test_the_token_budget_is_never_exceeded(make_model: MakeModel, limit: int) -> None:
    with FakeOpenAI([], repeat=Say("And then more. " * 400)) as server:
        model = make_model(server.url, ledger=Ledger(Budget(tokens=limit)))
        assert chatter(model) == "tokens"
        assert server.tokens == model.ledger.spent.tokens <= limit
        assert server.tokens > 0.2 * limit


@pytest.mark.parametrize("prices", [Prices(1.0, 10.0), Prices(0.0, 10.0), Prices(5.0, 0.0), Prices(2.0, 8.0, 0.5)])
def test_the_cost_budget_is_never_exceeded(make_model: MakeModel, prices: Prices) -> None:
    with FakeOpenAI([], repeat=Say("And then more. " * 100)) as server:
        model = make_model(server.url, ledger=Ledger(Budget(cost=0.02), prices))
        assert chatter(model) == "cost"
        cost = sum(prices.cost(usage["prompt_tokens"], usage["completion_tokens"]) for usage in server.answered)
        assert model.ledger.spent.cost == pytest.approx(cost)
        assert 0.005 < cost <= 0.02


def test_broken_answers_are_paid_for(make_model: MakeModel) -> None:
    with FakeOpenAI([], repeat=Break(drop=True)) as server:
        model = make_model(server.url, ledger=Ledger(Budget(tokens=7000)), retries=100)
        assert chatter(model) == "tokens"
        most = sum(request["max_tokens"] + tokens(request["messages"]) for request in server.requests)
        assert len(server.requests) > 1
        assert 6000 < most <= model.ledger.spent.tokens <= 7000


def test_refusals_cost_nothing(make_model: MakeModel) -> None:
    with FakeOpenAI([Fail(429), Fail(500), Say("Hello!")]) as server:
        model = make_model(server.url, ledger=Ledger(Budget(tokens=5000, calls=1)))
        model.complete(HELLO)
        assert model.ledger.spent.tokens == server.tokens
        with pytest.raises(BudgetSpent) as caught:
            model.complete(HELLO)
    assert caught.value.what == "calls"
    assert len(server.requests) == 3


def test_a_wait_that_is_longer_than_the_time_left_is_not_begun(make_model: MakeModel, waits: list[float]) -> None:
    with FakeOpenAI([Fail(429, headers={"Retry-After": "120"})]) as server, pytest.raises(BudgetSpent) as caught:
        make_model(server.url, ledger=Ledger(Budget(seconds=100))).complete(HELLO)
    assert caught.value.what == "seconds"
    assert waits == []


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_outlasts_the_time_budget_is_cut_off(make_model: MakeModel, stream: bool) -> None:
    with FakeOpenAI([Say("too late", delay_s=5.0)]) as server:
        model = make_model(server.url, stream=stream, ledger=Ledger(Budget(seconds=0.2)))
        with pytest.raises(BudgetSpent) as caught:
            model.complete(HELLO)
    assert caught.value.what == "seconds"
    assert model.ledger.spent.calls == 1  # it may be billed


def test_an_attempt_that_takes_too_long_is_repeated(make_model: MakeModel, waits: list[float]) -> None:
    with FakeOpenAI([Say("too late", delay_s=5.0), Say("Hello!")]) as server:
        assert make_model(server.url, timeout_s=0.5).complete(HELLO).text == "Hello!"
    assert len(waits) == 1


@pytest.mark.parametrize("tail", ["break", "hang"])
def test_an_answer_whose_stream_breaks_or_hangs_after_its_end_is_not_charged_twice(
    make_model: MakeModel, waits: list[float], monkeypatch: pytest.MonkeyPatch, tail: str
) -> None:
    monkeypatch.setattr(streams, "_TAIL_S", 0.1)
    with FakeOpenAI([Say("Hello!", [("add", {"x": 1})], tail=tail)]) as server:
        model = make_model(server.url, timeout_s=30.0)
        reply = model.complete(HELLO, [TOOL])
    assert (reply.text, [call.arguments for call in reply.tool_calls]) == ("Hello!", ['{"x": 1}'])
    assert reply.usage["source"] == "estimated"
    assert (len(server.requests), waits) == (1, [])
    assert (model.ledger.spent.calls, model.ledger.spent.failed_calls) == (1, 0)


def test_what_failed_attempts_cost_is_counted_once_and_shown_while_one_waits(make_model: MakeModel) -> None:
    seen: list[chat_module.Waiting | None] = []
    with FakeOpenAI([Fail(429, "slow down"), Break(), Say("Hello!")]) as server:
        model = make_model(server.url)
        model.on_wait = seen.append
        model.complete(HELLO)
    spent = model.ledger.spent
    assert (spent.calls, spent.failed_calls) == (2, 1)
    assert 0 < spent.failed_tokens == spent.tokens - server.tokens
    *attempts, last = seen
    assert last is None
    assert [(each.attempt, each.pause_s is None) for each in attempts if each] == [
        (1, True), (1, False), (2, True), (2, False), (3, True),
    ]  # fmt: skip
    assert [each.charged_tokens for each in attempts if each] == [0, 0, 0, spent.failed_tokens, spent.failed_tokens]
    assert attempts[1] is not None and "slow down" in attempts[1].error
    assert attempts[4] is not None and attempts[4].spent.failed_tokens == spent.failed_tokens
    assert "of them in 1 failed attempt" in str(spent)
    assert all(each.attempts == 7 for each in attempts if each)


def test_many_threads_share_a_budget(make_model: MakeModel) -> None:
    with FakeOpenAI([], repeat=Say("And then more. " * 40)) as server:
        model = make_model(server.url, ledger=Ledger(Budget(tokens=20_000, calls=40)))
        ended: list[str] = []
        threads = [threading.Thread(target=lambda: ended.append(chatter(model))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ended) == 8
        assert set(ended) <= {"tokens", "calls"}
        assert server.tokens == model.ledger.spent.tokens <= 20_000
        assert len(server.answered) == model.ledger.spent.calls <= 40


# ---- records


def test_calls_are_recorded_without_repetition_and_without_the_key(make_model: MakeModel, tmp_path: Path) -> None:
    marker = "a sentence that is said only once"
    with FakeOpenAI(
        [Say(marker, reasoning="Hm."), Fail(401, f"the key {KEY} is wrong"), Say(f"Is it {KEY}?")]
    ) as server:
        model = make_model(server.url)
        recorder = CallRecorder(tmp_path)
        recorder.agent("test", model.describe())
        first = model.complete(HELLO, recorder=recorder, step=3)
        messages = [*HELLO, first.message, {"role": "user", "content": "Again?"}]
        with pytest.raises(ChatError):
            model.complete(messages, recorder=recorder)
        model.complete(messages, recorder=CallRecorder(tmp_path), label="resumed")
    text = (tmp_path / "calls.jsonl").read_text()
    assert KEY not in text
    assert "[redacted]" in text
    assert text.count(marker) == 1
    agent, one, two, three = read_calls(tmp_path)
    assert (agent["name"], agent["options"]["base_url"]) == ("test", server.url + "/")
    assert one["messages"] == HELLO
    assert one["reply"] == first.message
    assert one["reasoning"] == "Hm."
    assert one["step"] == 3
    assert two["messages"] == three["messages"] == messages
    assert (two["reply"], three["label"]) == (None, "resumed")
    assert [one["call"], two["call"], three["call"]] == [1, 2, 3]
    assert one["spent"]["tokens"] == one["usage"]["prompt_tokens"] + one["usage"]["completion_tokens"]


def test_a_record_that_was_cut_off_can_be_read(tmp_path: Path) -> None:
    CallRecorder(tmp_path).tool_call({"name": "run"})
    with (tmp_path / "calls.jsonl").open("a") as file:
        file.write('{"event": "tool_c')
    (call,) = read_calls(tmp_path)
    assert call["name"] == "run"
    assert read_calls(tmp_path / "elsewhere") == []


def test_no_key_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ChatError, match="set OPENAI_API_KEY"):
        chat_module.ChatModel("gpt")
    local: dict[str, Any] = {"base_url": "http://localhost:1/v1"}
    chat_module.ChatModel("llama", **local)
