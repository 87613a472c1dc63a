"""OpenEnv: a server on the loopback interface, its own client, sessions side by side, failures as errors."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from discoenv.adapters.session import SessionHost
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from tests.adapters import playing
from tests.adapters.playing import SLOW, Played, gym_reward
from tests.conftest import FailingSandbox

playing.framework("openenv")

Serve = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path, sandbox: Sandbox) -> Iterator[Serve]:
    """Starts servers; their URLs."""
    import uvicorn

    from discoenv.adapters.openenv import make_app

    running: list[tuple[Any, threading.Thread, SessionHost]] = []

    def start(box: Sandbox = sandbox, domain: str | None = None, **settings: Any) -> str:
        host = SessionHost(domain, sandbox=box, scale="tiny")
        listening = socket.create_server(("127.0.0.1", 0))
        app = make_app(host, runs_dir=tmp_path / "runs", **settings)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        playing.eventually(lambda: server.started)
        running.append((server, thread, host))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    for server, thread, host in running:
        server.should_exit = True
        thread.join(60)
        host.close()


def action(files: dict[str, str], command: str) -> Any:
    from discoenv.adapters.openenv import DiscoenvAction

    return DiscoenvAction(command=command, edits=[{"path": name, "content": text} for name, text in files.items()])


def test_two_sessions_are_worth_what_they_are_worth_in_gymnasium(
    serve: Serve, played: Played, sandbox: Sandbox
) -> None:
    from discoenv.adapters.openenv import DiscoenvClient

    url = serve()
    task, files = played
    content = task.model_dump(mode="json")

    async def play(seed: int) -> float:
        async with DiscoenvClient(url) as client:
            begun = await client.reset(seed=seed, task=content, episode_id=f"e{seed}")
            assert not begun.done
            assert "## Your task" in begun.observation.text
            ran = await client.step(action(files, "run"))
            assert (ran.done, ran.reward, ran.observation.steps_left) == (False, 0.0, 9)
            assert ran.observation.score > 0
            state = await client.state()
            assert (state.episode_id, state.step_count, state.task_id) == (f"e{seed}", 1, task.task_id)
            last = await client.step(action({}, "submit"))
            assert last.done
            assert not last.observation.truncated
            assert "meta_test" in last.observation.info
            return float(last.reward or 0.0)

    async def both() -> list[float]:
        return list(await asyncio.gather(play(1), play(2)))

    assert asyncio.run(both()) == [gym_reward(task, files, seed, sandbox=sandbox) for seed in (1, 2)]


def test_a_failing_machine_is_an_error_of_the_session(
    serve: Serve, task: Task, sandbox: Sandbox, good: dict[str, str]
) -> None:
    from discoenv.adapters.openenv import DiscoenvClient

    url = serve(FailingSandbox(sandbox, 2))

    async def play() -> float:
        async with DiscoenvClient(url) as client:
            await client.reset(seed=0, task=task.model_dump(mode="json"))
            with pytest.raises(RuntimeError, match="the machine failed, so the episode has no reward"):
                await client.step(action(good, "submit"))
        async with DiscoenvClient(url) as client:  # the next episode is sound
            await client.reset(seed=0, task=task.model_dump(mode="json"))
            return float((await client.step(action(good, "submit"))).reward or 0.0)

    assert asyncio.run(play()) > 1


def test_a_client_that_leaves_ends_what_trains(serve: Serve, task: Task, good: dict[str, str]) -> None:
    from discoenv.adapters.openenv import DiscoenvClient

    url = serve()

    async def play() -> None:
        client = DiscoenvClient(url)
        await client.connect()
        await client.reset(seed=0, task=task.model_dump(mode="json"))
        step = asyncio.create_task(client.step(action({**good, "features.py": SLOW}, "run")))
        while not playing.exams_below():
            await asyncio.sleep(0.05)
        step.cancel()
        await asyncio.gather(step, return_exceptions=True)
        await client.close()

    asyncio.run(play())
    playing.eventually(lambda: not playing.exams_below())


def test_tasks_are_listed(serve: Serve) -> None:
    import httpx

    url = serve(domain="GreenhouseGasPrediction")
    splits = httpx.get(f"{url}/discoenv/splits", timeout=60).json()
    assert [split["name"] for split in splits] == ["train", "discobench"]
    number = httpx.post(f"{url}/discoenv/num_tasks", json={"split": "discobench"}, timeout=60).json()["num_tasks"]
    assert number == 3
    found = httpx.post(f"{url}/discoenv/task", json={"split": "discobench", "index": 1}, timeout=60).json()
    assert "GreenhouseGasPrediction_data_processing" in str(found)


def test_the_clients_patience_is_longer_than_an_exam(serve: Serve) -> None:
    from discoenv.adapters.openenv import MESSAGE_TIMEOUT_S, DiscoenvClient

    assert DiscoenvClient("http://127.0.0.1:1")._message_timeout == MESSAGE_TIMEOUT_S > 3600
    assert time.monotonic() > 0
