"""TRL: the schemas of tools, rollouts with pooled environments, rewards once, and one step of GRPO."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from discoenv.adapters.session import SessionHost
from discoenv.adapters.trl import DiscoenvEnvironment, discoenv_reward, rows, trl_arguments
from discoenv.errors import InfraError, ToolError
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from discoenv.tools import TOOLS
from tests.adapters import playing
from tests.adapters.playing import Played, gym_reward
from tests.conftest import FailingSandbox

Factory = Callable[[], Any]


@pytest.fixture
def make_factory(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Factory]]:
    made: list[SessionHost] = []

    def make(box: Sandbox = sandbox, **settings: Any) -> Factory:
        made.append(SessionHost(sandbox=box, runs_dir=tmp_path / "runs", **settings))
        factory: Factory = trl_arguments(made[-1], first_seed=3)["environment_factory"]
        return factory

    yield make
    for host in made:
        host.close()


def test_the_public_methods_are_reset_and_the_tools() -> None:
    methods = {name for name, _ in inspect.getmembers(DiscoenvEnvironment, inspect.isfunction) if name[0] != "_"}
    assert methods == {"reset", *(tool.name for tool in TOOLS)}
    for tool in TOOLS:
        method = getattr(DiscoenvEnvironment, tool.name)
        assert inspect.iscoroutinefunction(method)
        assert list(inspect.signature(method).parameters)[1:] == list(tool.parameters["properties"])


def test_schemas_are_those_of_the_tools() -> None:
    utilities = playing.framework("trl", "transformers.utils")
    for tool in TOOLS:
        schema = utilities.get_json_schema(getattr(DiscoenvEnvironment, tool.name))["function"]
        assert (schema["name"], schema["description"]) == (tool.name, tool.description)
        wanted = tool.parameters["properties"]
        found = schema["parameters"].get("properties", {})
        assert {name: each["type"] for name, each in found.items()} == {
            name: each["type"] for name, each in wanted.items()
        }
        assert {name: each["description"] for name, each in found.items()} == {
            name: each["description"] for name, each in wanted.items()
        }
        assert set(schema["parameters"].get("required", [])) == set(tool.parameters["required"])


def test_a_pooled_environment_plays_one_rollout_after_another(
    make_factory: Callable[..., Factory], played: Played, sandbox: Sandbox
) -> None:
    environment = make_factory()()
    task, files = played
    content = task.model_dump(mode="json")

    async def play(seed: int | None, *, submit: bool) -> float | None:
        text = environment.reset(task=content, seed=seed, prompt=[{"role": "user", "content": "x"}])
        assert "## Your tools" in text
        for name, each in files.items():
            await environment.write_file(path=name, content=each)
        assert "Meta-train scores" in await environment.run()
        with pytest.raises(ToolError, match="there is no file"):
            await environment.read_file(path="nothing")
        if submit:
            await environment.submit()
        (reward,) = await discoenv_reward(environments=[environment], prompts=[])
        assert (await discoenv_reward([environment])) == [reward]
        return reward

    for seed, submit in ((7, True), (8, False), (None, False)):
        expected = gym_reward(task, files, 3 if seed is None else seed, sandbox=sandbox)
        assert asyncio.run(play(seed, submit=submit)) == expected


def test_a_failing_machine_has_no_reward(
    make_factory: Callable[..., Factory], task: Task, sandbox: Sandbox, good: dict[str, str]
) -> None:
    environment = make_factory(FailingSandbox(sandbox, 2))()
    environment.reset(task=task.model_dump(mode="json"), seed=0)

    async def play() -> list[float | None]:
        with pytest.raises(InfraError):
            await environment.run()
        return await discoenv_reward([environment])

    assert asyncio.run(play()) == [None]


def test_rows_name_tasks_and_seeds(sandbox: Sandbox, task: Task) -> None:
    with SessionHost(sandbox=sandbox, scale="tiny", runs_dir=None) as host:
        found = rows(host, 2, first=4)
    assert [(row["task"], row["seed"]) for row in found] == [("train-4", 4), ("train-5", 5)]
    assert found[0]["prompt"][0]["role"] == "user"
