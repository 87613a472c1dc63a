"""NeMo Gym: the server over HTTP as its agent uses it, rewards as in Gymnasium, failures as failures of requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import yaml

from discoenv.adapters.session import TaskEntry
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from discoenv.tools import TOOLS
from tests.adapters import playing
from tests.adapters.playing import Call, Played, gym_reward, script
from tests.conftest import FailingSandbox

playing.framework("nemo_gym")

Client = Callable[..., Any]


@pytest.fixture
def client(sandbox: Sandbox, tmp_path: Path) -> Iterator[Client]:
    """Clients of servers in this process."""
    from fastapi.testclient import TestClient
    from nemo_gym.server_utils import ServerClient

    from discoenv.adapters.nemo_gym import DiscoenvServer, DiscoenvServerConfig
    from discoenv.adapters.session import SessionHost

    made: list[Any] = []

    def make(box: Sandbox = sandbox, **settings: Any) -> Any:
        config = DiscoenvServerConfig(host="", port=0, entrypoint="", name="discoenv", **settings)
        server = DiscoenvServer(config=config, server_client=MagicMock(spec=ServerClient))
        server._host = SessionHost(sandbox=box, runs_dir=tmp_path / "runs", max_steps=config.max_steps)
        made.append(server)
        return TestClient(server.setup_webserver(), raise_server_exceptions=False)

    yield make
    for server in made:
        server.close()


def answer(*calls: Call) -> dict[str, Any]:
    """What a model answers: calls, or a text without one."""
    output: list[dict[str, Any]] = [
        {"type": "function_call", "call_id": f"c{number}", "name": call.name, "arguments": json.dumps(call.arguments)}
        for number, call in enumerate(calls)
    ]
    text = {"type": "output_text", "text": "I stop.", "annotations": []}
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [text]}
    return {
        "id": "r",
        "created_at": 0.0,
        "model": "mock",
        "object": "response",
        "output": output or [message],
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
    }


def play(client: Any, row: Mapping[str, Any], calls: list[Call]) -> list[dict[str, Any]]:
    """An episode over HTTP; the answers to its steps."""
    begun = client.post("/reset", json=row)
    assert begun.status_code == 200, begun.text
    assert "## Your tools" in begun.json()["observation"]
    steps = []
    for call in calls:
        replied = client.post("/step", json={**row, "response": answer(call)})
        assert replied.status_code == 200, replied.text
        steps.append(replied.json())
        if steps[-1]["terminated"] or steps[-1]["truncated"]:
            return steps
    replied = client.post("/step", json={**row, "response": answer()})
    assert replied.status_code == 200, replied.text
    return [*steps, replied.json()]


def row_of(task: Task, seed: int) -> dict[str, Any]:
    from discoenv.adapters.nemo_gym import row

    return row(TaskEntry("train", seed, f"train-{seed}", seed, task))


def test_rewards_add_up_to_that_of_gymnasium(client: Client, played: Played, sandbox: Sandbox) -> None:
    steps = play(client(), row_of(played.task, 2), script(played.files))
    assert sum(step["reward"] for step in steps) == gym_reward(*played, 2, sandbox=sandbox) > 0
    assert (steps[-1]["terminated"], steps[-1]["truncated"]) == (True, False)
    assert "Meta-train scores" in steps[-2]["info"]["tool_outputs"][0]["output"]
    assert steps[-1]["info"]["outcome"]["ended_by"] == "submit"


def test_an_answer_without_a_call_and_the_limit_submit_the_best_run(
    client: Client, task: Task, good: dict[str, str]
) -> None:
    steps = play(client(), row_of(task, 0), script(good, submit=False))
    assert steps[-1]["info"]["outcome"]["ended_by"] == "best_run"
    steps = play(client(max_turns=3), row_of(task, 0), [*script(good, submit=False), Call("list_files", {})])
    assert len(steps) == 3
    assert (steps[-1]["truncated"], steps[-1]["reward"] > 1) == (True, True)


def test_a_failing_machine_fails_the_request(
    client: Client, task: Task, sandbox: Sandbox, good: dict[str, str]
) -> None:
    connected = client(FailingSandbox(sandbox, 2))
    row = row_of(task, 0)
    connected.post("/reset", json=row)
    for call in script(good, submit=False)[:-1]:
        connected.post("/step", json={**row, "response": answer(call)})
    assert connected.post("/step", json={**row, "response": answer(Call("submit", {}))}).status_code == 500


def test_the_folder_has_a_data_set_and_a_configuration(task: Task, tmp_path: Path) -> None:
    from discoenv.adapters.nemo_gym import write_environment

    path = write_environment(tmp_path / "discoenv", [TaskEntry("train", 1, "train-1", 1, task)], max_turns=20)
    content = yaml.safe_load(path.read_text())
    assert content["discoenv_agent"]["responses_api_agents"]["gymnasium_agent"]["max_steps"] > 20
    (line,) = (tmp_path / "discoenv" / "data" / "example.jsonl").read_text().splitlines()
    assert Task.parse(json.loads(line)["task"]) == task
    tools = json.loads(line)["responses_create_params"]["tools"]
    assert [tool["parameters"] for tool in tools] == [tool.parameters for tool in TOOLS]
    compile((tmp_path / "discoenv" / "app.py").read_text(), "app.py", "exec")
