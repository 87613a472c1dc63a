"""Pictures of searches for levels: the archive as a heat map, the score over evaluations, and levels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np

from discoenv.examiners.plotting import ExamArtifacts, figure, save

#: Colours of tiles: empty, ground (in mazes wall), brick, pipe, coin, walker.
_COLOURS: Final = ["white", "#4d4038", "#b5651d", "#2e8b57", "#e6b800", "#c0392b"]
#: Levels in a row.
_COLUMNS: Final = 4


def plot(exams: Sequence[ExamArtifacts], folder: Path) -> list[Path]:
    """Plot three pictures per dataset.

    * ``archive_<dataset>.png``: objectives of the archive of the last action's exam, over both measures.
    * ``score_<dataset>.png``: QD-score over evaluations, one curve per action of the episode.
    * ``levels_<dataset>.png``: elites from all over that archive.
    """
    paths = []
    for dataset, found in groupby(sorted(exams, key=lambda exam: (exam.dataset, exam.step)), lambda exam: exam.dataset):
        group = [(exam, exam.arrays()) for exam in found]
        name = dataset.replace("/", "-")
        paths.append(_archive(*group[-1], folder / f"archive_{name}.png"))
        paths.append(_score(dataset, group, folder / f"score_{name}.png"))
        paths.append(_levels(*group[-1], folder / f"levels_{name}.png"))
    return paths


def _archive(exam: ExamArtifacts, arrays: dict[str, Any], path: Path) -> Path:
    made, [[axes]] = figure(width=5.5, height=4.0)
    (left, right), (bottom, top) = arrays["ranges"]
    image = axes.imshow(
        arrays["objectives"].T,
        origin="lower",
        aspect="auto",
        extent=(left, right, bottom, top),
        vmin=0.0,
        vmax=1.0,
        cmap="viridis",
        interpolation="nearest",
    )
    axes.set_xlabel(str(arrays["names"][0]))
    axes.set_ylabel(str(arrays["names"][1]))
    filled = np.isfinite(arrays["objectives"]).mean()
    axes.set_title(f"{exam.dataset}: archive of action {exam.step}, {filled:.1%} of the cells", fontsize=9)
    made.colorbar(image, ax=axes, label="objective")
    return save(made, path)


def _score(dataset: str, group: Sequence[tuple[ExamArtifacts, dict[str, Any]]], path: Path) -> Path:
    made, [[axes]] = figure(width=6.0, height=4.0)
    steps = sorted({exam.step for exam, _ in group})
    for number, step in enumerate(steps):
        shade = 0.9 - 0.7 * number / max(1, len(steps) - 1)
        chosen = [(exam, arrays) for exam, arrays in group if exam.step == step]
        for place, (exam, arrays) in enumerate(chosen):
            label = f"action {step} ({exam.side})" if place == 0 else None
            axes.plot(arrays["evaluations"], arrays["curve"], color=(0.1, shade, 0.6), label=label)
    axes.set_xlabel("evaluations")
    axes.set_ylabel("QD-score over the number of cells")
    axes.set_title(dataset)
    axes.legend(fontsize=8)
    return save(made, path)


def _levels(exam: ExamArtifacts, arrays: dict[str, Any], path: Path) -> Path:
    from matplotlib.colors import ListedColormap

    levels, measures = arrays["levels"], arrays["measures"]
    shape = levels.shape[2] / levels.shape[1]
    made, axes = figure(-(-len(levels) // _COLUMNS), _COLUMNS, width=1.8 * max(1.0, shape**0.5), height=2.0)
    for number, one in enumerate(each for row in axes for each in row):
        one.set_axis_off()
        if number < len(levels):
            one.imshow(levels[number], cmap=ListedColormap(_COLOURS), vmin=0, vmax=len(_COLOURS) - 1)
            one.set_title(f"{measures[number, 0]:.3g}, {measures[number, 1]:.3g}", fontsize=8)
    made.suptitle(f"{exam.dataset}: elites of action {exam.step}, with both measures", fontsize=9)
    return save(made, path)
