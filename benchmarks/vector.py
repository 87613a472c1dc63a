"""Wall time of episodes in the vector environment, beside the same episodes one after another.

Both play ``num_envs`` episodes of one task with the base modules: ``run``, then ``submit``. They alternate, in one
process, and their rewards must be equal. On a machine that does other things at the same time, compare ratios.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import typer

import discoenv  # noqa: F401 - registers the environment
from benchmarks import report
from benchmarks.overhead import base_task
from discoenv.exams.host import Host
from discoenv.machine.cores import usable_cores
from discoenv.sandbox import get_sandbox
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task


def one_by_one(seeds: list[int], **arguments: Any) -> tuple[float, list[float]]:
    """Seconds and rewards of the episodes of one environment, one after another, and so are their exams."""
    begin, rewards = time.perf_counter(), []
    host = Host(arguments.pop("sandbox"), exams_at_once=1)
    env = gym.make("DiscoGen-v0", disable_env_checker=True, host=host, **arguments)
    for seed in seeds:
        env.reset(seed=seed)
        env.step("run")
        rewards.append(float(env.step("submit")[1]))
    env.close()
    host.close()
    return time.perf_counter() - begin, rewards


def together(seeds: list[int], exams_at_once: int | None, **arguments: Any) -> tuple[float, list[float]]:
    """Seconds and rewards of the same episodes in a vector environment."""
    begin = time.perf_counter()
    host = Host(arguments.pop("sandbox"), exams_at_once=exams_at_once)
    env = gym.make_vec("DiscoGen-v0", num_envs=len(seeds), host=host, **arguments)
    env.reset(seed=seeds)  # type: ignore[arg-type]
    env.step(["run"] * len(seeds))
    rewards = env.step(["submit"] * len(seeds))[1]
    env.close()
    host.close()
    return time.perf_counter() - begin, [float(reward) for reward in rewards]


def measure(
    task: Task, num_envs: int, sandbox: Sandbox, repeats: int, exams_at_once: int | None = None
) -> dict[str, float]:
    """Medians over ``repeats``: seconds of both, and the ratio of each pair.

    Raises:
        RuntimeError: the rewards differ.
    """
    arguments = {"task": task, "sandbox": sandbox, "runs_dir": None, "max_steps": 3}
    rows = []
    for repeat in range(repeats + 1):
        seeds = list(range(num_envs))
        single_s, alone = one_by_one(seeds, **arguments)
        vector_s, batch = together(seeds, exams_at_once, **arguments)
        if alone != batch:
            raise RuntimeError(f"{task.domain}: rewards are {alone} one by one, but {batch} together")
        if repeat > 0:  # the first pair warms the page cache
            rows.append((single_s, vector_s, vector_s / single_s))
    singles, vectors, ratios = zip(*rows, strict=True)
    return {
        "single_s": statistics.median(singles),
        "vector_s": statistics.median(vectors),
        "vector/single": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


def main(
    domain: Annotated[list[str] | None, typer.Option(help="Domains (repeat the option).")] = None,
    scale: Annotated[str, typer.Option(help="tiny, small or full.")] = "tiny",
    num_envs: Annotated[int, typer.Option(min=1, help="Episodes at a time.")] = 4,
    exams_at_once: Annotated[int | None, typer.Option(min=1, help="Exams at once [default: one per core].")] = None,
    sandbox: Annotated[str, typer.Option(help="Provider.")] = "auto",
    repeats: Annotated[int, typer.Option(min=1, help="Pairs measured, after one that is not counted.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Also write the figures to this JSON file.")] = None,
) -> None:
    """Print the ratio as a table."""
    provider = get_sandbox(sandbox)
    figures = {}
    for name in domain or ["GreenhouseGasPrediction", "OnPolicyRL"]:
        task = base_task(name, scale).model_copy(update={"train_seeds": 1, "test_seeds": 1})  # type: ignore[arg-type]
        figures[name] = measure(task, num_envs, provider, repeats, exams_at_once)
    provider.close()
    title = f"{num_envs} episodes at {scale}, {exams_at_once or usable_cores()} exams at once, median of {repeats}"
    report.print_figures(title, figures, scale=scale, out=out)


if __name__ == "__main__":
    typer.run(main)
