"""Whether load changes scores: the same episodes on an idle machine, on a busy one, and by many processes at once.

Each episode submits a domain's base modules, with one secret and one seed. It is played by one process while nothing
else of ours runs, by one beside four programs that never rest, and by eight processes at once, each with a folder for
temporary files of its own. The rewards must be equal to the last bit, and no exam may run out of its compute budget.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from discoenv.exams import secrets
from discoenv.machine.locks import FOLDER_VARIABLE

DOMAINS = ("GreenhouseGasPrediction", "ComputerVisionClassification", "ContinualLearning")
_SECRET = 32 * "5a"
_PLAY = """
import json, sys
from discoenv.env import DiscoGenEnv
from discoenv.tasks.quick import quick_task
from discoenv.tasks.registry import get_domain
task = quick_task(get_domain(sys.argv[1]), start="base")
env = DiscoGenEnv(task=task, runs_dir=None, sandbox=sys.argv[2])
env.reset(seed=7)
_, reward, _, _, info = env.step("submit")
env.close()
exams = [exam for score in info["meta_test"].values() for exam in score["exams"]]
print(json.dumps({"reward": repr(reward), "statuses": [exam["status"] for exam in exams],
                  "error": str(info.get("infra_error") or "")}))
"""


def episodes(domain: str, sandbox: str, folder: Path, processes: int, environment: Mapping[str, str]) -> dict[str, Any]:
    """Rewards, statuses and wall time of the episode, played by so many processes at once."""
    begin, players = time.monotonic(), []
    for number in range(processes):
        temporary = folder / str(number)
        temporary.mkdir(exist_ok=True)
        players.append(
            subprocess.Popen(
                [sys.executable, "-c", _PLAY, domain, sandbox],
                env={**os.environ, **environment, "TMPDIR": str(temporary)},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    said = [player.communicate()[0] for player in players]
    if any(player.returncode for player in players):
        raise RuntimeError(f"{domain}: an episode failed; its error is above")
    played = [json.loads(text.splitlines()[-1]) for text in said]
    return {
        "rewards": sorted({each["reward"] for each in played}),
        "failures": [f"{each['error']} {each['statuses']}" for each in played if set(each["statuses"]) != {"ok"}],
        "wall_s": time.monotonic() - begin,
    }


@contextlib.contextmanager
def busy(programs: int) -> Iterator[None]:
    """Programs that never rest."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(programs)]
    try:
        yield
    finally:
        for program in running:
            program.kill()
            program.wait()


def compare(domain: str, sandbox: str = "auto", *, loops: int = 4, processes: int = 8) -> dict[str, dict[str, Any]]:
    """What the episode of a domain comes to under each kind of load."""
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        folder = Path(name)
        (folder / "secret").write_text(_SECRET)
        (folder / "secret").chmod(0o600)
        environment = {secrets.VARIABLE: str(folder / "secret"), FOLDER_VARIABLE: str(folder / "locks")}
        idle = episodes(domain, sandbox, folder, 1, environment)
        with busy(loops):
            beside = episodes(domain, sandbox, folder, 1, environment)
        return {
            "idle": idle,
            f"{loops} busy loops": beside,
            f"{processes} processes": episodes(domain, sandbox, folder, processes, environment),
        }


def main(
    domain: Annotated[list[str], typer.Option(help="Domains to compare.")] = list(DOMAINS),  # noqa: B006 - Typer copies it
    sandbox: Annotated[str, typer.Option(help="Where learners run.")] = "auto",
    loops: Annotated[int, typer.Option(min=1, help="Programs that never rest.")] = 4,
    processes: Annotated[int, typer.Option(min=1, help="Processes at once.")] = 8,
) -> None:
    """Compare the rewards of episodes under load; exit code 1 if one differs or an exam failed."""
    same, table = True, Table("domain", "load", "rewards", "failures", "wall s")
    for name in domain:
        found = compare(name, sandbox, loops=loops, processes=processes)
        same &= len({reward for each in found.values() for reward in each["rewards"]}) == 1
        for load, each in found.items():
            same &= not each["failures"]
            table.add_row(
                name, load, " ".join(each["rewards"]), "; ".join(each["failures"]) or "none", f"{each['wall_s']:.0f}"
            )
    Console().print(table)
    raise typer.Exit(0 if same else 1)


if __name__ == "__main__":
    typer.run(main)
