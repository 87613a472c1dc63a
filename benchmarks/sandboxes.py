"""What each sandbox costs: a start, an exam beyond its training, and how many commands a second it serves.

``start`` is from the call to the running command, ``end`` from the command's exit to its outcome, of an empty program.
``overhead`` is the wall time of a tiny exam less its training and answers, the examiner being warm. ``commands/s``
counts empty Python programs, run by several threads at once. Compare ratios, not seconds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from benchmarks import runner
from benchmarks.report import Bound, Figures, Options, Table, log
from discoenv.exams.host import Host
from discoenv.exams.spec import ExamSpec
from discoenv.sandbox import Command, Limits, Sandbox
from discoenv.sandbox.containers.docker import DockerSandbox, PodmanSandbox
from discoenv.sandbox.local.bubblewrap import BubblewrapSandbox
from discoenv.sandbox.local.process import ProcessSandbox
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import materialise

DOMAIN, DATASET = "GreenhouseGasPrediction", "BoxModel/SF6"
#: Of the throughput: commands, and threads that run them.
COMMANDS: Final = 16
THREADS: Final = 2
#: Waiting containers of the warm rows.
POOL: Final = 2


def candidates(pool: int) -> dict[str, Sandbox]:
    """The sandboxes that work here, by the name of their row."""
    rows: dict[str, Sandbox] = {"process": ProcessSandbox()}
    if BubblewrapSandbox.check().works:
        rows["bubblewrap"] = BubblewrapSandbox()
    for provider in (DockerSandbox, PodmanSandbox):
        if provider.check().works:
            rows[f"{provider.name} cold"] = provider()
            rows[f"{provider.name} warm"] = provider(pool_size=pool)
    return rows


def start_and_end(sandbox: Sandbox, repeats: int) -> tuple[float, float]:
    """Median seconds to start an empty program, and from its exit to its outcome."""
    command = Command(("python", "-c", ""), cwd="/tmp", family="sklearn")  # noqa: S108 (inside)
    starts, ends = [], []
    for _ in range(repeats):
        if isinstance(sandbox, DockerSandbox):
            sandbox.warm_up(command, Limits())
        begin = time.monotonic()
        running = sandbox.start(command, Limits())
        starts.append(time.monotonic() - begin)
        outcome = running.wait()
        ends.append(time.monotonic() - running.started - outcome.usage.wall_s)
    return statistics.median(starts), statistics.median(ends)


def exam_overhead(sandbox: Sandbox, repeats: int) -> float:
    """Median seconds of a tiny exam beyond training and answers; the first one, which warms up, does not count."""
    task = Task(
        domain=DOMAIN,
        modules=("model",),
        meta_train=("BoxModel/N2O",),
        meta_test=(DATASET,),
        start="base",
        scale="tiny",
    )
    host = Host(sandbox, device="cpu")
    overheads = []
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder, "workspace")
        materialise(task, workspace, side="meta_test")
        workspace.chmod(0o755)
        try:
            for seed in range(repeats + 1):
                begin = time.monotonic()
                result = host.run(workspace, ExamSpec(task.setting(DATASET), seed, 300.0))
                wall = time.monotonic() - begin
                if result.seconds is None or result.status != "ok":
                    raise RuntimeError(f"{sandbox.name}: {result.message}\n{result.traceback}")
                overheads.append(wall - result.seconds)
        finally:
            host.close()
    return statistics.median(overheads[1:])


def throughput(sandbox: Sandbox, commands: int, threads: int) -> float:
    """Empty programs per second."""
    command = Command(("python", "-c", ""), cwd="/tmp", family="sklearn")  # noqa: S108 (inside)
    if isinstance(sandbox, DockerSandbox):
        sandbox.warm_up(command, Limits())
    begin = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for outcome in pool.map(lambda _: sandbox.run(command, Limits()), range(commands)):
            if outcome.exit_code != 0:
                raise RuntimeError(f"{sandbox.name}: {outcome.stderr}")
    return commands / (time.monotonic() - begin)


def run(options: Options) -> Figures:
    """Measure each sandbox that works here."""
    warnings.simplefilter("ignore")
    rows = {}
    for name, sandbox in candidates(POOL).items():
        log(f"sandboxes: {name}")
        try:
            start, end = start_and_end(sandbox, options.repeats)
            overhead = exam_overhead(sandbox, options.repeats)
            rows[name] = {
                "start_s": start,
                "end_s": end,
                "overhead_s": overhead,
                "commands/s": throughput(sandbox, COMMANDS, THREADS),
            }
        finally:
            sandbox.close()
    return {"repeats": options.repeats, "rows": rows}


def tables(figures: Figures) -> list[Table]:
    """One row per sandbox."""
    rows = [
        [name, *(f"{1e3 * row[key]:.0f}" for key in ("start_s", "end_s", "overhead_s")), f"{row['commands/s']:.1f}"]
        for name, row in figures["rows"].items()
    ]
    title = f"Sandboxes, median of {figures['repeats']}"
    return [Table(title, ("sandbox", "start ms", "end ms", "exam beyond training ms", "commands/s"), rows)]


def bounds(figures: Figures) -> list[Bound]:
    """Nothing is promised."""
    return []


if __name__ == "__main__":
    runner.main("sandboxes")
