"""Prints what the base modules reach, and how fast they train beside a plain single file; writes both to results.md.

    python -m discoenv.domains.OnPolicyMARL.studies.comparison --write

The first table is that of ``baselines.json``; for the second, both programs are compiled and then run in turn, in this
process, and their CPU seconds are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer
from rich.console import Console

from discoenv.domains.OnPolicyMARL.studies import plain
from discoenv.errors import UserError
from discoenv.machine import atomic
from discoenv.machine.sections import replace_section
from discoenv.scoring import baselines
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain
from discoenv.tasks.sampling import available_datasets
from discoenv.tasks.task import Setting
from discoenv.testing import import_learner

RESULTS = Path(__file__).resolve().parents[1] / "results.md"
BACKENDS = ("default", "recurrent", "centralised")
#: Worlds in which speed is compared.
TIMED = ("Particles/Spread", "Skirmish/5m_vs_6m", "Kitchen/CrampedRoom")


def sections(name: str) -> tuple[str, str]:
    """The comments between which a table stands."""
    return f"<!-- {name}: written by studies/comparison.py -->", f"<!-- /{name} -->"


def baseline_table(domain: Domain) -> str:
    """Markdown: floors and baselines of each dataset that a CPU trains, at ``small``."""
    lines = ["| dataset | floor | " + " | ".join(BACKENDS) + " |", "|---|---|" + "---|" * len(BACKENDS)]
    for dataset in available_datasets(domain, "small"):
        cells, floor = [], "–"
        for backend in BACKENDS:
            try:
                entry = baselines.entry(Setting(domain, backend, dataset, "small"))
            except UserError:
                cells.append("–")
                continue
            floor = f"{entry.floor.mean:.2f}"
            cells.append(f"{entry.baseline.mean:.2f} ± {entry.baseline.std:.2f}")
        lines.append(f"| {dataset} | {floor} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cpu_s(function: Callable[[Any], Any], key: Any) -> float:
    """CPU seconds of a call, until its results are there."""
    begin = time.process_time()
    jax.block_until_ready(function(key))
    return time.process_time() - begin


def speed(domain: Domain, dataset: str, steps: int, repeats: int) -> tuple[float, float]:
    """Environment steps per CPU second of our training and of the plain one; medians of runs in turn."""
    with import_learner(domain, dataset=dataset) as code:
        config = code.run_config.get_config({**domain.config(dataset, "small"), "TOTAL_TIMESTEPS": steps})
        train = code.train.make_train(config)
        key = jax.random.key(0)
        programs = [
            jax.jit(lambda key: train(key, config["LR"])).lower(key).compile(),
            jax.jit(plain.make_train(config)).lower(key).compile(),
        ]
        found = [[cpu_s(program, key) for program in programs] for _ in range(repeats)]
    ours, theirs = np.median(found, axis=0)
    return steps / ours, steps / theirs


def speed_table(domain: Domain, steps: int, repeats: int, console: Console) -> str:
    """Markdown: a row per world."""
    lines = ["| world | ours, steps/s | plain, steps/s | ratio |", "|---|---|---|---|"]
    for dataset in TIMED:
        ours, theirs = speed(domain, dataset, steps, repeats)
        lines.append(f"| {dataset} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.2f} |")
        console.print(lines[-1])
    return "\n".join(lines) + "\n"


def main(
    steps: Annotated[int, typer.Option(help="Environment steps of a run.")] = 48_000,
    repeats: Annotated[int, typer.Option(help="Runs of each.")] = 3,
    write: Annotated[bool, typer.Option("--write", help="Write results.md.")] = False,
    timed: Annotated[bool, typer.Option(help="Compare speeds, too.")] = True,
) -> None:
    """What the base modules reach, and how fast they train."""
    console, domain = Console(), get_domain("OnPolicyMARL")
    tables = {"baselines": baseline_table(domain)}
    console.print(tables["baselines"])
    if timed:
        tables["speed"] = speed_table(domain, steps, repeats, console)
    if write:
        text = RESULTS.read_text(encoding="utf-8")
        for name, table in tables.items():
            text = replace_section(text, *sections(name), table)
        atomic.write_text(RESULTS, text)


if __name__ == "__main__":
    typer.run(main)
