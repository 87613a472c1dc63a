"""What it takes to start: `import discoenv`, the command, `reset()`; and what an environment leaves after `close()`.

* ``import``: `import discoenv` in a fresh interpreter, timed inside it.
* ``command``: CPU time of `discoenv get-domains` and of `discoenv --help`, beside that of a process that only imports
  typer, rich, yaml and pydantic, which a command line of this kind is made of. CPU time, because others may use the
  machine; a ratio, because machines differ.
* ``reset``: `reset()` of one environment over sampled tasks that need no data to be fetched, after a first one, which
  reads each domain's files once per process. Nothing is trained.
* ``processes left``: a program makes an environment, plays (or not) and closes it; then its descendants are counted.
  It adopts orphans for that (Linux: `PR_SET_CHILD_SUBREAPER`), so a process that has left its parent counts too.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import Final

import gymnasium as gym

import discoenv  # noqa: F401 - registers the environment
from benchmarks import runner
from benchmarks.report import ROOT, Bound, Figures, Options, Table, log, number
from discoenv.sandbox import get_sandbox
from discoenv.tasks.specification import Scale

MOST_MS: Final = 150.0
#: Commands, and the most CPU time that each may take, as a multiple of that of importing :data:`_LIBRARIES`.
#: For the `--help` of a program of one line, Typer takes 1.7.
MOST_CPU: Final = {"get-domains": 1.3, "--help": 2.2}
_LIBRARIES: Final = "import typer, rich, yaml, pydantic"
#: Tasks sampled, and fresh interpreters, per repeat.
_RESETS: Final = 20
_IMPORTS: Final = 3

_IMPORT = "import time; begin = time.perf_counter(); import discoenv; print(1e3 * (time.perf_counter() - begin))"
_LEFT = """
import ctypes, json, os, sys
from pathlib import Path

ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans become our children
import discoenv, gymnasium

sandbox, play, domains = json.loads(sys.argv[1])
env = gymnasium.make("DiscoGen-v0", scale="tiny", sandbox=sandbox, runs_dir=None, domain=domains or None)
if play:
    info = env.reset(seed=0)[1]
    env.step({"command": "run", "datasets": info["task"]["meta_train"][:1]})
env.close()

def parent_of_the_living(stat):
    state, parent = stat.rpartition(")")[2].split()[:2]
    return None if state == "Z" else int(parent)

parents = {}
for path in Path("/proc").glob("[0-9]*/stat"):
    try:
        parents[int(path.parent.name)] = parent_of_the_living(path.read_text())
    except OSError:
        continue
found, left = {os.getpid()}, 0
while left != len(found):
    left = len(found)
    found |= {pid for pid, parent in parents.items() if parent in found}
print(json.dumps([Path(f"/proc/{pid}/cmdline").read_text().replace("\\0", " ") for pid in found - {os.getpid()}]))
"""


def imports(count: int) -> list[float]:
    """Milliseconds of `import discoenv` in fresh interpreters."""
    return [float(_python("-c", _IMPORT)) for _ in range(count)]


def commands(count: int) -> dict[str, list[float]]:
    """CPU seconds of commands, and of importing the libraries under ``libraries``, in fresh processes, in turn."""
    programs = {"libraries": ("-c", _LIBRARIES)} | {name: ("-m", "discoenv.cli.main", name) for name in MOST_CPU}
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(count + 1):
        for name, arguments in programs.items():
            times[name].append(_cpu_seconds(*arguments))
    return {name: seconds[1:] for name, seconds in times.items()}  # the first may have compiled files


def resets(count: int, scale: Scale, sandbox: str, domains: tuple[str, ...] = ()) -> tuple[list[float], list[str]]:
    """Milliseconds of `reset()` over sampled tasks, and the ids of these tasks."""
    env = gym.make(
        "DiscoGen-v0",
        disable_env_checker=True,
        domain=domains or None,
        scale=scale,
        sandbox=sandbox,
        runs_dir=None,
        sampling={"p_base": 0.5},
    )
    times, tasks = [], []
    try:
        for seed in range(count + 1):
            begin = time.perf_counter()
            _, info = env.reset(seed=seed)
            times.append(1e3 * (time.perf_counter() - begin))
            tasks.append(info["task_id"])
    finally:
        env.close()
    return times[1:], tasks[1:]


def processes_left(sandbox: str, *, play: bool, domains: tuple[str, ...] = ()) -> list[str]:
    """Command lines of the processes that are left after `close()`, with or without an exam before it."""
    found: list[str] = json.loads(_python("-c", _LEFT, json.dumps([sandbox, play, domains])))
    return found


def _cpu_seconds(*arguments: str) -> float:
    """User and system time of a fresh interpreter that prints to nowhere.

    Raises:
        RuntimeError: it failed.
    """
    process = subprocess.Popen([sys.executable, *arguments], env=_environment(), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"python {' '.join(arguments)}: exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def _python(*arguments: str) -> str:
    """The last line that a fresh interpreter prints."""
    done = subprocess.run([sys.executable, *arguments], env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"python {arguments[0]}:\n{done.stderr[-3000:]}")
    return done.stdout.splitlines()[-1]


def run(options: Options) -> Figures:
    """Measure all four."""
    log("startup: import, command, reset, processes left")
    provider = get_sandbox(options.sandbox)
    provider.close()
    sandbox = provider.name
    times, tasks = resets(_RESETS * options.repeats, options.scales[0], sandbox, options.domains)
    imported = imports(_IMPORTS * options.repeats)
    cpu = commands(options.repeats)
    quantiles = statistics.quantiles(times, n=20, method="inclusive")
    return {
        "sandbox": sandbox,
        "scale": options.scales[0],
        "import_ms": statistics.median(imported),
        "command_cpu_ms": {name: 1e3 * statistics.median(seconds) for name, seconds in cpu.items()},
        "reset_ms": statistics.median(times),
        "reset_p95_ms": quantiles[-1],
        "resets": len(times),
        "tasks": len(set(tasks)),
        "left_after_close": processes_left(sandbox, play=False),
        "left_after_exam": processes_left(sandbox, play=True, domains=("GreenhouseGasPrediction",)),
        "samples": {"import_ms": imported, "command_cpu_s": cpu, "reset_ms": times},
    }


def tables(figures: Figures) -> list[Table]:
    """One table."""
    samples = figures["samples"]
    shown = {name: f"`discoenv {name}`" for name in MOST_CPU} | {"libraries": f"`{_LIBRARIES}`"}
    rows = [
        ["`import discoenv`, ms", number(figures["import_ms"]), f"median of {len(samples['import_ms'])} interpreters"],
        *(
            [f"{shown[name]}, CPU ms", number(figures["command_cpu_ms"][name]), f"median of {len(times)} processes"]
            for name, times in samples["command_cpu_s"].items()
        ),
        ["`reset()`, ms", number(figures["reset_ms"]), f"median of {figures['resets']}, {figures['tasks']} tasks"],
        ["`reset()`, ms", number(figures["reset_p95_ms"]), "95th percentile"],
        ["processes left after `close()`", str(len(figures["left_after_close"])), "an environment just made"],
        ["processes left after `close()`", str(len(figures["left_after_exam"])), "after an exam"],
    ]
    title = f"Starting, at {figures['scale']}, sandbox {figures['sandbox']}"
    return [Table(title, ("what", "measured", "how"), rows)]


def bounds(figures: Figures) -> list[Bound]:
    """Milliseconds, ratios of CPU time, and no process."""
    cpu = figures["command_cpu_ms"]
    return [
        Bound("import discoenv", figures["import_ms"], MOST_MS, unit="ms"),
        *(
            Bound(f"CPU time of discoenv {name} / {_LIBRARIES}", cpu[name] / cpu["libraries"], most)
            for name, most in MOST_CPU.items()
        ),
        Bound(f"reset() without data to fetch, {figures['sandbox']}", figures["reset_ms"], MOST_MS, unit="ms"),
        Bound("processes left after gym.make and close()", float(len(figures["left_after_close"])), 0.0),
        Bound("processes left after an exam and close()", float(len(figures["left_after_exam"])), 0.0),
    ]


if __name__ == "__main__":
    runner.main("startup")
