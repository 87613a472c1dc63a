"""What it costs to sample a configuration and to write a task's files, beside the ``discogen`` package.

Each package is measured in a separate process (``generating.py``), in turns, with the same seeds and parameters,
in empty folders. ``sample`` is one configuration; ``create`` is the meta-train side of a sampled task in a new folder,
without data; ``again`` is the same in place of the folder that is there. Tasks are drawn from our domains and from
DiscoGen's, so ``files`` and ``KiB`` show how much was written, and ``ms/file`` is the fairer figure for ``create``.
Growth is the cost per task of 10, 100, ... tasks in one fresh process: the mean, which includes what is read when a
domain is drawn for the first time, and the median of the last tenth. Written tasks are removed as it goes.

The package is looked for in the folder that the variable ``DISCOGEN_PACK`` names, and among what is installed for the
interpreter ``DISCOGEN_PYTHON`` (default: this one).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import runner
from benchmarks.report import ROOT, Bound, Figures, Options, Table, log, number

SAMPLES: Final = 1000
CREATIONS: Final = 50
SAMPLING_FASTER: Final = 20.0
CREATING_FASTER: Final = 1.0
#: The report states for these how many times faster ours is.
_SPEEDS: Final = ("import, first sample ms", "sample ms", "create ms", "again ms", "ms/file")
_PROGRAM: Final = Path(__file__).with_name("generating.py")


class Absent(RuntimeError):
    """The discogen package cannot be used here; the message says why."""


def call(package: str, *arguments: str) -> dict[str, list[float]]:
    """What ``generating.py`` measured with a package, in a fresh process and an empty folder.

    Raises:
        Absent: discogen cannot be imported.
        RuntimeError: the program failed.
    """
    python, path = sys.executable, str(ROOT)
    if package == "discogen":
        python = os.environ.get("DISCOGEN_PYTHON", sys.executable)
        path = os.environ.get("DISCOGEN_PACK", "")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH")]))}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = [python, str(_PROGRAM), package, *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2]
        if package == "discogen" and last.startswith(("ModuleNotFoundError", "ImportError")):
            raise Absent(f"discogen is not there: set DISCOGEN_PACK to its folder ({last})")
        raise RuntimeError(f"{package} with {python}:\n{done.stderr[-3000:]}")
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def packages() -> tuple[tuple[str, ...], str]:
    """The packages that can be measured here, and why the other cannot."""
    try:
        call("discogen", "sample", "1")
    except Absent as error:
        return ("discoenv",), str(error)
    return ("discoenv", "discogen"), ""


def medians(chosen: Sequence[str], rounds: int, samples: int, creations: int) -> dict[str, dict[str, float]]:
    """Medians over rounds of the medians of each package."""
    found: dict[str, dict[str, list[float]]] = {package: {} for package in chosen}
    for _ in range(rounds):
        for package in chosen:
            measured = call(package, "create", str(creations)) | call(package, "sample", str(samples))
            for key, values in measured.items():
                found[package].setdefault(key, []).append(statistics.median(values))
    return {package: {key: statistics.median(runs) for key, runs in keys.items()} for package, keys in found.items()}


def growth(package: str, what: str, counts: Sequence[int]) -> list[dict[str, float]]:
    """Milliseconds per task for each number of tasks, each in a fresh process: mean, and median of the last tenth."""
    points = []
    for count in counts:
        log(f"generation: {package}, {what} {count}")
        found = call(package, f"grow-{what}", str(count))
        (tasks,) = found["tasks"]
        points.append(
            {
                "tasks": tasks,
                "ms/task": statistics.fmean(found["ms"]),
                "last ms/task": statistics.median(found["ms"][-max(1, count // 10) :]),
            }
        )
    return points


def run(options: Options) -> Figures:
    """Measure both packages, or ours alone."""
    chosen, absent = packages()
    log(f"generation: {', '.join(chosen)}")
    samples = min(SAMPLES, max(options.sampled))
    creations = min(CREATIONS, max(options.materialised))
    return {
        "rounds": options.repeats,
        "samples": samples,
        "creations": creations,
        "absent": absent,
        "medians": medians(chosen, options.repeats, samples, creations),
        "growth": {
            package: {
                "sample": growth(package, "sample", options.sampled),
                "create": growth(package, "create", options.materialised),
            }
            for package in chosen
        },
    }


def tables(figures: Figures) -> list[Table]:
    """Medians side by side, and growth."""
    ours, theirs = figures["medians"]["discoenv"], figures["medians"].get("discogen")
    notes = (figures["absent"],) if figures["absent"] else ()
    rows = []
    for key, value in ours.items():
        other = [number(theirs[key]), _times(theirs[key] / value) if key in _SPEEDS else ""] if theirs else ["—", "—"]
        rows.append([key, number(value), *other])
    how = (
        f"{figures['rounds']} × {figures['samples']} configurations, {figures['rounds']} × {figures['creations']} tasks"
    )
    side_by_side = Table(f"Medians of {how}", ("", "discoenv", "discogen", "times faster"), rows, notes)
    grown = [
        [package, what, f"{point['tasks']:,.0f}", number(point["ms/task"]), number(point["last ms/task"])]
        for package, ways in figures["growth"].items()
        for what, points in ways.items()
        for point in points
    ]
    return [side_by_side, Table("Growth", ("package", "what", "tasks", "ms/task, mean", "ms/task, last tenth"), grown)]


def bounds(figures: Figures) -> list[Bound]:
    """Times faster than DiscoGen."""
    ours, theirs = figures["medians"]["discoenv"], figures["medians"].get("discogen")
    speeds = {key: theirs[key] / ours[key] if theirs else None for key in ("sample ms", "create ms")}
    return [
        Bound("sampling, times DiscoGen's speed", speeds["sample ms"], SAMPLING_FASTER, at_most=False),
        Bound("materialising, times DiscoGen's speed", speeds["create ms"], CREATING_FASTER, at_most=False),
    ]


def _times(value: float) -> str:
    return f"{number(value)} ×"


if __name__ == "__main__":
    runner.main("generation")
