"""Agents for the harness's tests, by its protocol: functions ``(env, seed, **options)``."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym

from discoenv.agents.loop import edits
from discoenv.errors import InfraError, PackageMissing
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules

Env = gym.Env[Any, Any]


def submitting(env: Env, seed: int, *, note: str = "", sleep: float = 0.0) -> None:
    """Submits at once; notes its seed, if a file is named."""
    env.reset(seed=seed)
    if note:
        with Path(note).open("a") as file:
            file.write(f"{seed}\n")
    time.sleep(sleep)
    env.step("submit")


def leaving(env: Env, seed: int) -> None:
    """Writes good modules, and leaves without submitting."""
    observation, _ = env.reset(seed=seed + 1)  # whatever it passes, the seed is the cell's
    source = observation["files"]["features.py"]
    better = source.replace("np.stack([np.ones_like(x), x], axis=1)", "np.stack([x**p for p in range(6)], axis=1)")
    env.step({"edits": [{"path": "features.py", "content": better}], "command": "run"})


def raising(env: Env, seed: int) -> None:
    """Fails after its first run."""
    env.reset(seed=seed)
    env.step("run")
    raise ZeroDivisionError("a bug of the agent's own")


def playing_twice(env: Env, seed: int) -> None:
    """Wants to choose the better of two episodes."""
    env.reset(seed=seed)
    env.step("submit")
    env.reset(seed=seed + 1)


def on_a_bad_machine(env: Env, seed: int, *, failures: int = 1) -> None:
    """Meets failures of the machine, counted by the run directories that it leaves."""
    _, info = env.reset(seed=seed)
    if len(list(Path(info["run_directory"]).parent.iterdir())) <= failures:
        raise InfraError("the disk is full")
    env.step("submit")


def without_a_package(env: Env, seed: int) -> None:
    """Needs a package that is not installed here."""
    env.reset(seed=seed)
    raise PackageMissing("gepa is not installed; run `pip install gepa`")


def dying_once(env: Env, seed: int) -> None:
    """Takes its worker with it, the first time."""
    _, info = env.reset(seed=seed)
    if len(list(Path(info["run_directory"]).parent.iterdir())) == 1:
        os.kill(os.getpid(), 9)
    env.step("submit")


NOT_A_FUNCTION = 3


async def asynchronous(env: Env, seed: int, *, note: str = "") -> None:
    """Plays as a coroutine: submits the base modules."""
    _, info = env.reset(seed=seed)
    await asyncio.sleep(0)
    env.step({"edits": edits(base_modules(Task.parse(info["task"]))), "command": "submit"})


class Asynchronous:
    """An object that is called, and has to be awaited."""

    async def __call__(self, env: Env, seed: int) -> None:
        """Play."""
        await asynchronous(env, seed)


asynchronous_object = Asynchronous()


def generating(env: Env, seed: int) -> Iterator[None]:
    """Yields between its steps, which nothing asks for."""
    env.reset(seed=seed)
    yield
    env.step("submit")


def hiding_a_generator(env: Env, seed: int) -> object:
    """Returns what nothing runs."""
    return generating(env, seed)


def raising_what_is_no_text(env: Env, seed: int) -> None:
    """Prints and raises what no encoding takes."""
    env.reset(seed=seed)
    print("\ud800 printed")
    raise ValueError("before \ud800 after")
