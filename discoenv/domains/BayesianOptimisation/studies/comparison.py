"""Compares the Bayesian-optimisation baseline with random search and Sobol points, at equal numbers of evaluations.

    python -m discoenv.domains.BayesianOptimisation.studies.comparison --write

Random search and Sobol points are evaluated here, by the same examiner, on the same functions (those of exam seeds 0,
1, …). The baseline's values are those that ``discoenv calibrate`` measured in exams with these seeds and stored in the
domain's ``baselines.json``; ``--measure`` runs the exams again instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from scipy.stats import qmc

from discoenv.domains.BayesianOptimisation.examiner import BayesianOptimisationExaminer
from discoenv.exams.host import Host
from discoenv.machine import atomic
from discoenv.machine.sections import replace_section
from discoenv.scoring import baselines, calibration
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Setting

_BEGIN, _END = "<!-- table: written by studies/comparison.py -->", "<!-- /table -->"
RESULTS = Path(__file__).resolve().parents[1] / "results.md"
FloatArray = np.ndarray[Any, np.dtype[np.float64]]


class SobolSearch:
    """Asks for the points of a scrambled Sobol sequence, another one for each function."""

    def __init__(self, config: dict[str, Any], seed: int) -> None:
        self._config = config
        self._seeds = np.random.SeedSequence(seed)

    def start(self) -> None:
        """A new sequence."""
        count = 1 << (self._config["BUDGET"] - 1).bit_length()
        (seed,) = self._seeds.spawn(1)
        sequence = qmc.Sobol(self._config["DIMENSION"], rng=np.random.default_rng(seed))
        self._points = list(sequence.random(count))

    def ask(self) -> FloatArray:
        """The next points."""
        return np.array([self._points.pop(0) for _ in range(self._config["BATCH_SIZE"])])

    def tell(self, points: FloatArray, values: FloatArray) -> None:
        """Nothing is learned."""


def compare(domain: Domain, dataset: str, scale: Scale, entry: baselines.Baseline) -> dict[str, FloatArray]:
    """The metric ``log_regret`` of each method in the exams of ``entry``, one value per seed."""
    config = domain.config(dataset, scale)
    examiner = BayesianOptimisationExaminer(dataset, scale, config)
    sobol = [examiner.play(SobolSearch(config, seed), seed)["log_regret"] for seed in entry.seeds]
    return {
        "random": np.array(entry.floor.values),
        "sobol": np.array(sobol),
        "baseline": np.array(entry.baseline.values),
    }


def table(scale: Scale, found: dict[str, dict[str, FloatArray]]) -> str:
    """The comparison in Markdown: means and standard errors over seeds."""
    lines = [
        f"Scale `{scale}`, metric `log_regret` (less is better), mean ± standard error over exams.\n",
        "| dataset | evaluations | random search | Sobol | baseline | better than both |",
        "|---|---|---|---|---|---|",
    ]
    domain = get_domain("BayesianOptimisation")
    for dataset, values in found.items():
        cells = [f"{v.mean():.3f} ± {v.std(ddof=1) / np.sqrt(len(v)):.3f}" for v in values.values()]
        won = "yes" if _won(values) else "no"
        lines.append(f"| {dataset} | {domain.config(dataset, scale)['BUDGET']} | {' | '.join(cells)} | {won} |")
    count = sum(_won(values) for values in found.values())
    lines.append(f"\nThe baseline is better than both on {count} of {len(found)} datasets.")
    return "\n".join(lines) + "\n"


def _won(values: dict[str, FloatArray]) -> bool:
    return bool(values["baseline"].mean() < min(values["random"].mean(), values["sobol"].mean()))


def main(
    scale: Annotated[str, typer.Option(help="tiny, small or full.")] = "small",
    dataset: Annotated[list[str] | None, typer.Option(help="Only these datasets (repeat the option).")] = None,
    measure: Annotated[bool, typer.Option("--measure", help="Run the baseline's exams now.")] = False,
    seeds: Annotated[int, typer.Option(min=2, help="Exams per dataset, with --measure.")] = 5,
    write: Annotated[bool, typer.Option("--write", help="Put the table into the domain's results.md.")] = False,
) -> None:
    """Print the table, and put it into the page of results."""
    console = Console(emoji=False, stderr=True)
    domain = get_domain("BayesianOptimisation")
    chosen: Scale = next(name for name in ("tiny", "small", "full") if name == scale)
    found = {}
    for name in dataset or domain.datasets:
        console.print(f"{name} …", highlight=False)
        if measure:
            with Host() as host:
                entry = calibration.calibrate(host, Setting(domain, "default", name, chosen), seeds=range(seeds))
        else:
            entry = baselines.entry(Setting(domain, "default", name, chosen))
        found[name] = compare(domain, name, chosen, entry)
    text = table(chosen, found)
    print(text)
    if write:
        atomic.write_text(RESULTS, replace_section(RESULTS.read_text(encoding="utf-8"), _BEGIN, _END, text))


if __name__ == "__main__":
    typer.run(main)
