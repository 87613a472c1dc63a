"""What scores are reached without learning anything, and by base modules: the table of the page of results.

    python -m discoenv.domains.ModelUnlearning.studies.trivial --write

Trivial points are functions of the full model's parameters: nothing is done, everything is destroyed, or something in
between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console

from discoenv.domains.ModelUnlearning.checkpoints import Arrays
from discoenv.machine import atomic
from discoenv.machine.sections import replace_section
from discoenv.tasks.registry import get_domain
from discoenv.testing import examined, import_learner, make_examiner

_BEGIN, _END = "<!-- table: written by studies/trivial.py -->", "<!-- /table -->"
RESULTS: Final = Path(__file__).resolve().parents[1] / "results.md"
METRICS: Final = ("unlearning", "forgetting", "utility_lost", "forget_probability", "membership_auc")

Change = Callable[[str, np.ndarray[Any, Any], np.random.Generator], np.ndarray[Any, Any]]


def _noise(size: float) -> Change:
    return lambda name, old, rng: old + size * old.std() * rng.standard_normal(old.shape)


#: What is made of each array of the full model.
POINTS: Final[Mapping[str, Change]] = MappingProxyType(
    {
        "nothing is done": lambda name, old, rng: old,
        "noise of 0.1 of the parameters' size": _noise(0.1),
        "noise of 0.2": _noise(0.2),
        "noise of 0.3": _noise(0.3),
        "noise of 0.5": _noise(0.5),
        "noise of 1": _noise(1.0),
        "parameters times 0.8": lambda name, old, rng: 0.8 * old,
        "logits times 0.5": lambda name, old, rng: old * (0.5 if name.startswith("norm.") else 1.0),
        "the smaller half of the parameters is zero": lambda name, old, rng: (
            old * (np.abs(old) > np.median(np.abs(old)))
        ),
        "noise in place of the parameters": lambda name, old, rng: old.std() * rng.standard_normal(old.shape),
        "zeros: all words are as likely": lambda name, old, rng: 0.0 * old,
    }
)


def changed(point: str, parameters: Arrays) -> Arrays:
    """The parameters of a trivial point."""
    rng = np.random.default_rng(0)
    return {name: POINTS[point](name, old, rng).astype(np.float32) for name, old in parameters.items()}


def measure(dataset: str, seeds: int) -> dict[str, list[dict[str, float]]]:
    """Metrics of each point, and of the gold model, one dict per exam."""
    domain = get_domain("ModelUnlearning")
    examiner: Any = make_examiner(domain, dataset, "small")
    found: dict[str, list[dict[str, float]]] = {}
    with import_learner(domain, dataset=dataset) as code:
        for seed in range(seeds):
            full = examiner.parameters("full", seed)
            models = {point: changed(point, full) for point in POINTS}
            models["gold"] = examiner.parameters(f"gold{examiner.drawn(seed).split}", seed)
            for name, parameters in models.items():
                metrics = examined(examiner, code.answer, {"parameters": parameters}, seed)
                found.setdefault(name, []).append(metrics)
    return found


def table(found: Mapping[str, Mapping[str, list[dict[str, float]]]]) -> str:
    """The table in Markdown: means over the exams of all datasets, and the largest score of a single exam."""
    lines = [
        f"{len(found)} datasets, {len(next(iter(found.values()))['gold'])} exams each; means over all exams.\n",
        "| | score | largest score | forgetting | utility lost | probability of forgotten answers | AUC |",
        "|---|---|---|---|---|---|---|",
    ]
    for point in next(iter(found.values())):
        exams = [metrics for points in found.values() for metrics in points[point]]
        means = [float(np.mean([metrics[name] for metrics in exams])) for name in METRICS]
        largest = max(metrics["unlearning"] for metrics in exams)
        cells = [f"{means[0]:.3f}", f"{largest:.3f}", *(f"{mean:.3f}" for mean in means[1:])]
        lines.append(f"| {point} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Exams per dataset.")] = 2,
    dataset: Annotated[list[str] | None, typer.Option(help="Only these datasets (repeat the option).")] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the table into the domain's results.md.")] = False,
) -> None:
    """Print the table, and put it into the page of results."""
    console = Console(stderr=True)
    domain = get_domain("ModelUnlearning")
    offline = [name for name, entry in domain.specification.datasets.items() if entry.source == "offline"]
    found = {}
    for name in dataset or offline:
        console.print(f"{name} …", highlight=False)
        found[name] = measure(name, seeds)
    if write:
        page = RESULTS.read_text(encoding="utf-8")
        atomic.write_text(RESULTS, replace_section(page, _BEGIN, _END, table(found)))
    print(table(found))


if __name__ == "__main__":
    typer.run(main)
