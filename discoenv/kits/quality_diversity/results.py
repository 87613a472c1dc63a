"""What runs have reached: the published table, its statistics, heat maps of archives, and levels as pictures."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from . import storage
from .archives import Array, FloatArray
from .experiments import Experiment
from .problems import new_archive
from .runs import METRICS, STATE, read

#: Names of the two factors of the ablations, and the variants in which each is on.
FACTORS: Final = {
    "ancillary": ("dsage", "dsage_only_anc"),
    "downsampling": ("dsage", "dsage_only_down"),
}
ABLATIONS: Final = ("dsage", "dsage_only_anc", "dsage_only_down", "dsage_basic")


@dataclass(frozen=True)
class Reached:
    """What a run reached.

    Attributes:
        experiment: that was run.
        seed: of the run.
        folder: of the run.
        qd_score, coverage: of its archive.
        evaluations: that it made.
    """

    experiment: Experiment
    seed: int
    folder: Path
    qd_score: float
    coverage: float
    evaluations: int


def collect(root: Path) -> list[Reached]:
    """All finished runs below a folder, by path.

    Raises:
        ValueError: there is none, or two are of the same experiment and seed.
    """
    found: list[Reached] = []
    for config in sorted(root.rglob("config.json")):
        folder = config.parent
        if not (folder / METRICS).exists() or not (folder / "seed").exists():
            continue
        experiment, seed = read(folder)
        metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
        last = {name: metrics[name]["values"][-1] for name in ("Actual QD Score", "Archive Coverage", "Total Evals")}
        if last["Total Evals"] >= experiment.settings.evaluations:
            reached = Reached(experiment, seed, folder, *last.values())
            twin = next((r for r in found if (r.experiment, r.seed) == (experiment, seed)), None)
            if twin is not None:
                raise ValueError(f"{folder} and {twin.folder} are the same run; move one of them elsewhere")
            found.append(reached)
    if not found:
        raise ValueError(f"there are no finished runs below {root}")
    return found


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and standard error of the mean; NaN for a single value."""
    x = np.asarray(values, np.float64)
    error = float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else float("nan")
    return float(x.mean()), error


def table(runs: Sequence[Reached]) -> str:
    """The published table in Markdown: QD-score and coverage, mean ± standard error, in the order of ``runs``."""
    groups: dict[str, list[Reached]] = {}
    for each in runs:
        groups.setdefault(each.experiment.name, []).append(each)
    lines = ["| | runs | evaluations | QD-score | archive coverage |", "|---|---|---|---|---|"]
    for members in groups.values():
        score, score_error = mean_and_error([each.qd_score for each in members])
        share, share_error = mean_and_error([each.coverage for each in members])
        lines.append(
            f"| {members[0].experiment.title} | {len(members)} | {members[0].evaluations:,} "
            f"| {score:,.2f} ± {score_error:.2f} | {share:.3f} ± {share_error:.3f} |"
        )
    return "\n".join(lines)


@dataclass(frozen=True)
class Effect:
    """One line of an analysis of variance.

    Attributes:
        name: of the factor, or both with a ``×`` between them.
        f: ratio of mean squares.
        p: probability of a ratio at least as large if there were no effect.
        degrees: of freedom, of the effect and of the error.
    """

    name: str
    f: float
    p: float
    degrees: tuple[int, int]


def anova(cells: Mapping[tuple[bool, bool], Sequence[float]], names: tuple[str, str]) -> list[Effect]:
    """Two-way analysis of variance, with as many values for each combination of two factors that are off or on.

    Args:
        cells: values by whether the first and the second factor are on.
        names: of the factors.

    Returns:
        Both factors, and their interaction.

    Raises:
        ValueError: a combination is missing, or their numbers of values differ or are less than two.
    """
    order = [(first, second) for first in (False, True) for second in (False, True)]
    sizes = {len(cells.get(key, ())) for key in order}
    if len(sizes) != 1 or (n := sizes.pop()) < 2:
        raise ValueError("each combination of factors needs the same number of values, at least two")
    x = np.array([[cells[first, second] for second in (False, True)] for first in (False, True)])
    means, grand = x.mean(axis=2), x.mean()
    error = ((x - means[..., None]) ** 2).sum() / (4 * (n - 1))
    first = 2 * n * ((means.mean(axis=1) - grand) ** 2).sum()
    second = 2 * n * ((means.mean(axis=0) - grand) ** 2).sum()
    both = n * ((means - grand) ** 2).sum() - first - second
    stats = importlib.import_module("scipy.stats")
    degrees = (1, 4 * (n - 1))
    return [
        Effect(name, float(square / error), float(stats.f.sf(square / error, *degrees)), degrees)
        for name, square in zip([*names, " × ".join(names)], (first, second, both), strict=True)
    ]


def statistics(runs: Sequence[Reached]) -> str:
    """Analysis of variance of the QD-scores of the ablations, and t-tests of all pairs of variants, in Markdown.

    The analysis is left out where not all four ablations have the same number of runs. P-values of t-tests (Welch) are
    not corrected for the number of pairs.
    """
    by_variant: dict[str, list[float]] = {}
    for each in runs:
        by_variant.setdefault(each.experiment.name.split("/")[-1], []).append(each.qd_score)
    parts = []
    counts = {len(by_variant.get(name, ())) for name in ABLATIONS}
    if len(counts) == 1 and counts.pop() > 1:
        (first, with_first), (second, with_second) = FACTORS.items()
        cells = {(name in with_first, name in with_second): by_variant[name] for name in ABLATIONS}
        lines = ["| effect on the QD-score | F | p |", "|---|---|---|"]
        for effect in anova(cells, (first, second)):
            lines.append(
                f"| {effect.name} | F({effect.degrees[0]}, {effect.degrees[1]}) = {effect.f:.2f} | {effect.p:.2g} |"
            )
        parts.append("\n".join(lines))
    usable = [name for name, values in by_variant.items() if len(values) > 1]
    if len(usable) > 1:
        stats = importlib.import_module("scipy.stats")
        lines = ["| QD-scores of | and | difference | p |", "|---|---|---|---|"]
        for number, one in enumerate(usable):
            for other in usable[number + 1 :]:
                test = stats.ttest_ind(by_variant[one], by_variant[other], equal_var=False)
                difference = np.mean(by_variant[one]) - np.mean(by_variant[other])
                lines.append(f"| {one} | {other} | {difference:.2f} | {float(test.pvalue):.2g} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def objectives_of(reached: Reached) -> FloatArray:
    """Objective in each cell of a run's archive, float64[dims]; NaN where it is empty."""
    archive = new_archive(reached.experiment.problem)
    archive.restore(storage.load(reached.folder / STATE)["archive"])
    return archive.objectives


def heat_maps(runs: Sequence[Reached], path: Path) -> None:
    """Draw the archives of runs side by side, one per row of the table: its run of the lowest seed.

    Raises:
        ImportError: Matplotlib is not there.
    """
    first = {each.experiment.name: each for each in sorted(runs, key=lambda each: each.seed, reverse=True)}
    chosen = [first[name] for name in dict.fromkeys(each.experiment.name for each in runs)]
    figure, axes = _figure(len(chosen), 2.6)
    for axis, each in zip(axes, chosen, strict=True):
        problem = each.experiment.problem
        image = axis.imshow(
            objectives_of(each).T,
            origin="lower",
            aspect="auto",
            extent=[*problem.ranges[0], *problem.ranges[1]],
            vmin=0,
            vmax=1,
            cmap="viridis",
        )
        axis.set_title(each.experiment.title, fontsize=9)
        axis.set_xlabel(problem.measures[0])
        axis.set_ylabel(problem.measures[1])
    figure.colorbar(image, ax=axes, label="objective", shrink=0.8)
    figure.savefig(path)


def level_pictures(reached: Reached, path: Path, *, count: int = 8) -> None:
    """Draw levels of a run's archive: elites from all over it, with how long the agent is in each cell.

    Raises:
        ImportError: Matplotlib is not there.
    """
    problem = reached.experiment.problem
    archive = new_archive(problem)
    archive.restore(storage.load(reached.folder / STATE)["archive"])
    elites = archive.elites()
    order = np.argsort(elites.cells)[np.linspace(0, len(elites) - 1, min(count, len(elites))).astype(int)]
    solutions = elites.solutions[order]
    levels = problem.levels(solutions)
    seen = problem.evaluate(solutions, np.arange(len(solutions)))
    figure, axes = _figure(len(levels), 2.2)
    for axis, level, occupancy, measures in zip(axes, levels, seen.occupancy, elites.measures[order], strict=True):
        axis.imshow(level, cmap="Greys", vmin=0, vmax=max(problem.tiles, 2))
        axis.imshow(_masked(occupancy), cmap="autumn_r", alpha=0.7)
        axis.set_title(
            ", ".join(f"{x:.4g} {name}" for x, name in zip(measures, problem.measures, strict=True)), fontsize=7
        )
        axis.set_axis_off()
    figure.savefig(path)


def _masked(occupancy: Array) -> Any:
    return np.ma.masked_less_equal(occupancy, 0)


def _figure(n: int, size: float) -> tuple[Any, list[Any]]:
    """A figure with ``n`` axes in rows of at most four."""
    try:
        figures = importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise ImportError("matplotlib is not installed: pip install matplotlib") from error
    columns = min(n, 4)
    rows = -(-n // columns)
    figure = figures.Figure(figsize=(size * columns + 1, size * rows), layout="constrained")
    axes = list(np.atleast_1d(figure.subplots(rows, columns)).ravel())
    for axis in axes[n:]:
        axis.remove()
    return figure, axes[:n]
