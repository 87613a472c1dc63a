"""Exams and episodes per minute: how they grow with the number of concurrent episodes, and with cores.

* **Growth**: `gym.make_vec` plays N episodes at a time (reset, ``run``, ``submit``, of the base modules of one task:
  one exam per side), as many exams at once as this process has cores. One round that does not count comes first, so
  examiners are warm; then the median over rounds counts.
* **Two cores**: two processes, each with its own environment and pinned to its own core, play at the same time;
  before that, each plays alone. The ratio is their common throughput over the mean of what they reach alone; 2 is the
  most. Both take the machine's slots for exams, as environments in `gym.make_vec` do.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import statistics
import time
from dataclasses import dataclass
from typing import Any, Final

import gymnasium as gym

import discoenv  # noqa: F401 - registers the environment
from benchmarks import runner
from benchmarks.overhead import base_task
from benchmarks.report import Bound, Figures, Options, Table, log, number
from discoenv.machine.cores import usable_cores
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task

#: An episode is one exam on each side.
EXAMS: Final = 2
DOMAINS: Final = ("GreenhouseGasPrediction", "OnPolicyRL")
TWO_CORES: Final = 1.8
#: Episodes that a pinned process plays in a row, by the domain's extra: enough that they take seconds.
IN_A_ROW: Final = {"sklearn": 4}


def short_task(domain: str, options: Options) -> Task:
    """The base modules of a domain, one dataset and one seed on each side."""
    return base_task(domain, options.scales[0]).model_copy(update={"train_seeds": 1, "test_seeds": 1})


def growth(task: Task, episodes: int, sandbox: str | Sandbox, repeats: int) -> Figures:
    """Exams and episodes per minute of ``episodes`` at a time."""
    seconds = []
    envs = gym.make_vec("DiscoGen-v0", num_envs=episodes, task=task, sandbox=sandbox, runs_dir=None, max_steps=3)
    try:
        for repeat in range(repeats + 1):
            begin = time.perf_counter()
            envs.reset(seed=1000 * repeat)
            for command in ("run", "submit"):
                infos = envs.step([command] * episodes)[4]
                require_no_infra_error(infos)
            seconds.append(time.perf_counter() - begin)
    finally:
        envs.close()
    minutes = statistics.median(seconds[1:]) / 60
    return {
        "episodes": episodes,
        "episodes/min": episodes / minutes,
        "exams/min": episodes * EXAMS / minutes,
        "seconds": seconds[1:],
    }


def require_no_infra_error(infos: dict[str, Any]) -> None:
    """Raise RuntimeError if an episode failed because of the machine."""
    errors = infos.get("infra_error")
    for error in [errors] if isinstance(errors, str) else errors if errors is not None else []:
        if error:
            raise RuntimeError(f"an episode failed: {error}")


def play_pinned(connection: multiprocessing.connection.Connection, core: int, task: Task, sandbox: str) -> None:
    """In a separate process: for each number that arrives, play so many episodes on one core, then answer it."""
    os.sched_setaffinity(0, {core})
    env = gym.make(
        "DiscoGen-v0",
        disable_env_checker=True,
        task=task,
        sandbox=sandbox,
        runs_dir=None,
        max_steps=3,
    )
    seed = 0
    try:
        while count := connection.recv():
            for _ in range(count):
                seed += 1
                env.reset(seed=seed)
                for command in ("run", "submit"):
                    require_no_infra_error(env.step(command)[4])
            connection.send(count)
    finally:
        env.close()


@dataclass
class Player:
    """A process that plays, pinned to a core."""

    process: multiprocessing.process.BaseProcess
    connection: multiprocessing.connection.Connection


def start_player(core: int, task: Task, sandbox: str) -> Player:
    """Start one."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=play_pinned, args=(theirs, core, task, sandbox))
    process.start()
    theirs.close()
    return Player(process, ours)


def rate(players: list[Player], episodes: int) -> float:
    """Exams per minute of ``players`` that each play so many episodes, from the first start to the last end."""
    begin = time.perf_counter()
    for player in players:
        player.connection.send(episodes)
    for player in players:
        player.connection.recv()  # EOFError if it died
    return len(players) * episodes * EXAMS * 60 / (time.perf_counter() - begin)


def two_cores(task: Task, episodes: int, sandbox: str, repeats: int) -> Figures | None:
    """Common throughput of two pinned processes, which play so many episodes in a row, beside that of one.

    None if there are fewer than two cores.
    """
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        return None
    players = [start_player(core, task, sandbox) for core in cores]
    alone, both, ratios = [], [], []
    try:
        rate(players, 1)  # warms the examiners
        for _ in range(repeats):
            alone.append(statistics.mean(rate([player], episodes) for player in players))
            both.append(rate(players, episodes))
            ratios.append(both[-1] / alone[-1])
    finally:
        for player in players:
            with contextlib.suppress(OSError):  # it died; the error that it caused is on its way
                player.connection.send(0)
            player.process.join()
            player.connection.close()
    return {
        "one exams/min": statistics.median(alone),
        "two exams/min": statistics.median(both),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def run(options: Options) -> Figures:
    """Measure each domain."""
    rows = []
    for domain in options.domains or DOMAINS:
        task = short_task(domain, options)
        points = []
        for episodes in options.episodes:
            log(f"throughput: {domain}, {episodes} at a time")
            points.append(growth(task, episodes, options.sandbox, options.repeats))
        log(f"throughput: {domain}, two cores")
        in_a_row = IN_A_ROW.get(task.resolve().specification.extra, 1)
        pinned = two_cores(task, in_a_row, options.sandbox, options.repeats)
        rows.append({"domain": domain, "scale": task.scale, "growth": points, "two_cores": pinned})
    return {"cores": usable_cores(), "repeats": options.repeats, "rows": rows}


def tables(figures: Figures) -> list[Table]:
    """Growth, and the two cores."""
    scale = figures["rows"][0]["scale"] if figures["rows"] else ""
    grown = [
        [
            row["domain"],
            str(point["episodes"]),
            number(point["episodes/min"]),
            number(point["exams/min"]),
            number(point["exams/min"] / row["growth"][0]["exams/min"]),
        ]
        for row in figures["rows"]
        for point in row["growth"]
    ]
    pinned = [
        [row["domain"], *(number(row["two_cores"][key]) for key in ("one exams/min", "two exams/min", "ratio"))]
        if row["two_cores"]
        else [row["domain"], "—", "—", "needs two cores"]
        for row in figures["rows"]
    ]
    how = f"at {scale}, median of {figures['repeats']}"
    return [
        Table(
            f"Concurrent episodes {how}, {figures['cores']} cores",
            ("domain", "episodes at a time", "episodes/min", "exams/min", "beside the first row"),
            grown,
        ),
        Table(
            f"Two episodes, each pinned to a core, beside one {how}",
            ("domain", "one: exams/min", "two: exams/min", "ratio"),
            pinned,
        ),
    ]


def bounds(figures: Figures) -> list[Bound]:
    """Two cores are worth nearly twice as much as one."""
    return [
        Bound(
            f"{row['domain']}, {row['scale']}: throughput of two pinned episodes / one",
            row["two_cores"] and row["two_cores"]["ratio"],
            TWO_CORES,
            at_most=False,
        )
        for row in figures["rows"]
    ]


if __name__ == "__main__":
    runner.main("throughput")
