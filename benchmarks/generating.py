"""Samples and writes tasks with a package that is named, and prints what that took: run by ``generation.py``.

    python generating.py PACKAGE WHAT COUNT

in an empty folder that may be written to. It imports nothing but the package: ``discoenv``, or ``discogen``, which has
functions of the same names. WHAT is ``sample``, ``create``, ``again`` or ``grow-sample`` and ``grow-create``.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path("tasks")
Drawn = tuple[str, dict[str, Any]]


def milliseconds(call: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    begin = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - begin)


def sample(package: Any, seed: int) -> Drawn:
    """A domain and a configuration. DiscoGen gives up after ten attempts by default; both get enough of them here."""
    drawn: Drawn = package.sample_task_config(
        p_edit=0.3, p_data=[0.4, 0.4, 0.2], p_use_base=0.5, eval_type="random", seed=seed, max_attempts=1000
    )
    return drawn


def create(package: Any, drawn: Drawn, name: str) -> float:
    """Milliseconds to write the meta-train side of a task into a folder, without data."""
    domain, config = drawn
    config = config | {"source_path": str(FOLDER / name)}
    return milliseconds(lambda: package.create_task(domain, test=False, config_dict=config, no_data=True))


def sampling(package: Any, count: int) -> dict[str, list[float]]:
    """Milliseconds of each of ``count`` configurations."""
    return {"sample ms": [milliseconds(functools.partial(sample, package, seed)) for seed in range(count)]}


def creating(package: Any, count: int) -> dict[str, list[float]]:
    """Milliseconds of each of ``count`` tasks in new folders and then in place of them, and how much was written."""
    found: dict[str, list[float]] = {"create ms": [], "again ms": [], "files": [], "KiB": [], "ms/file": []}
    for number in range(count):
        drawn = sample(package, number)
        warm_up(package, drawn)
        found["create ms"].append(create(package, drawn, "task"))
        found["again ms"].append(create(package, drawn, "task"))
        sizes = [os.lstat(Path(top, name)).st_size for top, _, names in os.walk(FOLDER / "task") for name in names]
        found["files"].append(float(len(sizes)))
        found["KiB"].append(sum(sizes) / 1024)
        found["ms/file"].append(found["create ms"][-1] / len(sizes))
        shutil.rmtree(FOLDER / "task")
    return found


def warm_up(package: Any, drawn: Drawn) -> None:
    """Write a task once: what is read once per process is read then."""
    create(package, drawn, "warm")
    shutil.rmtree(FOLDER / "warm")


def growing_samples(package: Any, count: int) -> dict[str, list[float]]:
    """Milliseconds of each of ``count`` configurations, which are all kept."""
    kept: list[Drawn] = []
    times = [milliseconds(functools.partial(_keep, kept, package, seed)) for seed in range(count)]
    return {"ms": times, "tasks": [float(len(kept))]}


def _keep(kept: list[Drawn], package: Any, seed: int) -> None:
    kept.append(sample(package, seed))


def growing_tasks(package: Any, count: int) -> dict[str, list[float]]:
    """Milliseconds to write each of ``count`` tasks; it is removed before the next, which is not counted."""
    times: list[float] = []
    written = 0
    for number in range(count):
        times.append(create(package, sample(package, number), "task"))
        written += (FOLDER / "task").is_dir()
        shutil.rmtree(FOLDER / "task")
    return {"ms": times, "tasks": [float(written)]}


WAYS = {"sample": sampling, "create": creating, "grow-sample": growing_samples, "grow-create": growing_tasks}


def main(name: str, what: str, count: str) -> None:
    """Import the package, warm it up with one configuration, and print the figures as JSON."""
    begin = time.perf_counter()
    package = importlib.import_module(name)
    sample(package, 0)
    starting = 1e3 * (time.perf_counter() - begin)
    print(json.dumps({"import, first sample ms": [starting], **WAYS[what](package, int(count))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
