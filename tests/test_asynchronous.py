"""Steps that are asked for, watched and ended; the environment for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil
import pytest

from discoenv.asynchronous import AsyncDiscoGenEnv, ExamCounts, StepQueue, StepState
from discoenv.env import DiscoGenEnv
from discoenv.errors import ArgumentError, EpisodeLeft, UnknownName
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules

#: Speaks, and then waits for far longer than any test.
SLOW = '''\
"""Features, much later."""

import time


def features(x):
    print("epoch 7 of 9", flush=True)
    time.sleep(60)
    return x[:, None]
'''


@contextlib.asynccontextmanager
async def made(task: Task, sandbox: Sandbox, **arguments: Any) -> AsyncIterator[AsyncDiscoGenEnv]:
    async with AsyncDiscoGenEnv(task=task, sandbox=sandbox, **({"runs_dir": None} | arguments)) as env:
        await env.reset(seed=0)
        yield env


def action(files: dict[str, str], command: str) -> dict[str, Any]:
    return {"command": command, "edits": [{"path": name, "content": text} for name, text in files.items()]}


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def learners() -> list[psutil.Process]:
    """Processes below this one that learners' sandboxes are made of."""
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "bwrap" in child.name() or "main.py" in _line(child)
    ]


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_awaited_steps_are_those_of_the_environment(
    task: Task, sandbox: Sandbox, good: dict[str, str], base: dict[str, str]
) -> None:
    actions = [action(base, "run"), action(good, "run"), "submit"]

    async def play() -> list[Any]:
        async with AsyncDiscoGenEnv(task=task, sandbox=sandbox, runs_dir=None) as env:
            observation, _ = await env.reset(seed=3)
            return [observation["text"], *[(await env.step(each))[1:4] for each in actions]]

    env = DiscoGenEnv(task=task, sandbox=sandbox, runs_dir=None)
    observation, _ = env.reset(seed=3)
    expected = [observation["text"], *[env.step(each)[1:4] for each in actions]]
    env.close()
    found = asyncio.run(play())
    assert found == expected
    assert found[-1][0] > 1


def test_a_step_is_watched_while_the_event_loop_goes_on(task: Task, sandbox: Sandbox) -> None:
    async def play() -> tuple[StepState, StepState, int]:
        async with made(task, sandbox) as env:
            step = env.submit(action({"features.py": SLOW}, "run"))
            ticks = 0
            while not any(exam.last_line for exam in env.poll(step).running):
                await asyncio.sleep(0.01)
                ticks += 1
            seen = env.poll(step)
            assert env.cancel(step)
            assert not (await env.wait(step))[2]
            return seen, env.poll(step), ticks

    seen, after, ticks = asyncio.run(play())
    (exam,) = seen.running
    assert (exam.dataset, exam.side, exam.last_line) == ("Line", "meta_train", "epoch 7 of 9")
    assert 0 < exam.elapsed_s <= seen.elapsed_s
    assert (seen.status, seen.finished, seen.total) == ("running", 0, 1)
    assert "training: Line" in seen.text
    assert (after.status, after.running, after.late) == ("done", (), False)
    assert ticks > 3


def test_a_cancelled_run_counts_and_the_episode_goes_on(task: Task, sandbox: Sandbox, good: dict[str, str]) -> None:
    async def play() -> tuple[Any, Any]:
        async with made(task, sandbox, max_steps=3) as env:
            step = env.submit(action({"features.py": SLOW}, "run"))
            await until(lambda: bool(env.poll(step).running))
            assert env.cancel(step)
            return await env.wait(step), await env.step(action(good, "submit"))

    run, last = asyncio.run(play())
    assert "stopped" in run[4]
    assert int(run[0]["steps_left"]) == 2
    assert last[1] > 1


def test_a_deadline_stops_a_run_and_ends_a_submission(task: Task, sandbox: Sandbox) -> None:
    async def play() -> Any:
        async with made(task, sandbox) as env:
            begin = time.monotonic()
            run = env.submit(action({"features.py": SLOW}, "run"), deadline_s=1)
            result = await env.wait(run)
            ran_s, state = time.monotonic() - begin, env.poll(run)
            begin = time.monotonic()
            submission = env.submit("submit", deadline_s=1)
            with pytest.raises(EpisodeLeft, match="the deadline of step-3 passed, which ended the episode"):
                await env.wait(submission)
            assert env.poll(submission).status == "cancelled"
            assert env.poll(submission).late
            assert not learners()
            await env.reset(seed=1)  # the environment can still be used
            return result, ran_s, state, time.monotonic() - begin

    result, ran_s, state, submitted_s = asyncio.run(play())
    assert "stopped" in result[4]
    assert (state.status, state.late) == ("done", True)
    assert max(ran_s, submitted_s) < 30  # the learner would sleep for a minute


def test_what_waits_is_never_begun(task: Task, sandbox: Sandbox, good: dict[str, str]) -> None:
    async def play() -> None:
        async with made(task, sandbox) as env:
            first = env.submit(action({"features.py": SLOW}, "run"))
            second = env.submit(action(good, "submit"))
            third = env.submit("run", deadline_s=0.05)
            assert env.poll(second).status == "waiting"
            assert env.cancel(second)
            with pytest.raises(EpisodeLeft, match="step-3 was not taken: it was cancelled before it had begun"):
                await env.wait(second)
            with pytest.raises(EpisodeLeft, match="step-4 was not taken: its deadline passed before"):
                await env.wait(third)
            await until(lambda: bool(env.poll(first).running))
            env.cancel(first)
            assert int((await env.wait(first))[0]["steps_left"]) == 9

    asyncio.run(play())


def test_cancelling_the_task_that_waits_ends_the_step(task: Task, sandbox: Sandbox) -> None:
    async def play() -> None:
        async with made(task, sandbox) as env:
            waiting = asyncio.create_task(env.step(action({"features.py": SLOW}, "run")))
            await until(lambda: bool(env.env.running))
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await until(lambda: env.poll("step-2").over)
            assert int((await env.step("history"))[0]["steps_left"]) == 9
        assert not learners()

    asyncio.run(play())


def test_closing_ends_what_goes_on_and_may_be_repeated(task: Task, sandbox: Sandbox) -> None:
    async def play() -> None:
        before = set(threading.enumerate())
        env = AsyncDiscoGenEnv(task=task, sandbox=sandbox, runs_dir=None)
        await env.reset(seed=0)
        steps = [env.submit(action({"features.py": SLOW}, "submit")), env.submit("run")]
        await until(lambda: bool(env.poll(steps[0]).running))
        (exam,) = env.poll(steps[0]).running
        assert (exam.side, exam.last_line) == ("meta_test", "")  # whose data an agent must not see
        await env.close()
        for step in steps:
            with pytest.raises(EpisodeLeft):
                await env.wait(step)
            assert env.poll(step).status == "cancelled"
        await env.close()
        with pytest.raises(EpisodeLeft, match="no further step"):
            env.submit("run")
        with pytest.raises(UnknownName, match="no step is called 'step-9'"):
            env.poll("step-9")
        assert not learners()
        assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "discoenv-steps"]

    asyncio.run(play())


def test_an_error_of_a_step_is_raised_where_it_is_waited_for() -> None:
    steps: StepQueue[float] = StepQueue(running=list, stop=lambda: False, leave=lambda: None, counts=ExamCounts())
    step = steps.submit(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        steps.result(step)
    assert steps.poll(step).status == "failed"
    assert "ZeroDivisionError" in steps.poll(step).text
    with pytest.raises(ArgumentError, match="deadline_s is -1"):
        steps.submit(lambda: 0.0, deadline_s=-1)
    with pytest.raises(TimeoutError, match="step-2 still runs after"):
        steps.result(steps.submit(lambda: float(threading.Event().wait(0.3))), 0.01)
    steps.close()


def test_many_environments_step_side_by_side(task: Task, sandbox: Sandbox, good: dict[str, str]) -> None:
    async def play(seed: int) -> float:
        async with AsyncDiscoGenEnv(task=task, sandbox=sandbox, runs_dir=None) as env:
            await env.reset(seed=seed)
            return (await env.step(action(good, "submit")))[1]

    async def all_of_them() -> list[float]:
        return await asyncio.gather(*(play(seed) for seed in range(3)))

    rewards = asyncio.run(all_of_them())
    assert len(set(rewards)) == 3
    assert min(rewards) > 1


def test_everything_that_steps_can_be_awaited() -> None:
    for name in ("reset", "step", "wait", "close"):
        assert inspect.iscoroutinefunction(getattr(AsyncDiscoGenEnv, name))


@pytest.fixture
def base(task: Task) -> dict[str, str]:
    return base_modules(task)
