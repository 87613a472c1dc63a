"""Plots scenes of exams: the map, the history of all, the predicted modes and what happened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.examiners.plotting import ExamArtifacts, figure, save

#: Scenes in a row and in a column.
_COLUMNS, _ROWS = 4, 3


def plot(exams: Sequence[ExamArtifacts], folder: Path) -> list[Path]:
    """``scenes_<dataset>.png`` and ``errors_<dataset>.png`` of the last exam of each dataset.

    The first half of the scenes are those with the greatest errors.

    Args:
        exams: in order of time; those without scenes are passed over.
        folder: where the files go.

    Returns:
        Their paths.
    """
    last = {exam.dataset: exam for exam in exams if "trajectories" in exam.arrays()}
    paths = []
    for dataset, exam in last.items():
        name = dataset.replace("/", "-")
        paths += [_scenes(exam, folder / f"scenes_{name}.png"), _errors(exam, folder / f"errors_{name}.png")]
    return paths


def _title(exam: ExamArtifacts) -> str:
    return f"{exam.dataset} ({exam.side}, exam {exam.number}, action {exam.step})"


def _scenes(exam: ExamArtifacts, path: Path) -> Path:
    arrays = exam.arrays()
    made, axes = figure(_ROWS, _COLUMNS, width=3.4, height=3.4)
    for number, one in enumerate(each for row in axes for each in row):
        if number < len(arrays["agents"]):
            scene(one, {name: array[number] for name, array in arrays.items() if name != "errors"})
        else:
            one.set_axis_off()
    made.suptitle(
        f"{_title(exam)}: grey map, blue history (dark: focal), red modes (opacity: probability), green what happened",
        fontsize=9,
    )
    return save(made, path)


def scene(axes: Any, arrays: dict[str, Any]) -> None:
    """One scene on Matplotlib axes, from its arrays by name."""
    for line, mask in zip(arrays["lanes"], arrays["lanes_mask"], strict=True):
        if mask.any():
            axes.plot(*line[mask].T, color="0.8", linewidth=0.8, zorder=1)
    for number, (track, mask) in enumerate(zip(arrays["agents"], arrays["agents_mask"], strict=True)):
        if mask.any():
            colour = "navy" if number == 0 else "cornflowerblue"
            axes.plot(*track[mask].T, color=colour, linewidth=1.6 if number == 0 else 1.0, zorder=2)
            axes.plot(*track[mask][-1], marker="o", markersize=3, color=colour, zorder=2)
    for mode, probability in zip(arrays["trajectories"], arrays["probabilities"], strict=True):
        axes.plot(*mode.T, color="crimson", alpha=0.25 + 0.75 * float(probability), linewidth=1.2, zorder=3)
        axes.plot(
            *mode[-1], marker="x", markersize=4, color="crimson", alpha=0.25 + 0.75 * float(probability), zorder=3
        )
    future = arrays["future"][arrays["future_mask"]]
    axes.plot(*future.T, color="green", linewidth=1.6, zorder=4)
    error = np.linalg.norm(arrays["trajectories"][:, arrays["future_mask"]] - future, axis=-1).mean(axis=-1).min()
    axes.set_title(f"minADE {error:.2f} m", fontsize=8)
    middle = 0.5 * (future.max(axis=0) + future.min(axis=0).clip(max=0.0))
    reach = max(15.0, 0.65 * float((future.max(axis=0) - future.min(axis=0)).max()) + 8.0)
    axes.set_xlim(middle[0] - reach, middle[0] + reach)
    axes.set_ylim(middle[1] - reach, middle[1] + reach)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=6)


def _errors(exam: ExamArtifacts, path: Path) -> Path:
    """How the errors of the best modes are distributed over scenes."""
    errors = np.sort(exam.arrays()["errors"])
    made, [[axes]] = figure(1, 1, width=4.5, height=3.4)
    axes.plot(errors, np.arange(1, len(errors) + 1) / len(errors), drawstyle="steps-post")
    axes.axvline(float(errors.mean()), color="0.6", linestyle="--", linewidth=1.0)
    axes.set_xlabel("minADE of a scene, m (dashed: the mean)")
    axes.set_ylabel("share of scenes")
    axes.set_xlim(left=0.0)
    axes.set_title(_title(exam), fontsize=9)
    return save(made, path)
