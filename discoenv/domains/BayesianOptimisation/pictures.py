"""Pictures of optimisers at work: regret over evaluations, and where they looked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.examiners.plotting import ExamArtifacts, figure, save

#: As the examiner's RESOLUTION: curves are cut here.
_LEAST = 1e-4


def plot(exams: Sequence[ExamArtifacts], folder: Path) -> list[Path]:
    """Plot two pictures per dataset.

    * ``regret_<dataset>.png``: simple regret over evaluations, one curve per action of the episode (geometric mean over
      functions and seeds), beside random search.
    * ``queries_<dataset>.png``: the points that the last action's optimiser asked for on the exam's first function, in
      the order of asking; over the function itself in one and two dimensions.
    """
    paths = []
    for dataset, found in groupby(sorted(exams, key=lambda exam: (exam.dataset, exam.step)), lambda exam: exam.dataset):
        group = [(exam, exam.arrays()) for exam in found]
        name = dataset.replace("/", "-")
        paths.append(_regret(dataset, group, folder / f"regret_{name}.png"))
        paths.append(_queries(dataset, *group[-1], folder / f"queries_{name}.png"))
    return paths


def _regret(dataset: str, group: Sequence[tuple[ExamArtifacts, dict[str, Any]]], path: Path) -> Path:
    made, [[axes]] = figure(width=6.5, height=4.0)
    random = np.concatenate([arrays["random"] for _, arrays in group])
    evaluations = np.arange(1, random.shape[1] + 1)
    axes.plot(evaluations, _geometric_mean(random), "k--", label="random search")
    steps = sorted({exam.step for exam, _ in group})
    for number, step in enumerate(steps):
        side = next(exam.side for exam, _ in group if exam.step == step)
        curves = np.concatenate([arrays["regret"] for exam, arrays in group if exam.step == step])
        shade = 0.9 - 0.7 * number / max(1, len(steps) - 1)
        axes.plot(evaluations, _geometric_mean(curves), color=(0.1, shade, 0.6), label=f"action {step} ({side})")
    axes.set_yscale("log")
    axes.set_ylim(0.8 * _LEAST, 1.2)
    axes.set_xlabel("evaluations")
    axes.set_ylabel("normalised simple regret")
    axes.set_title(dataset)
    axes.legend(fontsize=8)
    return save(made, path)


def _queries(dataset: str, exam: ExamArtifacts, arrays: dict[str, Any], path: Path) -> Path:
    points = arrays["points"]
    order = np.arange(1, len(points) + 1)
    made, [[axes]] = figure(width=5.5, height=4.5)
    landscape = arrays.get("landscape")
    if points.shape[1] == 1 and landscape is not None:
        places = (np.arange(len(landscape)) + 0.5) / len(landscape)
        axes.plot(places, 1 - landscape, color="0.7", linewidth=1)
        heights = 1 - np.interp(points[:, 0], places, landscape)
        dots = axes.scatter(points[:, 0], heights, c=order, s=25, zorder=2)
        axes.set_ylabel("1 − normalised regret")
    else:
        if points.shape[1] == 2 and landscape is not None:
            axes.imshow(
                1 - landscape.T, origin="lower", extent=(0, 1, 0, 1), cmap="Greys", aspect="auto", vmin=0, vmax=1
            )
        dots = axes.scatter(points[:, 0], points[:, 1], c=order, s=25, edgecolors="white", linewidths=0.5)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_ylabel("second coordinate")
    axes.set_xlabel("first coordinate" if points.shape[1] > 1 else "x")
    axes.set_title(f"{dataset}: points asked for by action {exam.step}")
    made.colorbar(dots, ax=axes, label="evaluation")
    return save(made, path)


def _geometric_mean(curves: Any) -> Any:
    return np.exp(np.log(np.maximum(curves, _LEAST)).mean(axis=0))
