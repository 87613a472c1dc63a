"""Seconds that a new examiner process takes until it has asked its first question, with an empty and with a full cache.

Such a process imports, builds its environments and compiles their first steps. It starts with its own cache: the
first process of a dataset traces and compiles everything, the later ones load what it stored. CPU seconds, of user and
system, are the better figure where other work runs.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from discoenv.exams.examiner_client import ExaminerProcess
from discoenv.machine import hardware
from discoenv.tasks.registry import get_domain

DATASETS = (
    ("OnPolicyRL", "MinAtar/Breakout"),
    ("OnPolicyRL", "Brax/Ant"),
    ("OnPolicyRL", "Brax/Reacher"),
    ("OnPolicyRL", "Craftax/Craftax-Classic"),
    ("OffPolicyRL", "MinAtar/Breakout"),
)


def first_floor(domain_name: str, dataset: str) -> dict[str, float]:
    """Wall and CPU seconds of a new examiner process that plays two steps of its episodes at random."""
    domain = get_domain(domain_name)
    config = {**domain.config(dataset, "tiny"), "EVALUATION_STEPS": 2}
    target = {"dataset": dataset, "scale": "tiny", "config": config, "data": None}
    examiner = ExaminerProcess(domain.directory)
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    try:
        examiner.request("floor", target=target, seed=0)
        wall_s = time.perf_counter() - begin
    finally:
        examiner.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall_s, "cpu_s": cpu_s}


def run(datasets: tuple[tuple[str, str], ...] = DATASETS, repeats: int = 3) -> dict[str, Any]:
    """For each dataset, the figures of :func:`first_floor`: ``cold``, and ``stored``, the medians of ``repeats``."""
    figures: dict[str, Any] = {}
    cache = os.environ.get("XDG_CACHE_HOME")
    for domain_name, dataset in datasets:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            os.environ["XDG_CACHE_HOME"] = folder
            try:
                cold = first_floor(domain_name, dataset)
                later = [first_floor(domain_name, dataset) for _ in range(repeats)]
            finally:
                if cache is None:
                    del os.environ["XDG_CACHE_HOME"]
                else:
                    os.environ["XDG_CACHE_HOME"] = cache
            size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        stored = {name: statistics.median(figure[name] for figure in later) for name in cold}
        figures[f"{domain_name} {dataset}"] = {"cold": cold, "stored": stored, "cache_mib": size / 2**20}
    return figures


def main(
    dataset: Annotated[list[str] | None, typer.Option(help="Only these, as DOMAIN:DATASET (repeat it).")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Processes with a full cache.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Also write the figures to this JSON file.")] = None,
) -> None:
    """Print the seconds to the first step of an evaluation as a table."""
    chosen = tuple((name, rest) for name, _, rest in (text.partition(":") for text in dataset or ())) or DATASETS
    figures = run(chosen, repeats)
    table = Table(title=f"Seconds until an examiner has played its first steps, wall (CPU), median of {repeats}")
    for column in ("dataset", "nothing stored", "stored", "cache MiB"):
        table.add_column(column)
    for name, row in figures.items():
        times = [f"{row[kind]['wall_s']:.1f} ({row[kind]['cpu_s']:.1f})" for kind in ("cold", "stored")]
        table.add_row(name, *times, f"{row['cache_mib']:.1f}")
    console = Console()
    console.print(table)
    console.print(", ".join(f"{key}: {value}" for key, value in hardware.hardware().items()), highlight=False)
    if out is not None:
        out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
