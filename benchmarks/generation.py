"""What it costs to sample a configuration and to write a task's files, beside the ``discogen`` package.

Both are measured in processes of their own, in turns, with the same seeds and parameters, in empty folders.
``sample`` is one configuration; ``create`` is the meta-train side of a sampled task in a new folder, without data; and
``again`` is the same in place of the folder that is there. Our tasks are drawn from our domains and DiscoGen's from its
own, so ``files`` and ``KiB`` tell how much was written, and ``ms/file`` is the fairer figure for ``create``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from discoenv.exams import baselines

# Runs with either package, whose name and the counts are its arguments.
_PROGRAM = """
import json, os, statistics, sys, time

begin = time.perf_counter()
from importlib import import_module

package = import_module(sys.argv[1])
samples, creations = int(sys.argv[2]), int(sys.argv[3])

def sample(seed):
    # DiscoGen gives up after ten attempts by default; both get enough of them here.
    return package.sample_task_config(
        p_edit=0.3, p_data=[0.4, 0.4, 0.2], p_use_base=0.5, eval_type="random", seed=seed, max_attempts=1000
    )

def milliseconds(call, *arguments, **keywords):
    begin = time.perf_counter()
    call(*arguments, **keywords)
    return 1e3 * (time.perf_counter() - begin)

def create(domain, config, name):
    config = dict(config, source_path="tasks/" + name)
    return milliseconds(package.create_task, domain, test=False, config_dict=config, no_data=True)

sample(0)
starting = 1e3 * (time.perf_counter() - begin)
sampling = [milliseconds(sample, seed) for seed in range(samples)]
drawn = [sample(seed) for seed in range(creations)]
for domain, config in drawn:  # whatever is read once per process is read here
    create(domain, config, "warm")
fresh = [create(*task, str(number)) for number, task in enumerate(drawn)]
again = [create(*task, str(number)) for number, task in enumerate(drawn)]
counts, sizes = [], []
for number in range(len(drawn)):
    paths = [os.path.join(top, name) for top, _, names in os.walk(f"tasks/{number}") for name in names]
    counts.append(len(paths))
    sizes.append(sum(os.lstat(path).st_size for path in paths) / 1024)
print(json.dumps({
    "import, first sample ms": starting,
    "sample ms": statistics.median(sampling),
    "create ms": statistics.median(fresh),
    "again ms": statistics.median(again),
    "files": statistics.median(counts),
    "KiB": statistics.median(sizes),
    "ms/file": statistics.median(t / n for t, n in zip(fresh, counts)),
}))
"""
_RATIOS = ("import, first sample ms", "sample ms", "create ms", "again ms", "ms/file")
ROOT = Path(__file__).resolve().parents[1]


def measure(python: str, package: str, samples: int, creations: int) -> dict[str, float]:
    """Medians of one package, in a new process of an interpreter that can import it."""
    environment = dict(os.environ)
    if package == "discoenv":
        environment["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = [python, "-c", _PROGRAM, package, str(samples), str(creations)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{package} with {python}:\n{done.stderr[-3000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main(
    discogen_python: Annotated[
        Path | None,
        typer.Option(help="Interpreter that can import discogen (PYTHONPATH is passed on to it).", show_default=False),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Configurations per round.")] = 1000,
    creations: Annotated[int, typer.Option(min=1, help="Tasks written per round.")] = 50,
    rounds: Annotated[int, typer.Option(min=1, help="Processes of each package, in turns.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Also write the figures to this JSON file.")] = None,
) -> None:
    """Print medians, and how many times faster ours are."""
    pythons = {"discoenv": sys.executable}
    if discogen_python is not None:
        pythons["discogen"] = str(discogen_python)
    measured: dict[str, list[dict[str, float]]] = {package: [] for package in pythons}
    for _ in range(rounds):
        for package, python in pythons.items():
            measured[package].append(measure(python, package, samples, creations))
    figures = {
        package: {key: statistics.median(found[key] for found in runs) for key in runs[0]}
        for package, runs in measured.items()
    }
    table = Table("median", *figures, title=f"{rounds} × {samples} configurations, {rounds} × {creations} tasks")
    if "discogen" in figures:
        table.add_column("ratio")
    for key, value in figures["discoenv"].items():
        row = [f"{found[key]:.3g}" for found in figures.values()]
        if "discogen" in figures and key in _RATIOS:
            row.append(f"{figures['discogen'][key] / value:.1f} ×")
        table.add_row(key, *row)
    Console().print(table)
    if out is not None:
        out.write_text(json.dumps({"hardware": baselines.hardware(), "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
