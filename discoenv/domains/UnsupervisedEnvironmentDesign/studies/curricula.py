"""Trains with random levels and with the base modules, and writes a table into results.md.

    python -m discoenv.domains.UnsupervisedEnvironmentDesign.studies.curricula --write

Trainings run in this process, one after another; a program is compiled once per dataset and row.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer
from rich.console import Console

from discoenv.machine import atomic
from discoenv.machine.sections import replace_section
from discoenv.tasks.domain import Domain
from discoenv.tasks.ladder import method_text
from discoenv.tasks.registry import get_domain
from discoenv.testing import examined, import_learner, make_examiner

RESULTS = Path(__file__).resolve().parents[1] / "results.md"
MARKS = ("<!-- curricula: written by studies/curricula.py -->", "<!-- /curricula -->")
#: Rows of the table: a title, a backend, and the method of the ladder that replaces ``sample_levels``, if any.
ROWS: tuple[tuple[str, str, str | None], ...] = (
    ("random levels", "default", "random"),
    ("sampling for learnability (base)", "default", None),
    ("prioritised level replay (base of `replay`)", "replay", None),
)


def solve_rates(
    domain: Domain, dataset: str, backend: str, modules: Mapping[str, str], seeds: int
) -> tuple[list[float], list[float]]:
    """Solve rates of trained and of untrained policies at ``small``, one per seed, on the levels of exam ``seed``."""
    config = domain.config(dataset, "small")
    examiner = make_examiner(domain, dataset, "small")
    trained: list[float] = []
    untrained: list[float] = []
    with import_learner(domain, dataset=dataset, backend=backend, modules=modules) as code:
        values = code.run_config.get_config(config)
        train = jax.jit(code.main.make_train(values))
        for seed in range(seeds):
            params, taken, _ = jax.tree.map(np.asarray, train(jax.random.key(seed)))
            first = jax.tree.map(np.asarray, code.network.initial_params(values, jax.random.key(seed)))
            first = jax.tree.map(lambda x: np.stack([x] * config["CHECKPOINTS"]), first)
            for found, each in ((trained, params), (untrained, first)):
                state = {"params": each, "env_steps": taken}
                found.append(examined(examiner, code.answer, state, seed)["solve_rate"])
    return trained, untrained


def table(domain: Domain, datasets: list[str], seeds: int, console: Console) -> str:
    """Markdown: a row per dataset and curriculum."""
    lines = [
        f"Scale `small`, {seeds} seeds, mean ± standard error of the solve rate. All rows of a dataset have as",
        "many steps and updates, and are examined in the same levels.",
        "",
        "| dataset | | solve rate |",
        "|---|---|---|",
    ]
    for dataset in datasets:
        for title, backend, method in ROWS:
            console.print(f"{dataset}, {title} …", highlight=False)
            modules = {} if method is None else {"sample_levels": method_text(domain, "sample_levels", method)}
            trained, untrained = solve_rates(domain, dataset, backend, modules, seeds)
            if (title, backend, method) == ROWS[0]:
                lines.append(f"| {dataset} | untrained network | {_cell(untrained)} |")
            lines.append(f"| {dataset} | {title} | {_cell(trained)} |")
            console.print(lines[-1], [round(each, 3) for each in trained], highlight=False)
    return "\n".join(lines) + "\n"


def _cell(values: list[float]) -> str:
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{np.mean(values):.3f} ± {error:.3f}"


def main(
    dataset: Annotated[list[str] | None, typer.Option(help="Which; default: all offline ones.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings per row.")] = 3,
    write: Annotated[bool, typer.Option("--write", help="Put the table into the domain's results.md.")] = False,
) -> None:
    """Print the table, and put it into the page of results."""
    domain: Any = get_domain("UnsupervisedEnvironmentDesign")
    offline: list[str] = [name for name, entry in domain.specification.datasets.items() if not entry.gpu]
    found = table(domain, dataset or offline, seeds, Console(stderr=True))
    if write:
        atomic.write_text(RESULTS, replace_section(RESULTS.read_text(encoding="utf-8"), *MARKS, found))
    print(found)


if __name__ == "__main__":
    typer.run(main)
