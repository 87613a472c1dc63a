"""Conversations are shortened without losing the task, or a tool's result its call; token counts are upper bounds."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from discoenv.agents.llm.context import LEFT_OUT, Message, TokenCounts, trim
from tests.agents.llm.openai_server import _problems

HEAD: list[Message] = [{"role": "system", "content": "rules"}, {"role": "user", "content": "the task"}]


def turn(index: int, calls: int, length: int) -> list[Message]:
    if not calls:
        return [{"role": "assistant", "content": "x" * length}, {"role": "user", "content": "go on"}]
    ids = [f"{index}.{number}" for number in range(calls)]
    made = [{"id": each, "type": "function", "function": {"name": "run", "arguments": "{}"}} for each in ids]
    results = [{"role": "tool", "tool_call_id": each, "content": "x" * length} for each in ids]
    return [{"role": "assistant", "content": None, "tool_calls": made}, *results]


def count(messages: Sequence[Message]) -> int:
    return sum(len(message.get("content") or "") + 10 for message in messages)


TURNS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 300)), max_size=20)


@given(turns=TURNS, limit=st.integers(100, 2000))
def test_the_task_and_the_latest_turn_stay_and_no_result_is_orphaned(turns: list[tuple[int, int]], limit: int) -> None:
    parts = [turn(index, *each) for index, each in enumerate(turns)]
    messages = HEAD + [message for part in parts for message in part]
    short = trim(messages, limit, count)
    assert _problems(short) == []
    assert short[0] == HEAD[0]
    assert short[1]["content"].startswith("the task")
    if parts:
        assert short[-len(parts[-1]) :] == parts[-1]
    if count(messages) <= limit:
        assert short == messages
    elif short != messages:
        assert short[1]["content"].endswith(LEFT_OUT)
        smallest = count([*short[:2], *parts[-1]])
        assert count(short) <= max(limit // 2, smallest)
    assert trim(short, limit, count) == short or count(short) > limit
    again = trim([*short, *turn(99, 1, limit)], limit, count)
    assert again[1]["content"].count(LEFT_OUT) <= 1


def test_most_turns_are_not_trimmed_anew() -> None:
    messages = list(HEAD)
    trimmed = 0
    for index in range(200):
        messages += turn(index, 1, 40)
        short = trim(messages, 1000, count)
        trimmed += short != messages
        messages = short
    assert 10 < trimmed < 40


def test_what_was_counted_before_is_known_and_the_rest_is_bounded_by_bytes() -> None:
    counts = TokenCounts()
    first = counts.bound(HEAD)
    assert first >= len("rules") + len("the task")
    counts.learn(HEAD, (), 9)
    assert counts.bound(HEAD) == 9
    longer = [*HEAD, {"role": "assistant", "content": "äöü"}]
    assert counts.bound(longer) >= 9 + len("äöü".encode())
    assert counts.bound(HEAD, [{"type": "function"}]) > 9
    assert counts.estimate(longer) < counts.bound(longer)


def test_messages_in_a_new_arrangement_are_bounded_by_what_is_known_of_the_model() -> None:
    counts = TokenCounts()
    messages: list[Message] = [
        {"role": "user", "content": "word " * 1000},
        {"role": "assistant", "content": "so " * 900},
    ]
    before = counts.bound(messages[1:])
    counts.learn(messages, (), 1900)
    after = counts.bound(messages[1:])
    assert 900 <= after < before
