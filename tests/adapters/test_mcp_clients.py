"""What clients of an MCP server do to an episode: cancel, stop, look on, leave, and play together."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import psutil
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import BlobResourceContents, CallToolResult, ImageContent, Implementation, TextContent

from discoenv.adapters import mcp
from discoenv.env import DiscoGenEnv
from discoenv.episodes.record import EpisodeRecord
from discoenv.episodes.transcript import read_calls
from discoenv.exams.host import Host
from discoenv.exams.spec import Progress
from discoenv.machine.cores import Cores
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from discoenv.tools import ToolSession
from discoenv.viewer.episode import EpisodeView
from tests.adapters.conftest import served
from tests.conftest import MakeSession

#: A module whose training takes longer than the exam's budget of half a minute.
SLEEPING = {"path": "model.py", "content": "import time\ntime.sleep(3600)\n"}
#: Far below that budget, and enough for a loaded machine.
SOON_S = 10.0


def words(result: CallToolResult) -> str:
    """The text of a result that may hold pictures, too."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


@contextmanager
def episode(sandbox: Sandbox, task: Task, tmp_path: Path, **changes: Any) -> Iterator[mcp.ServedEpisode]:
    def make(on_progress: Any) -> ToolSession:
        settings = {"task": task, "sandbox": sandbox, "runs_dir": tmp_path / "runs", "on_progress": on_progress}
        return ToolSession(DiscoGenEnv(**(settings | changes)), seed=0)

    made = mcp.ServedEpisode(make)
    yield made
    made.close()


def together(made: mcp.ServedEpisode, main: Callable[..., Awaitable[None]], *names: str) -> None:
    """Run ``main`` with a client of each name."""

    async def connect() -> None:
        async with AsyncExitStack() as stack:
            infos = [Implementation(name=name, version="1") for name in names]
            await main(
                *[await stack.enter_async_context(Client(mcp.make_server(made), client_info=info)) for info in infos]
            )

    anyio.run(connect)


async def trains(made: mcp.ServedEpisode) -> None:
    """Wait until an exam of the step that goes on has begun."""
    with anyio.fail_after(60):
        while "training" not in made._exams.state(0)[2]:
            await anyio.sleep(0.01)


# ---- a run is ended


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_run_that_is_cancelled_ends(sandbox: Sandbox, task: Task, tmp_path: Path, seeds: int) -> None:
    async def main(client: Client) -> None:
        await client.call_tool("write_file", SLEEPING)
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "run")
            await trains(made)
            group.cancel_scope.cancel()
        with anyio.fail_after(SOON_S):
            again = words(await client.call_tool("submit", {"run": 7}))  # a step, which waits for the run's end
        assert "earlier call that you did not wait for" in again
        assert "The run was stopped when 0 of" in again
        assert "It counts as an action" in again
        assert "there is no run 7" in again

    with episode(sandbox, task.model_copy(update={"train_seeds": seeds}), tmp_path) as made:
        together(made, main, "tester")
        assert made.session.steps_left == 9
        assert made.session.info["stopped"] == f"the run was stopped when 0 of its {seeds} exams had finished"
        assert made.session.info["compute_spent_s"] > 0, "what was stopped is paid for"


def test_another_client_stops_a_run_and_reads_meanwhile(
    sandbox: Sandbox, task: Task, good: dict[str, str], tmp_path: Path
) -> None:
    results = {}

    async def main(first: Client, second: Client) -> None:
        nothing = await second.call_tool("stop_run")
        assert nothing.is_error
        assert "no run goes on" in words(nothing)
        await first.call_tool("write_file", SLEEPING)

        async def run() -> None:
            results["run"] = words(await first.call_tool("run"))

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await trains(made)
            with anyio.fail_after(SOON_S):
                read = words(await second.call_tool("read_file", {"path": "model.py"}))
                assert read.startswith(SLEEPING["content"])
                assert "first changed model.py" in read
                assert "model.py" in words(await second.call_tool("list_files"))
                await second.call_tool("write_file", {"path": "model.py", "content": good["model.py"]})
                stopped = await second.call_tool("stop_run")
                assert words(stopped).startswith("The run of first is stopped")
                while "run" not in results:
                    await anyio.sleep(0.01)
        assert "The run was stopped" in results["run"]
        assert "second changed model.py" in results["run"]
        kept = words(await first.call_tool("read_file", {"path": "model.py"}))
        assert kept == good["model.py"], "an edit that is made while something trains stays"

    with episode(sandbox, task, tmp_path) as made:
        together(made, main, "first", "second")


def test_what_had_finished_is_shown_and_not_repeated(
    sandbox: Sandbox, task: Task, good: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = good["model.py"] + "\nimport sys, time\nif 'Steps' in str(__file__):\n    time.sleep(3600)\n"

    async def main(client: Client) -> None:
        for name, content in (good | {"model.py": slow}).items():
            await client.call_tool("write_file", {"path": name, "content": content})
        results = []
        async with anyio.create_task_group() as group:

            async def run() -> None:
                results.append(words(await client.call_tool("run")))

            group.start_soon(run)
            with anyio.fail_after(60):
                while "1 of 2 exams finished" not in made._exams.state(0)[2]:
                    await anyio.sleep(0.01)
            await client.call_tool("stop_run")
        assert "stopped when 1 of 2 exams had finished" in results[0]
        assert re.search(r"\| Line \| 1 \| .*r2 0\.", results[0])
        again = words(await client.call_tool("run", {"datasets": ["Line"]}))
        assert "This was run 1" in again

    begun: list[str] = []
    with episode(sandbox, task.model_copy(update={"meta_train": ("Line", "Steps")}), tmp_path) as made:
        take = made._exams.take

        def note(progress: Progress) -> None:
            begun.extend([progress.spec.dataset] if progress.result is None else [])
            take(progress)

        monkeypatch.setattr(cast(Any, made.session.env.unwrapped)._episode._evaluation, "_on_progress", note)
        together(made, main, "tester")
    assert begun.count("Line") == 1  # and the other may have begun or not when it was stopped


def test_a_submission_goes_on_when_its_client_does_not_wait(
    sandbox: Sandbox, task: Task, good: dict[str, str], tmp_path: Path
) -> None:
    async def main(client: Client) -> None:
        for name, content in good.items():
            await client.call_tool("write_file", {"path": name, "content": content})
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "submit")
            while made._present is None:
                await anyio.sleep(0.001)
            assert "cannot be stopped" in words(await client.call_tool("stop_run"))
            group.cancel_scope.cancel()
        over = words(await client.call_tool("run"))
        assert "Meta-test scores" in over
        assert "earlier call" in over

    with episode(sandbox, task, tmp_path) as made:
        together(made, main, "tester")
        assert made.session.reward > 1


# ---- progress


def test_progress_counts_finished_exams_and_says_when_a_core_is_awaited(
    sandbox: Sandbox, task: Task, good: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp, "_POLL_S", 0.01)
    reported: list[tuple[float, float | None, str]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reported.append((progress, total, message or ""))

    async def main(client: Client) -> None:
        for name, content in good.items():
            await client.call_tool("write_file", {"path": name, "content": content})
        async with anyio.create_task_group() as group:
            with cores.hold(alone=True):
                group.start_soon(lambda: client.call_tool("run", progress_callback=on_progress))
                with anyio.fail_after(60):
                    while not any("waiting for a core" in message for _, _, message in reported):
                        await anyio.sleep(0.01)

    cores = Cores(1, tmp_path / "locks")
    seeds = task.model_copy(update={"train_seeds": 3})
    with Host(sandbox, exams_at_once=cores) as host, episode(sandbox, seeds, tmp_path, host=host) as made:
        together(made, main, "tester")
    assert cores.waiting == 0
    counts = [progress for progress, _, _ in reported]
    assert counts == sorted(counts)
    assert set(counts) <= {0, 1, 2, 3}
    assert all(total in (None, 3) for _, total, _ in reported)
    for progress, total, message in reported:
        assert total is None or message.startswith(f"{progress:.0f} of 3 exams finished")
    assert "training: Line" in "".join(message for _, _, message in reported)


# ---- who plays


def test_clients_are_recorded_as_agents(sandbox: Sandbox, task: Task, tmp_path: Path) -> None:
    async def main(*clients: Client) -> None:
        for client in clients:
            await client.call_tool("list_files")

    with episode(sandbox, task, tmp_path) as made:
        together(made, main, "claude-code", "cursor", "cursor")
    (run,) = (tmp_path / "runs").iterdir()
    calls = read_calls(run)
    agents = {call["name"]: call["options"] for call in calls if call["event"] == "agent"}
    assert list(agents) == ["claude-code", "cursor", "cursor (2)"]
    assert all(options["version"] == "1" and options["protocol"] for options in agents.values())
    view = EpisodeView(run)
    view.update()
    assert view.summary()["agent"] == "cursor (2)"


def test_calls_after_the_end_name_the_call_that_ended_the_episode(
    sandbox: Sandbox, task: Task, good: dict[str, str], tmp_path: Path
) -> None:
    results: dict[int, str] = {}

    async def main(client: Client) -> None:
        for name, content in good.items():
            await client.call_tool("write_file", {"path": name, "content": content})

        async def call(number: int, name: str) -> None:
            results[number] = words(await client.call_tool(name))

        async with anyio.create_task_group() as group:
            for number, name in enumerate(["run", "submit", "run", "submit"]):
                group.start_soon(call, number, name)

    with episode(sandbox, task, tmp_path) as made:
        together(made, main, "tester")
    assert "This was run 1" in results[0]
    assert "The episode is over. Reward: 1." in results[1]
    for number in (2, 3):
        assert re.search(
            r"the episode is over \(reward 1\.\d+\); `submit`, call .+ of tester ended it", results[number]
        )


def test_a_batch_of_a_chat_model_names_the_call_that_ended_the_episode(
    make_session: MakeSession, good: dict[str, str]
) -> None:
    session = make_session()
    session.write(good)
    session.call("submit", {}, call_id="call_7")
    assert "`submit`, call call_7 ended it" in session.call("run", {}, call_id="call_8").text


# ---- pictures


def test_pictures_that_the_text_shows_are_read_as_images(sandbox: Sandbox, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    task = Task(
        domain="ComputerVisionClassification",
        modules=("loss",),
        meta_train=("Digits", "DigitsC"),
        meta_test=("Shapes10",),
        scale="tiny",
    )

    async def main(client: Client) -> None:
        told = words(await client.call_tool("read_task"))
        linked = re.findall(r"!\[[^\]]*\]\((\S+)\)", told)
        assert linked == ["Digits/samples.png", "DigitsC/samples.png"]
        listed = words(await client.call_tool("list_files"))
        for path in linked:
            assert path in listed
            described, image = (await client.call_tool("read_file", {"path": path})).content
            assert isinstance(described, TextContent)
            assert f"{path} is a picture (image/png" in described.text
            assert isinstance(image, ImageContent)
            assert base64.b64decode(image.data).startswith(b"\x89PNG")
        resources = {resource.name: resource for resource in (await client.list_resources()).resources}
        assert list(resources) == ["task", *linked]
        (content,) = (await client.read_resource(str(resources[linked[0]].uri))).contents
        assert isinstance(content, BlobResourceContents)
        assert content.mime_type == "image/png"
        assert base64.b64decode(content.blob).startswith(b"\x89PNG")

    with episode(sandbox, task, tmp_path) as made:
        together(made, main, "tester")
        workspace = Path(made.session.info["workspace"])
        assert not list(workspace.rglob("*.png")), "learners could look up what they are asked"


# ---- two real clients, over HTTP


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_two_clients_play_one_episode_over_http(
    arguments: list[str],
    environment: dict[str, str],
    good: dict[str, str],
    tmp_path: Path,
    mode: Any,
) -> None:
    results = {}

    async def main(url: str) -> None:
        async with Client(url, mode=mode) as first, Client(url, mode=mode) as second:  # of the same name
            for client in (first, second):
                await client.call_tool("list_files")
            await first.call_tool("write_file", SLEEPING)

            async def run() -> None:
                results["run"] = words(await first.call_tool("run"))

            async with anyio.create_task_group() as group:
                group.start_soon(run)
                told = ""
                with anyio.fail_after(60):
                    while "run" not in results:
                        stop = await second.call_tool("stop_run")
                        told += words(stop)
                        if not stop.is_error:
                            break
                        await anyio.sleep(0.2)
                assert "mcp changed model.py" in told
            assert "The run was stopped" in results["run"]
            cancelled = anyio.CancelScope()
            async with anyio.create_task_group() as group:

                async def run_and_leave() -> None:
                    with cancelled:
                        await first.call_tool("run")

                group.start_soon(run_and_leave)
                await anyio.sleep(1.0)
                cancelled.cancel()
            with anyio.fail_after(SOON_S):
                while "did not wait for" not in words(await first.call_tool("list_files")):
                    await anyio.sleep(0.05)
            for name, content in good.items():
                await second.call_tool("write_file", {"path": name, "content": content})
            told = words(await first.call_tool("run"))
            assert "mcp (2) changed model.py" in told
            submitted = words(await second.call_tool("submit"))
            assert "mcp ran the files (run 1" in submitted
            assert "The episode is over. Reward: 1." in submitted

    with served(arguments, environment) as url:
        anyio.run(main, url)
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "result.json").read_text())["reward"] > 1
    assert [call["ended_by"] for call in read_calls(run) if call["event"] == "end"] == ["submit"]


# ---- clients that leave


def left(runs: Path) -> EpisodeRecord:
    """The only run in a folder, which was left."""
    (run,) = runs.iterdir()
    view = EpisodeView(run)
    view.update()
    assert view.status == "left"
    assert view.summary()["reward"] is None
    assert not (run / "result.json").exists()
    (end,) = [call for call in read_calls(run) if call["event"] == "end"]
    assert (end["ended_by"], end["reward"]) == ("left", None)
    record = EpisodeRecord.load(run)
    assert record.was_left
    assert record.result is None
    assert all(event.info.infra_error is None for event in record.events)
    return record


def test_a_client_that_closes_stdin_leaves_a_run_without_a_reward(
    arguments: list[str],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    server = StdioServerParameters(command=sys.executable, args=arguments, env=environment)

    async def main() -> None:
        with (tmp_path / "stderr").open("w") as errors:
            async with Client(stdio_client(server, errlog=errors)) as client:
                await client.call_tool("write_file", SLEEPING)
                begun = anyio.Event()

                async def on_progress(progress: float, total: float | None, message: str | None) -> None:
                    if "training" in (message or ""):
                        begun.set()

                async with anyio.create_task_group() as group:
                    group.start_soon(lambda: client.call_tool("run", progress_callback=on_progress))
                    with anyio.fail_after(60):
                        await begun.wait()
                    group.cancel_scope.cancel()

    anyio.run(main)
    record = left(tmp_path / "runs")
    assert [event.info.stopped is not None for event in record.events] == [False, True]
    assert "Traceback" not in (tmp_path / "stderr").read_text()


@pytest.mark.parametrize("step", ["run", "submit"])
@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT, "eof"])
def test_the_server_ends_at_once_while_something_trains_and_the_episode_is_left(
    arguments: list[str],
    environment: dict[str, str],
    interruptible: None,
    tmp_path: Path,
    way: Any,
    step: str,
) -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    for message in (
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "write_file", "arguments": SLEEPING}},
        {"id": 3, "method": "tools/call", "params": {"name": step, "arguments": {}, "_meta": {"progressToken": 3}}},
    ):
        process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        process.stdin.flush()
    while "training" not in process.stdout.readline():
        assert process.poll() is None
    children = psutil.Process(process.pid).children(recursive=True)
    begin = time.monotonic()
    if way == "eof":
        process.stdin.close()
    else:
        process.send_signal(way)
    code = process.wait(SOON_S)
    assert time.monotonic() - begin < SOON_S
    assert code == (0 if way == "eof" else 128 + way)
    errors = process.stderr.read() if process.stderr else ""
    assert "Traceback" not in errors
    assert psutil.wait_procs(children, timeout=60)[1] == []
    record = left(tmp_path / "runs")
    assert len(record.events) == (2 if step == "run" else 1)


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT])
def test_an_http_server_ends_at_once_while_something_trains(
    arguments: list[str],
    environment: dict[str, str],
    interruptible: None,
    tmp_path: Path,
    way: signal.Signals,
) -> None:
    process = subprocess.Popen(
        [sys.executable, *arguments, "--http", "--port", "0"], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    url = ""
    while not url:
        found = re.search(r"serving at (\S+)", process.stderr.readline())
        url = found[1] if found else ""
    results: list[str] = []

    async def main() -> None:
        async with Client(url) as client:
            await client.call_tool("write_file", SLEEPING)

            async def on_progress(progress: float, total: float | None, message: str | None) -> None:
                if "training" in (message or "") and not results:
                    results.append("begun")
                    process.send_signal(way)

            results.append(words(await client.call_tool("run", progress_callback=on_progress)))

    anyio.run(main)
    assert "The run was stopped" in results[1]
    process.wait(SOON_S)
    threading.Thread(target=process.stderr.read, daemon=True).start()
    left(tmp_path / "runs")


def test_an_environment_that_is_closed_before_the_end_is_left(make_session: MakeSession, tmp_path: Path) -> None:
    session = make_session()
    run = Path(session.info["run_directory"])
    assert not EpisodeRecord.load(run).was_left
    session.close()
    assert EpisodeRecord.load(run).was_left


def test_an_episode_that_ended_is_not_left(make_session: MakeSession, good: dict[str, str]) -> None:
    session = make_session()
    session.write(good)
    session.submit()
    session.close()
    assert not EpisodeRecord.load(session.info["run_directory"]).was_left


def test_an_episode_that_was_left_is_resumed(
    arguments: list[str], environment: dict[str, str], good: dict[str, str], tmp_path: Path
) -> None:
    async def first(client: Client) -> None:
        await client.call_tool("write_file", {"path": "features.py", "content": good["features.py"]})
        await client.call_tool("write_file", {"path": "model.py", "content": good["model.py"]})
        assert "This was run 1" in words(await client.call_tool("run"))
        await client.call_tool("add_note", {"text": "powers help"})
        await client.call_tool("write_file", {"path": "model.py", "content": "worse = True\n"})

    async def second(client: Client) -> None:
        told = words(await client.call_tool("read_task"))
        assert "You have 4 actions" in told
        assert words(await client.call_tool("read_notes")) == "1. powers help"
        assert words(await client.call_tool("read_file", {"path": "model.py"})) == "worse = True\n"
        assert "model.py (13 bytes, changed since the last run)" in words(await client.call_tool("list_files"))
        again = words(await client.call_tool("run"))
        assert "This was run 2; the best so far is run 1" in again
        submitted = words(await client.call_tool("submit", {"run": 1}))
        assert "The episode is over. Reward: 1." in submitted

    def play(main: Callable[[Client], Awaitable[None]], command: list[str]) -> str:
        async def connect() -> None:
            server = StdioServerParameters(command=sys.executable, args=command, env=environment)
            with (tmp_path / "stderr").open("w") as errors:
                async with Client(stdio_client(server, errlog=errors)) as client:
                    await main(client)

        anyio.run(connect)
        return (tmp_path / "stderr").read_text()

    said = play(first, arguments)
    left(tmp_path / "runs")
    (run,) = (tmp_path / "runs").iterdir()
    assert f"discoenv mcp --resume {run} goes on" in said
    rest = ["--trust", "--sandbox", arguments[arguments.index("--sandbox") + 1], "--runs", str(tmp_path / "again")]
    said = play(second, ["-m", "discoenv.cli.main", "mcp", "--resume", str(run), *rest])
    assert "the episode is over; reward 1." in said
    (resumed,) = (tmp_path / "again").iterdir()
    record = EpisodeRecord.load(resumed)
    assert record.result is not None
    assert [event.step for event in record.events] == [0, 1, 2, 3]
    assert EpisodeRecord.load(run).was_left, "the run that was left stays as it is"
    refused = subprocess.run(
        [sys.executable, "-m", "discoenv.cli.main", "mcp", "--resume", str(run), "--task", "x.yaml", "--seed", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert "leave out --task, --seed" in " ".join(refused.stderr.replace("│", " ").split())
