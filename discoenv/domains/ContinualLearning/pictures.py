"""Pictures of learners that forget, or do not: accuracies over the stream, and what the stream looks like."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.examiners.plotting import ExamArtifacts, figure, save


def plot(exams: Sequence[ExamArtifacts], folder: Path) -> list[Path]:
    """Plot two pictures per dataset.

    * ``accuracy_<dataset>.png``: accuracy on each experience after each, one matrix per action of the episode (mean
      over seeds).
    * ``stream_<dataset>.png``: training images of each experience.
    """
    paths = []
    for dataset, found in groupby(sorted(exams, key=lambda exam: (exam.dataset, exam.step)), lambda exam: exam.dataset):
        group = [(exam, exam.arrays()) for exam in found]
        name = dataset.replace("/", "-")
        paths.append(_accuracy(dataset, group, folder / f"accuracy_{name}.png"))
        paths.append(_stream(dataset, group[-1][1]["images"], folder / f"stream_{name}.png"))
    return paths


def _accuracy(dataset: str, group: Sequence[tuple[ExamArtifacts, dict[str, Any]]], path: Path) -> Path:
    steps = sorted({exam.step for exam, _ in group})
    made, [row] = figure(columns=len(steps), width=3.6, height=3.4)
    for axes, step in zip(row, steps, strict=True):
        matrix = np.mean([arrays["accuracy"] for exam, arrays in group if exam.step == step], axis=0)
        shown = axes.imshow(matrix, vmin=0.0, vmax=1.0, cmap="viridis")
        axes.set_xlabel("after experience")
        axes.set_ylabel("accuracy on experience")
        axes.set_title(f"{dataset}, action {step}", fontsize=10)
    made.colorbar(shown, ax=row)
    return save(made, path)


def _stream(dataset: str, images: Any, path: Path) -> Path:
    tasks, count = images.shape[:2]
    made, axes = figure(count, tasks, width=0.7, height=0.7)
    for task in range(tasks):
        for row in range(count):
            axes[row][task].imshow(images[task, row].squeeze(), cmap="gray", vmin=0, vmax=255)
            axes[row][task].set_axis_off()
        axes[0][task].set_title(str(task), fontsize=8)
    made.suptitle(dataset, fontsize=10)
    return save(made, path)
