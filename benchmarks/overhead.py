"""What an exam costs beyond the training that it contains, beside the same ``main.py`` as a bare process.

``bare`` is `python main.py` without sandbox or examiner, from its start to its end, with a peer that accepts the
trained model and asks nothing. ``exam`` is a whole exam: sandbox, training, questions, clean-up. ``overhead`` is the
exam less its training and answers. Both run alternately, in one process, on one machine; compare ratios, not seconds.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from discoenv.exams import baselines, frameworks
from discoenv.exams.exam import receive, send
from discoenv.exams.runner import ExamRunner, learner_seed
from discoenv.exams.server import load_examiner_class
from discoenv.sandbox import get_sandbox
from discoenv.tasks.config import TaskConfig
from discoenv.tasks.domain import Scale, get_domain, get_domains
from discoenv.tasks.workspace import materialise


def base_task(domain_name: str, scale: Scale) -> TaskConfig:
    """A task with the base modules of a domain and its first two datasets."""
    domain = get_domain(domain_name)
    first, second = domain.datasets[:2]
    return TaskConfig(
        domain=domain_name,
        modules=tuple(domain.modules),
        meta_train=(first,),
        meta_test=(second,),
        start="base",
        scale=scale,
    )


def bare_seconds(folder: Path, data: Path, seed: int) -> float:
    """Wall time of ``python main.py`` in ``folder``, with a peer that asks nothing."""
    address = str(data / "bare")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(1)

        def accept() -> None:
            connection, _ = listener.accept()
            with connection:
                receive(connection)
                send(connection, {"done": True})

        peer = threading.Thread(target=accept, daemon=True)
        peer.start()
        environment = {
            **os.environ,
            "EXAM_SOCKET": address,
            "EXAM_DATA": str(data),
            "EXAM_SEED": str(learner_seed(seed)),
            **frameworks.on_cpu(),
        }
        begin = time.perf_counter()
        subprocess.run([sys.executable, "main.py"], cwd=folder, env=environment, check=True, capture_output=True)
        seconds = time.perf_counter() - begin
        peer.join()
    Path(address).unlink()
    return seconds


def measure(domain_name: str, scale: Scale, sandbox: str, repeats: int) -> dict[str, float]:
    """Medians over ``repeats`` of bare and exam wall times, training times and their ratios."""
    domain = get_domain(domain_name)
    task = base_task(domain_name, scale)
    dataset = task.meta_train[0]
    rows: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        workspace = materialise(task, Path(directory) / "workspace")
        data = Path(directory) / "data"
        data.mkdir()
        examiner = load_examiner_class(domain.directory)(dataset, scale, domain.config(dataset, scale))
        np.savez(data / "train.npz", **examiner.training_data(0))  # type: ignore[arg-type]
        runner = ExamRunner(domain, get_sandbox(sandbox))
        try:
            for repeat in range(repeats + 1):
                bare = bare_seconds(workspace / dataset, data, 0)
                begin = time.perf_counter()
                result = runner.run(workspace, dataset=dataset, scale=scale, seed=0, budget_s=3600.0)
                exam = time.perf_counter() - begin
                if result.seconds is None:
                    raise RuntimeError(f"{domain_name}: {result.message}\n{result.traceback}")
                if repeat > 0:  # the first pair warms the page cache and the examiner
                    rows.append((bare, exam, exam - result.seconds))
        finally:
            runner.close()
    bare, exam, overhead = (statistics.median(column) for column in zip(*rows, strict=True))
    return {
        "bare_s": bare,
        "exam_s": exam,
        "overhead_s": overhead,
        "exam/bare": statistics.median(row[1] / row[0] for row in rows),
        "overhead/bare": statistics.median(row[2] / row[0] for row in rows),
    }


def main(
    domain: Annotated[list[str] | None, typer.Option(help="Only these domains (repeat the option).")] = None,
    scale: Annotated[str, typer.Option(help="tiny, small or full.")] = "tiny",
    sandbox: Annotated[str, typer.Option(help="Provider.")] = "auto",
    repeats: Annotated[int, typer.Option(min=1, help="Pairs measured, after one that is not counted.")] = 5,
    out: Annotated[Path | None, typer.Option(help="Also write the figures to this JSON file.")] = None,
) -> None:
    """Print the overhead of exams as a table."""
    figures = {}
    for name in domain or get_domains():
        figures[name] = measure(name, scale, sandbox, repeats)  # type: ignore[arg-type]
    hardware = baselines.hardware()
    columns = list(next(iter(figures.values())))
    table = Table(title=f"Exam overhead at {scale}, median of {repeats}")
    table.add_column("domain", no_wrap=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    for name, row in figures.items():
        table.add_row(name, *(f"{row[column]:.2f}" for column in columns))
    console = Console()
    console.print(table)
    console.print(", ".join(f"{key}: {value}" for key, value in hardware.items()), highlight=False)
    if out is not None:
        out.write_text(json.dumps({"hardware": hardware, "scale": scale, "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
