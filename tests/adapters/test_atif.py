"""Trajectories: what was sent, what the model answered, the tools that it called and what they returned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from discoenv.adapters.atif import SCHEMA, trajectory
from discoenv.cli.main import main
from discoenv.episodes.transcript import CallRecorder
from discoenv.errors import RunError
from discoenv.tools import TOOLS
from tests.conftest import MakeSession
from tests.viewer import recorded


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded.chat_run(tmp_path_factory.mktemp("chat"))


def of_validator(content: dict[str, Any]) -> dict[str, Any]:
    """The trajectory as Harbor's models have it, where Harbor is installed."""
    trajectories = pytest.importorskip("harbor.models.trajectories", reason="Harbor is not installed here")
    parsed: dict[str, Any] = trajectories.Trajectory.model_validate(content).to_json_dict()
    return parsed


def sound(content: dict[str, Any]) -> None:
    """The rules of the format that are about more than one field."""
    assert content["schema_version"] == SCHEMA
    assert [step["step_id"] for step in content["steps"]] == list(range(1, len(content["steps"]) + 1))
    for step in content["steps"]:
        calls = {call["tool_call_id"] for call in step.get("tool_calls", ())}
        results = step.get("observation", {"results": []})["results"]
        assert {result["source_call_id"] for result in results} <= calls
        assert step["source"] == "agent" or not {"tool_calls", "metrics", "model_name"} & step.keys()
        assert all(isinstance(call["arguments"], dict) for call in step.get("tool_calls", ()))
    assert content["final_metrics"]["total_steps"] == len(content["steps"])
    json.dumps(content)


def test_a_conversation_becomes_a_trajectory(chat: Path) -> None:
    content = trajectory(chat)
    sound(content)
    assert [tool["function"]["name"] for tool in content["agent"]["tool_definitions"]] == [tool.name for tool in TOOLS]
    steps = content["steps"]
    assert [step["source"] for step in steps[:3]] in (["system", "user", "agent"], ["user", "agent", "agent"])
    called = [call["function_name"] for step in steps for call in step.get("tool_calls", ())]
    assert "run" in called
    assert "submit" in called
    answered = [result for step in steps for result in step.get("observation", {"results": []})["results"]]
    assert [result["content"] for result in answered] == [
        "There is no such file.",
        "Staged.",
        "ValueError",
        "mean 1.5",
        "reward",
    ]
    texts = [step["message"] for step in steps if step["source"] != "agent"]
    assert len(texts) == len(set(texts))
    assert content["final_metrics"]["total_prompt_tokens"] > 0
    assert content["extra"]["discoenv"]["reward"] is not None


def test_calls_without_a_model_are_steps_of_their_own(make_session: MakeSession, good: dict[str, str]) -> None:
    session = make_session()
    assert isinstance(session.recorder, CallRecorder)
    session.recorder.agent("claude-code", {"adapter": "mcp"})
    for name, text in good.items():
        session.call("write_file", {"path": name, "content": text}, call_id="7", source="mcp:claude-code")
    session.call("run", "{broken")
    session.submit_best()
    session.close()
    run = session.recorder.path.parent
    content = trajectory(run)
    sound(content)
    assert content["agent"]["name"] == "claude-code"
    first, *others = content["steps"]
    assert (first["source"], "## Your task" in first["message"]) == ("user", True)
    assert [step["tool_calls"][0]["function_name"] for step in others] == ["write_file", "write_file", "run", "submit"]
    assert [step["llm_call_count"] for step in others] == [0, 0, 0, 0]
    assert others[2]["tool_calls"][0]["arguments"] == {"not_valid_json": "{broken"}
    assert content["extra"]["discoenv"]["reward"] == session.reward


def test_harbors_models_take_it(chat: Path, make_session: MakeSession) -> None:
    content = trajectory(chat)
    assert of_validator(content)["steps"] == content["steps"]
    session = make_session()
    session.submit()
    session.close()
    assert isinstance(session.recorder, CallRecorder)
    of_validator(trajectory(session.recorder.path.parent))


def test_the_command_writes_a_file_or_prints(chat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", "atif", str(chat), "--out", str(tmp_path / "trajectory.json")])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["export", "atif", str(chat)])
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "trajectory.json").read_text())
    with pytest.raises(RunError):
        trajectory(tmp_path)
