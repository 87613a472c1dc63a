"""Compares DSAGE with its ablations, with search without a surrogate, and with random levels.

    python -m discoenv.domains.EnvironmentGeneration.studies.comparison --write

Every variant is the base with some modules of the ladder in place of its own, and searches in the same exams; random
levels and MAP-Elites are the floor and the backend ``direct``. All is run in this process.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console

from discoenv.domains.EnvironmentGeneration.examiner import EnvironmentGenerationExaminer
from discoenv.machine import atomic
from discoenv.machine.sections import replace_section
from discoenv.tasks.domain import Domain
from discoenv.tasks.ladder import method_text
from discoenv.tasks.registry import get_domain
from discoenv.tasks.specification import Scale
from discoenv.testing import InProcessLearner, import_learner

RESULTS = Path(__file__).resolve().parents[1] / "results.md"
_BEGIN, _END = "<!-- table: written by studies/comparison.py -->", "<!-- /table -->"
FloatArray = np.ndarray[Any, np.dtype[np.float64]]
#: The rows of the table: backend, and methods of the ladder in place of base modules. None: the floor.
VARIANTS: Final[dict[str, tuple[str, dict[str, str]] | None]] = {
    "DSAGE (base)": ("default", {}),
    "DSAGE-Only Anc": ("default", {"selection": "random_elites"}),
    "DSAGE-Only Down": ("default", {"surrogate": "no_ancillary_data"}),
    "DSAGE Basic": ("default", {"selection": "random_elites", "surrogate": "no_ancillary_data"}),
    "MAP-Elites (backend direct)": ("direct", {}),
    "random levels (floor)": None,
}


def measured(domain: Domain, dataset: str, scale: Scale, variant: str, seeds: int) -> FloatArray:
    """QD-scores of a variant in exams with the seeds 0, 1, …."""
    config = domain.config(dataset, scale)
    examiner = EnvironmentGenerationExaminer(dataset, scale, config)
    chosen = VARIANTS[variant]
    if chosen is None:
        return np.array([examiner.floor(seed)["qd_score"] for seed in range(seeds)])
    backend, methods = chosen
    texts = {module: method_text(domain, module, method) for module, method in methods.items()}
    found = []
    with import_learner(domain, backend=backend, modules=texts) as code:
        for seed in range(seeds):
            with contextlib.redirect_stdout(io.StringIO()):
                search = code.search.Search(config, examiner.training_data(seed), seed)
                found.append(examiner.examine(InProcessLearner(search), seed)["qd_score"])
    return np.array(found)


def table(scale: str, found: dict[str, dict[str, FloatArray]]) -> str:
    """The comparison in Markdown: means and standard errors over exams."""
    lines = [
        f"Scale `{scale}`, QD-score over the number of cells, mean ± standard error over the same exams.",
        "",
        f"| | {' | '.join(found)} |",
        f"|---|{'---|' * len(found)}",
    ]
    for variant in VARIANTS:
        cells = [
            f"{v[variant].mean():.3f} ± {v[variant].std(ddof=1) / len(v[variant]) ** 0.5:.3f}" for v in found.values()
        ]
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(
    scale: Annotated[str, typer.Option(help="tiny, small or full.")] = "tiny",
    dataset: Annotated[list[str] | None, typer.Option(help="Only these datasets (repeat the option).")] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Exams per dataset and variant.")] = 5,
    write: Annotated[bool, typer.Option("--write", help="Put the table into the domain's results.md.")] = False,
) -> None:
    """Print the table, and put it into the page of results."""
    import torch

    torch.set_num_threads(1)
    console = Console(emoji=False, stderr=True)
    domain = get_domain("EnvironmentGeneration")
    chosen: Scale = next(name for name in ("tiny", "small", "full") if name == scale)
    found: dict[str, dict[str, FloatArray]] = {}
    for name in dataset or ("Mazes/WallsPath", "Platformer/SkyJumps"):
        found[name] = {}
        for variant in VARIANTS:
            console.print(f"{name}: {variant} …", highlight=False)
            found[name][variant] = measured(domain, name, chosen, variant, seeds)
    text = table(chosen, found)
    print(text)
    if write:
        atomic.write_text(RESULTS, replace_section(RESULTS.read_text(encoding="utf-8"), _BEGIN, _END, text))


if __name__ == "__main__":
    typer.run(main)
