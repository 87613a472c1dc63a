"""The tool-calling agent plays whole episodes against a real HTTP server, whatever goes wrong on the way."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from discoenv.agents.display import ChatDisplay
from discoenv.agents.llm import react
from discoenv.agents.llm.budget import Budget, Ledger
from discoenv.episodes.transcript import read_calls
from tests.agents.conftest import KEY, MakeModel
from tests.agents.llm.openai_server import Answer, Break, Fail, FakeOpenAI, Say
from tests.conftest import MakeSession

ROOT = Path(__file__).resolve().parents[3]


def writing(files: dict[str, str]) -> list[tuple[str, Any]]:
    return [("write_file", {"path": name, "content": text}) for name, text in files.items()]


def test_an_episode_with_every_fault_is_played_to_its_end(
    make_session: MakeSession, make_model: MakeModel, good: dict[str, str], waits: list[float]
) -> None:
    script: list[Answer] = [
        Fail(429, headers={"Retry-After": "3"}),
        Say("First I look around.", [("list_files", {}), ("read_file", {"path": "description.md"})]),
        Fail(500),
        Break(drop=True),
        Say("", [("write_file", '{"path": "model.py", "content": "x = ')]),  # cut off
        Say("", [("make_it_good", {"now": True}), ("run", {"datasets": ["Elsewhere"]})]),
        Say("I think about it."),
        Break(),
        Say("Now I write.", writing(good)),
        Break(garbage="{"),
        Say("", [("run", {}), ("add_note", {"text": "polynomials"})]),
        Say("Good enough.", [("submit", {}), ("run", {})]),
    ]
    session = make_session(max_steps=3)
    with FakeOpenAI(script) as server:
        outcome = react.play(session, make_model(server.url), display=ChatDisplay())
    assert (outcome.reward or 0) == session.reward > 1
    assert (outcome.ended_by, outcome.runs) == ("submit", 1)
    assert server.problems == []
    assert len(server.requests) == len(script)
    assert waits == [3.0, 0.5, 1.0, 0.5, 0.5]

    def told(index: int) -> list[str]:
        return [message["content"] for message in server.requests[index]["messages"] if message["role"] == "tool"]

    assert "Toy regression" in told(2)[1]
    assert "not valid JSON" in told(5)[-1]
    assert "there is no tool 'make_it_good'" in told(6)[-2]
    assert "'Elsewhere' is not a meta-train dataset" in told(6)[-1]
    assert "You called no tool" in server.requests[7]["messages"][-1]["content"]
    calls = read_calls(Path(session.info["run_directory"]))
    kinds = [call["event"] for call in calls]
    assert (kinds[0], kinds[-1]) == ("agent", "end")
    assert kinds.count("model_call") == 7
    assert sum(len(call["attempts"]) for call in calls if call["event"] == "model_call") == 5
    assert [call["name"] for call in calls if call["event"] == "tool_call" and not call["ok"]] == [
        "write_file",
        "make_it_good",
        "run",
        "run",  # after the end
    ]
    assert calls[-1]["reward"] == outcome.reward
    text = (Path(session.info["run_directory"]) / "calls.jsonl").read_text()
    assert KEY not in text
    assert text.count("First I look around.") == 1


def test_a_model_without_tools_plays_in_text(
    make_session: MakeSession, make_model: MakeModel, good: dict[str, str]
) -> None:
    blocks = "".join(
        f'```tool\n{{"tool": "write_file", "arguments": {{"path": "{name}"}}}}\n```\n```python\n{text}```\n'
        for name, text in good.items()
    )
    script = [
        Say(f"I write both.\n{blocks}"),
        Say('```tool\n{"tool": "run", "arguments": {}\n```'),  # a brace is missing
        Say('```tool\n{"tool": "run", "arguments": {}}\n```'),
        Say('```tool\n{"tool": "submit"}\n```'),
    ]
    session = make_session()
    with FakeOpenAI(script) as server:
        outcome = react.play(session, make_model(server.url, tool_calls="text"))
    assert (outcome.ended_by, outcome.runs) == ("submit", 1)
    assert (outcome.reward or 0) > 1
    assert "tools" not in server.requests[0]
    assert "* `replace_in_file`:" in server.requests[0]["messages"][0]["content"]
    assert "the arguments are not valid JSON" in server.requests[2]["messages"][-1]["content"]
    roles = [message["role"] for message in server.requests[3]["messages"]]
    assert roles == ["system", "user", *["assistant", "user"] * 3]


@pytest.mark.parametrize("budget", [Budget(calls=2), Budget(tokens=14_000)])
def test_a_spent_budget_submits_the_best_run(
    make_session: MakeSession, make_model: MakeModel, good: dict[str, str], budget: Budget
) -> None:
    session = make_session()
    script = [Say("", [*writing(good), ("run", {})]), Say("", writing({"features.py": "worse("}))]
    with FakeOpenAI(script, repeat=Say("Hm. " * 3000, [("read_notes", {})])) as server:
        model = make_model(server.url, ledger=Ledger(budget))
        outcome = react.play(session, model)
        assert outcome.ended_by == "budget"
        assert len(server.answered) >= 2
        assert server.tokens == outcome.spent.tokens <= (budget.tokens or server.tokens)
        assert len(server.answered) <= (budget.calls or len(server.answered))
    assert (outcome.reward or 0) > 1
    assert session.observation["files"] == good


def test_the_model_learns_what_is_left_of_the_budget(
    make_session: MakeSession, make_model: MakeModel, good: dict[str, str]
) -> None:
    with FakeOpenAI([], repeat=Say("", [("list_files", {})])) as server:
        react.play(make_session(), make_model(server.url, ledger=Ledger(Budget(calls=5))))
        last = [request["messages"][-1]["content"] for request in server.requests]
    assert all("Left of your budget" not in text for text in last[:3])
    assert "Left of your budget: 1 calls." in last[4]


def test_a_model_that_cannot_be_had_loses_nothing(
    make_session: MakeSession, make_model: MakeModel, good: dict[str, str]
) -> None:
    with FakeOpenAI([Say("", writing(good))], repeat=Fail(401, "the key has expired")) as server:
        outcome = react.play(make_session(), make_model(server.url))
    assert outcome.ended_by == "model_error"
    assert "the key has expired" in outcome.reason
    assert outcome.reward is not None and outcome.reward > 1
    assert outcome.exit_status == 4, "the endpoint failed, whatever was submitted"


def test_a_model_that_only_talks_is_not_asked_for_ever(make_session: MakeSession, make_model: MakeModel) -> None:
    with FakeOpenAI([], repeat=Say("What a task!")) as server:
        outcome = react.play(make_session(), make_model(server.url))
        assert len(server.requests) == react.MOST_SILENT + 1
    assert (outcome.ended_by, outcome.reward) == ("silent", None)


@pytest.mark.parametrize(
    ("answer", "ended_by", "status", "reason"),
    [
        (Fail(401, "the key has expired"), "model_error", 4, "the key has expired"),
        (Fail(429, "slow down"), "model_error", 4, "(after 7 attempts)"),
        (Say("What a task!"), "silent", 5, "no file was ever edited"),
        (Say("", [("list_files", {})]), "budget", 3, "calls is spent"),
        (Say("", [("run", {})]), "steps", 0, ""),
    ],
)
def test_an_agent_that_never_edited_submits_nothing(
    make_session: MakeSession, make_model: MakeModel, answer: Answer, ended_by: str, status: int, reason: str
) -> None:
    session = make_session(max_steps=1)
    with FakeOpenAI([], repeat=answer) as server:
        outcome = react.play(session, make_model(server.url, ledger=Ledger(Budget(calls=4))), display=ChatDisplay())
    assert (outcome.ended_by, outcome.exit_status) == (ended_by, status)
    assert reason in outcome.reason
    events = (Path(session.info["run_directory"]) / "episode.jsonl").read_text().splitlines()
    end = read_calls(Path(session.info["run_directory"]))[-1]
    assert (end["event"], end["ended_by"], end["reason"], end["reward"]) == (
        "end",
        ended_by,
        outcome.reason,
        outcome.reward,
    )
    if status:
        assert outcome.reward is None
        assert len(events) == 1, "nothing was examined"
        assert "no file was ever edited, so nothing was submitted" in outcome.reason
        assert not session.over


def test_an_agent_that_edited_submits_what_it_has(
    make_session: MakeSession, make_model: MakeModel, good: dict[str, str]
) -> None:
    with FakeOpenAI([Say("", writing(good))], repeat=Say("Done.")) as server:
        outcome = react.play(make_session(), make_model(server.url))
    assert outcome.reward is not None and outcome.reward > 1
    assert (outcome.ended_by, outcome.exit_status) == ("silent", 0)


def test_running_to_the_last_step_ends_the_episode(
    make_session: MakeSession, make_model: MakeModel, good: dict[str, str]
) -> None:
    changed = {name: f"{text}# changed\n" for name, text in good.items()}  # to run the same files again costs no step
    script = [Say("", [*writing(good), ("run", {})]), Say("", [*writing(changed), ("run", {})])]
    with FakeOpenAI(script) as server:
        outcome = react.play(make_session(max_steps=2), make_model(server.url))
    assert (outcome.ended_by, outcome.runs) == ("steps", 2)
    assert (outcome.reward or 0) > 1


def test_long_conversations_are_shortened(make_session: MakeSession, make_model: MakeModel) -> None:
    script = [Say("", [("read_file", {"path": "Line/exam/__init__.py"})]) for _ in range(12)]
    with FakeOpenAI([*script, Say("", [("submit", {})])]) as server:
        outcome = react.play(make_session(), make_model(server.url, context_tokens=12_000))
        sizes = [usage["prompt_tokens"] for usage in server.answered]
    assert outcome.ended_by == "submit"
    assert server.problems == []
    assert max(sizes) < 12_000
    assert any(later < earlier for earlier, later in itertools.pairwise(sizes))
    assert all(request["messages"][1]["content"].startswith("# Toy regression") for request in server.requests)


def test_a_server_with_less_context_than_configured_is_survived(
    make_session: MakeSession, make_model: MakeModel
) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        if len(json.dumps(body["messages"])) > 40_000:
            return Fail(400, "maximum context length exceeded")
        done = len(server.answered) >= 12
        return Say("", [("submit", {})] if done else [("read_file", {"path": "Line/exam/__init__.py"})])

    with FakeOpenAI(answer) as server:
        outcome = react.play(make_session(), make_model(server.url))
        refused = len(server.requests) - len(server.answered)
    assert outcome.ended_by == "submit"
    assert refused >= 1
    assert server.problems == []


def test_an_answer_that_was_cut_off_is_remarked_upon(make_session: MakeSession, make_model: MakeModel) -> None:
    script = [Say("", [("write_file", {"path": "model.py", "content": "x" * 9000})]), Say("", [("submit", {})])]
    with FakeOpenAI(script) as server:
        react.play(make_session(), make_model(server.url, max_completion_tokens=500))
    assert "Your answer was cut off" in server.requests[1]["messages"][-1]["content"]
