"""Sessions of the frameworks' adapters side by side in one process, beside the same ones one after another.

All play one task with the base modules: ``run``, then the reward. Side by side they can at best be as many times faster
as there are cores, and the share of that which is reached is what is wanted. While they play, a coroutine of the same
event loop measures by how much it is held up.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks import report
from benchmarks.overhead import base_task
from discoenv.adapters.session import SessionHost
from discoenv.exams.host import Host
from discoenv.machine.cores import usable_cores
from discoenv.sandbox import get_sandbox
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task

#: How often the event loop is asked for a turn, in seconds.
TICK_S = 0.01


def one_by_one(task: Task, sessions: int, sandbox: Sandbox) -> tuple[float, list[float]]:
    """Seconds and rewards of sessions that are played one after another, and so are their exams."""
    begin, rewards = time.perf_counter(), []
    with Host(sandbox, exams_at_once=1) as machine, SessionHost(host=machine, runs_dir=None) as host:
        for seed in range(sessions):
            with host.open(task, seed=seed) as session:
                session.call("run")
                rewards.append(session.reward().reward)
    return time.perf_counter() - begin, rewards


async def _held_up() -> list[float]:
    """Until it is cancelled: seconds by which each turn in the event loop came too late."""
    late: list[float] = []
    try:
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(TICK_S)
            late.append(time.perf_counter() - asked - TICK_S)
    except asyncio.CancelledError:
        return late


def together(task: Task, sessions: int, sandbox: Sandbox) -> tuple[float, list[float], list[float]]:
    """Seconds and rewards of the same sessions side by side in an event loop, and what held that up, in seconds."""

    async def play(host: SessionHost, seed: int) -> float:
        session = await asyncio.to_thread(host.open, task, seed=seed)
        await session.acall("run", {})
        outcome = await session.areward()
        await session.aclose()
        return outcome.reward

    async def all_of_them(host: SessionHost) -> tuple[list[float], list[float]]:
        watch = asyncio.create_task(_held_up())
        rewards = await asyncio.gather(*(play(host, seed) for seed in range(sessions)))
        watch.cancel()
        return list(rewards), await watch

    begin = time.perf_counter()
    with Host(sandbox) as machine, SessionHost(host=machine, runs_dir=None) as host:
        rewards, late = asyncio.run(all_of_them(host))
    return time.perf_counter() - begin, rewards, late


def measure(task: Task, sessions: int, sandbox: Sandbox, repeats: int) -> dict[str, float]:
    """Medians over ``repeats`` of both times and of the share of the optimum; how late the event loop was, of all.

    Raises:
        RuntimeError: the rewards differ.
    """
    rows, late = [], []
    for repeat in range(repeats + 1):
        single_s, alone = one_by_one(task, sessions, sandbox)
        common_s, side_by_side, waits = together(task, sessions, sandbox)
        if alone != side_by_side:
            raise RuntimeError(f"{task.domain}: rewards are {alone} one by one, but {side_by_side} side by side")
        if repeat > 0:  # the first pair warms the page cache
            late += waits
            rows.append((single_s, common_s, single_s / min(usable_cores(), sessions) / common_s))
    singles, commons, shares = zip(*rows, strict=True)
    return {
        "one by one, s": statistics.median(singles),
        "side by side, s": statistics.median(commons),
        "share of the optimum": statistics.median(shares),
        "late, 99 %, ms": 1000 * float(np.quantile(late, 0.99)),
        "late, most, ms": 1000 * max(late),
    }


def main(
    domain: Annotated[list[str] | None, typer.Option(help="Domains (repeat the option).")] = None,
    scale: Annotated[str, typer.Option(help="tiny, small or full.")] = "tiny",
    sessions: Annotated[int, typer.Option(min=1, help="Sessions side by side.")] = 8,
    sandbox: Annotated[str, typer.Option(help="Provider.")] = "auto",
    repeats: Annotated[int, typer.Option(min=1, help="Pairs measured, after one that is not counted.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Also write the figures to this JSON file.")] = None,
) -> None:
    """Print the figures as a table."""
    figures = {}
    with contextlib.closing(get_sandbox(sandbox)) as provider:
        for name in domain or ["GreenhouseGasPrediction", "ContinualLearning"]:
            task = base_task(name, scale).model_copy(update={"train_seeds": 1, "test_seeds": 1})  # type: ignore[arg-type]
            figures[name] = measure(task, sessions, provider, repeats)
    title = f"{sessions} sessions at {scale}, {usable_cores()} cores, median of {repeats}"
    report.print_figures(title, figures, scale=scale, out=out)


if __name__ == "__main__":
    typer.run(main)
