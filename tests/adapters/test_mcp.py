"""The SDK's own MCP client plays episodes over stdio and over HTTP, and finds the server patient with its mistakes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import Implementation, TextContent, TextResourceContents

from discoenv.adapters import mcp
from discoenv.env import DiscoGenEnv
from discoenv.episodes.record import EpisodeRecord
from discoenv.episodes.transcript import read_calls
from discoenv.exams.spec import ExamSpec, Progress
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from discoenv.tools import TOOLS, ToolResult, ToolSession
from tests.adapters.conftest import served, text


async def play(client: Client, good: dict[str, str]) -> None:
    """A whole episode, with a few mistakes."""
    tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == ["read_task", "stop_run", *(tool.name for tool in TOOLS)]
    assert all(tool.input_schema["type"] == "object" for tool in tools)
    told = text(await client.call_tool("read_task"))
    assert "# Toy regression" in told
    assert "You have 4 actions" in told
    (resource,) = (await client.list_resources()).resources
    (content,) = (await client.read_resource(str(resource.uri))).contents
    assert isinstance(content, TextResourceContents)
    assert content.text == told
    (prompt,) = (await client.list_prompts()).prompts
    (message,) = (await client.get_prompt(prompt.name)).messages
    assert isinstance(message.content, TextContent)
    assert message.content.text.startswith(told)
    assert "NotImplementedError" in text(await client.call_tool("read_file", {"path": "model.py"}))
    unknown = await client.call_tool("jump", {})
    assert unknown.is_error
    assert "there is no tool 'jump'" in text(unknown)
    wrong = await client.call_tool("write_file", {"path": "main.py", "content": ""})
    assert wrong.is_error
    assert "cannot be edited" in text(wrong)
    for name, content_ in good.items():
        assert not (await client.call_tool("write_file", {"path": name, "content": content_})).is_error
    run = text(await client.call_tool("run"))
    assert "Meta-train scores (mean normalised 1." in run
    submitted = text(await client.call_tool("submit", {"run": 1}))
    assert re.search(r"The episode is over. Reward: 1\.\d+", submitted)
    assert (await client.call_tool("run")).is_error


def check_record(runs: Path, client_name: str) -> None:
    (run,) = runs.iterdir()
    assert json.loads((run / "result.json").read_text())["reward"] > 1
    events = read_calls(run)
    assert [event["name"] for event in events if event["event"] == "agent"] == [client_name]
    assert [event["ended_by"] for event in events if event["event"] == "end"] == ["submit"]
    calls = [event for event in events if event["event"] == "tool_call"]
    assert [call["name"] for call in calls if call["stepped"]] == ["run", "submit"]
    assert {call["source"] for call in calls} == {f"mcp:{client_name}"}


@pytest.mark.parametrize("mode", ["auto", pytest.param("legacy", marks=pytest.mark.slow)])
def test_an_episode_is_played_over_stdio(
    arguments: list[str], environment: dict[str, str], good: dict[str, str], tmp_path: Path, mode: Any
) -> None:
    server = StdioServerParameters(command=sys.executable, args=arguments, env=environment)

    async def main() -> None:
        with (tmp_path / "stderr").open("w") as errors:
            me = Implementation(name="tester", version="1")
            async with Client(stdio_client(server, errlog=errors), mode=mode, client_info=me) as client:
                assert "read_task" in (client.instructions or "")
                await play(client, good)

    anyio.run(main)
    check_record(tmp_path / "runs", "tester")
    stderr = (tmp_path / "stderr").read_text()
    assert "Traceback" not in stderr
    assert "the episode is over; reward 1." in stderr


def test_an_episode_is_played_over_http(
    arguments: list[str], environment: dict[str, str], good: dict[str, str], tmp_path: Path
) -> None:
    async def main(url: str) -> None:
        me = Implementation(name="tester", version="1")
        async with Client(url, mode="legacy", client_info=me) as client:
            await play(client, good)
        async with Client(url) as client:  # a later client finds the same episode
            assert "the episode is over" in text(await client.call_tool("run"))

    with served(arguments, environment) as url:
        assert url.startswith("http://127.0.0.1:")
        anyio.run(main, url)
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "result.json").read_text())["reward"] > 1


def test_a_signal_ends_the_server_and_what_it_trains(arguments: list[str], environment: dict[str, str]) -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )
    assert process.stdin is not None
    written = {"path": "model.py", "content": "import time\ntime.sleep(3600)\n"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    for message in (
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "write_file", "arguments": written}},
        {"id": 3, "method": "tools/call", "params": {"name": "run", "arguments": {}}},
    ):
        process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        process.stdin.flush()
    assert process.stdout is not None
    while '"id":2' not in process.stdout.readline():
        assert process.poll() is None
    server = psutil.Process(process.pid)
    while len(server.children(recursive=True)) < 2:  # the examiner, and then the learner
        assert process.poll() is None
        time.sleep(0.05)
    children = server.children(recursive=True)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM  # while stdin is still open
    process.communicate()
    assert psutil.wait_procs(children, timeout=60)[1] == []


# ---- within this process


@contextmanager
def episode(sandbox: Sandbox, task: Task, **changes: Any) -> Iterator[mcp.ServedEpisode]:
    def make(on_progress: Callable[[Progress], None]) -> ToolSession:
        env = DiscoGenEnv(task=task, sandbox=sandbox, runs_dir=None, on_progress=on_progress)
        session = ToolSession(env, seed=0)
        for name, value in changes.items():
            setattr(session, name, value)
        return session

    made = mcp.ServedEpisode(make)
    yield made
    made.close()


def within(made: mcp.ServedEpisode, main: Callable[[Client], Awaitable[None]]) -> None:
    async def connect() -> None:
        async with Client(mcp.make_server(made)) as client:
            await main(client)

    anyio.run(connect)


def test_the_protocol_goes_on_while_something_trains(
    sandbox: Sandbox, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp, "_HEARTBEAT_S", 0.01)
    go_on = threading.Event()
    reported: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reported.append((progress, total, message))
        if len(reported) == 3:
            go_on.set()

    async def main(client: Client) -> None:
        async def train() -> None:
            result = await client.call_tool("run", progress_callback=on_progress)
            assert text(result) == "trained"

        async with anyio.create_task_group() as group:
            group.start_soon(train)
            while not reported:
                await anyio.sleep(0.01)
            assert len((await client.list_tools()).tools) == len(TOOLS) + 2
            assert not (await client.call_tool("read_task")).is_error

    with episode(sandbox, task) as made:

        def slow(*_: Any, **__: Any) -> ToolResult:
            made._exams.take(Progress(ExamSpec(task.setting("Line"), 1, 10.0), 2, 2))
            assert go_on.wait(60)
            return ToolResult("trained")

        made.session.call = slow  # type: ignore[method-assign]
        within(made, main)
    assert [each[0] for each in reported] == [0] * len(reported), "only finished exams count"
    assert reported[-1][1:] == (2, "0 of 2 exams finished; training: Line")


def test_what_a_client_did_not_wait_for_is_reported_with_the_next_call(sandbox: Sandbox, task: Task) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(name: str, *_: Any, **__: Any) -> ToolResult:
        if name == "submit":
            begun.set()
            assert go_on.wait(60)
        return ToolResult(f"result of {name}")

    async def main(client: Client) -> None:
        with anyio.move_on_after(60) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "submit")
                await anyio.to_thread.run_sync(begun.wait)
                scope.cancel()
        with anyio.CancelScope():
            go_on.set()
            while made._present is not None:
                await anyio.sleep(0.01)
            told = text(await client.call_tool("list_files"))
        assert "earlier call" in told
        assert told.index("result of submit") < told.index("result of list_files")
        assert text(await client.call_tool("list_files")) == "result of list_files"

    with episode(sandbox, task, call=slow) as made:
        within(made, main)


def test_a_failure_of_the_environment_is_reported_and_not_the_end_of_the_server(sandbox: Sandbox, task: Task) -> None:
    def failing(*_: Any, **__: Any) -> ToolResult:
        raise OSError("no space left on device")

    async def main(client: Client) -> None:
        for _ in range(2):
            result = await client.call_tool("run")
            assert result.is_error
            assert "OSError: no space left on device" in text(result)

    with episode(sandbox, task, call=failing) as made:
        within(made, main)


def test_wrong_arguments_of_the_command_are_one_message(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "discoenv.cli.main", "mcp", "--task", "OnPolicyRL_lost"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "OnPolicyRL_loss" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_says_what_scores_are_compared_with(sandbox: Sandbox, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "discoenv.cli.main", "mcp", "--sandbox", sandbox.name]
    chosen = ["--reference", "paired", "--transform", "linear", "--objective", "time"]

    def serve(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, check=False, input="")

    done = serve("--domain", "GreenhouseGasPrediction", "--scale", "tiny", *chosen)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    setup = EpisodeRecord.load(run).setup
    assert (setup.reference, setup.transform) == ("paired", "linear")
    assert Task.from_yaml((run / "task.yaml").read_text()).objective == "time"
    done = serve("--resume", str(run), *chosen)
    assert done.returncode != 0
    assert "beside --resume" in done.stderr
