"""Prints reference rows for each dataset, and numbers by which traffic can be judged, and writes them to results.md.

    python -m discoenv.domains.TrajectoryPrediction.studies.comparison --write

Nothing is trained: the base modules' row is that of ``baselines.json``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from discoenv.domains.TrajectoryPrediction import references, scenes
from discoenv.domains.TrajectoryPrediction.examiner import TrajectoryPredictionExaminer, metrics
from discoenv.domains.TrajectoryPrediction.roads import PEDESTRIAN, VEHICLE
from discoenv.errors import UserError
from discoenv.machine import atomic
from discoenv.machine.sections import replace_section
from discoenv.scoring import baselines
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Setting

RESULTS = Path(__file__).resolve().parents[1] / "results.md"
COLUMNS = ("minADE", "minFDE", "miss_rate", "brier_minFDE")


def sections(name: str) -> tuple[str, str]:
    """The comments between which a table stands."""
    return f"<!-- {name}: written by studies/comparison.py -->", f"<!-- /{name} -->"


def compared(domain: Domain, dataset: str, seeds: int) -> dict[str, list[dict[str, float]]]:
    """Metrics of each reference over exams at ``small``, and of the oracle that knows the way."""
    examiner = TrajectoryPredictionExaminer(dataset, "small", domain.config(dataset, "small"))
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(seeds):
        train, test = examiner.part(seed, "train"), examiner.part(seed, "test")
        modes, draw = examiner.config["MODES"], np.random.default_rng(seed)
        rows = dict(references.rows(train, test, modes, draw))
        even = np.full((len(test), modes), 1.0 / modes)
        rows["known route (oracle)"] = references.known_route(train, test, modes, draw), even
        for name, (trajectories, chances) in rows.items():
            found.setdefault(name, []).append(metrics(trajectories, chances, test.future, test.future_mask))
    return found


def reference_table(domain: Domain, datasets: list[str], seeds: int, console: Console) -> str:
    """Markdown: a row per dataset and predictor."""
    lines = [
        f"Scale `small`, {seeds} exams, mean ± standard error, metres.",
        "",
        "| dataset | | minADE | minFDE | miss rate | brier minFDE |",
        "|---|---|---|---|---|---|",
    ]
    for dataset in datasets:
        console.print(f"{dataset} …", highlight=False)
        for name, found in compared(domain, dataset, seeds).items():
            columns = [np.array([each[column] for each in found]) for column in COLUMNS]
            lines.append(f"| {dataset} | {name} | {' | '.join(map(_cell, columns))} |")
        try:
            entry = baselines.entry(Setting(domain, "default", dataset, "small"))
        except UserError:
            continue
        base = entry.baseline
        lines.append(f"| {dataset} | base modules | {base.mean:.2f} ± {base.std:.2f} (standard deviation) | | | |")
    return "\n".join(lines) + "\n"


def traffic_table(datasets: list[str], domain: Domain) -> str:
    """Markdown: what an expert would ask of the traffic of each dataset."""
    lines = [
        "60 worlds of each; speed: median of those that move; acceleration: 99th percentile; time gap: median of those",
        "behind others within 40 m; touching: worlds in which two vehicles or cyclists touch, which are thrown away.",
        "",
        "| dataset | road users | speed, m/s | acceleration, m/s² | time gap, s | touching | forks |",
        "|---|---|---|---|---|---|---|",
    ]
    for dataset in datasets:
        name = domain.config(dataset, "small")["SCENES"]
        kind = scenes.DISTRIBUTIONS[name]
        found, _, _ = scenes.traffic(kind, 60, np.random.default_rng(0))
        part = scenes.draw(name, 300, 8, 20, np.random.default_rng(1))
        speed = found.speed[found.present]
        follows = found.present & (found.gap < 40.0) & (found.speed > 4.0) & (found.kind == VEHICLE)[..., None]
        gap = f"{np.median(found.gap[follows] / found.speed[follows]):.1f}" if follows.any() else ""
        kinds = " + ".join(
            f"{(found.present.any(axis=-1) & (found.kind == number)).sum(axis=1).mean():.0f} {word}"
            for number, word in ((VEHICLE, "vehicles"), (1, "cyclists"), (PEDESTRIAN, "pedestrians"))
            if (found.kind == number).any()
        )
        sharp = np.percentile(np.abs(found.acceleration[found.present]), 99)
        touch = scenes.touching(found).any(axis=1).mean()
        lines.append(
            f"| {dataset} | {kinds} | {np.median(speed[speed > 0.5]):.1f} | {sharp:.1f} | {gap} | {touch:.0%} | "
            f"{part.decision.mean():.0%} |"
        )
    return "\n".join(lines) + "\n"


def _cell(column: np.ndarray[Any, Any]) -> str:
    error = column.std(ddof=1) / np.sqrt(len(column)) if len(column) > 1 else 0.0
    return f"{column.mean():.2f} ± {error:.2f}"


def main(
    seeds: Annotated[int, typer.Option(min=2, help="Exams per dataset.")] = 3,
    write: Annotated[bool, typer.Option("--write", help="Put the tables into the domain's results.md.")] = False,
) -> None:
    """Print the tables, and put them into the page of results."""
    domain = get_domain("TrajectoryPrediction")
    offline = [name for name, entry in domain.specification.datasets.items() if entry.source == "offline"]
    tables = {
        "references": reference_table(domain, offline, seeds, Console(stderr=True)),
        "traffic": traffic_table(offline, domain),
    }
    for name, table in tables.items():
        if write:
            page = RESULTS.read_text(encoding="utf-8")
            atomic.write_text(RESULTS, replace_section(page, *sections(name), table))
        print(table)


if __name__ == "__main__":
    typer.run(main)
