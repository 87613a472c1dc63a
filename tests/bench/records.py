"""Results of cells, and whole benchmarks on disk, made by hand for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from discoenv.bench.cell import CELLS, RESULT, STATUS, CellResult, DatasetOutcome, Matrix
from discoenv.tasks.task import Task

DOMAIN = "GreenhouseGasPrediction"


def cell(
    agent: str,
    score: float | None,
    *,
    task: str = "task",
    seed: int = 0,
    train: float | None = None,
    modules: Sequence[str] = ("model",),
    datasets: Sequence[str] = ("BoxModel/CH4",),
    **others: Any,
) -> CellResult:
    """A result with the same score on all meta-test datasets; None is an agent that failed."""
    values: dict[str, Any] = {"domain": DOMAIN, "steps": 3, "seconds": 10.0}
    if score is None:
        values["error"] = "ValueError: it went wrong"
    else:
        values |= {"reward": score, "succeeded": True, "record": f"runs/{task}-{seed}"}
        values["meta_test"] = {name: DatasetOutcome(score, score, True) for name in datasets}
    if train is not None:
        values["meta_train"] = {"BoxModel/CO2": DatasetOutcome(train, train, True)}
    return CellResult(agent, task, modules=list(modules), seed=seed, **(values | others))


def task(*modules: str, **others: Any) -> Task:
    """A task of the domain that all these tests use."""
    values: dict[str, Any] = {"meta_train": ("BoxModel/CO2",), "meta_test": ("BoxModel/CH4", "BoxModel/SF6")}
    return Task(domain=DOMAIN, modules=modules, scale="tiny", **(values | others))


def write(
    directory: Path, matrix: Matrix, results: Sequence[CellResult], states: Mapping[tuple[str, int], str] | None = None
) -> None:
    """Write a benchmark as its runner does.

    Args:
        directory: made by this.
        matrix: what was to be run.
        results: what has been run.
        states: messages of cells that failed because of the machine, by agent and seed (on every task).
    """
    directory.mkdir()
    matrix.save(directory)
    number = 0
    for agent in matrix.agents:
        for config in matrix.tasks:
            name = Task.parse(dict(config)).task_id
            folder = directory / CELLS / str(number)
            number += 1
            folder.mkdir(parents=True)
            (folder / "config.yml").write_text(json.dumps({"agent": agent, "task": config}))
            for seed in matrix.seeds:
                found = [each for each in results if (each.agent, each.task, each.seed) == (agent, name, seed)]
                (folder / str(seed)).mkdir()
                status: dict[str, Any] = {"state": "pending"}
                if found:
                    status["state"] = "failed" if found[0].error else "done"
                    (folder / str(seed) / RESULT).write_text(json.dumps(found[0].to_json()))
                elif (agent, seed) in (states or {}):
                    status = {"state": "infra", "message": (states or {})[agent, seed]}
                (folder / str(seed) / STATUS).write_text(json.dumps(status))
