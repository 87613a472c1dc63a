"""Plots what classifiers have confused: a matrix of classes, and images with what was said of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from discoenv.examiners.plotting import ExamArtifacts, figure, save

#: Images in a row and in a column.
_COLUMNS, _ROWS = 6, 4


def plot(exams: Sequence[ExamArtifacts], folder: Path) -> list[Path]:
    """``confusion_<dataset>.png`` and ``mistakes_<dataset>.png`` of the last exam of each dataset.

    Args:
        exams: in order of time; those without a matrix are passed over.
        folder: where the files go.

    Returns:
        Their paths.
    """
    last = {exam.dataset: exam for exam in exams if "confusion" in exam.arrays()}
    paths = []
    for dataset, exam in last.items():
        name = dataset.replace("/", "-")
        paths += [_matrix(exam, folder / f"confusion_{name}.png"), _mistakes(exam, folder / f"mistakes_{name}.png")]
    return paths


def _title(exam: ExamArtifacts) -> str:
    return f"{exam.dataset} ({exam.side}, exam {exam.number}, action {exam.step})"


def _matrix(exam: ExamArtifacts, path: Path) -> Path:
    """Rows are classes, columns what was said; the colour is the share of the class."""
    counts = exam.arrays()["confusion"].astype(float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    made, axes = figure(1, 1, width=4.5, height=4.2)
    (only,) = axes[0]
    made.colorbar(only.imshow(shares, vmin=0.0, vmax=1.0, cmap="Blues", interpolation="nearest"), ax=only)
    only.set_xlabel("answer")
    only.set_ylabel("class")
    only.set_title(f"{_title(exam)}\naccuracy {np.trace(counts) / max(counts.sum(), 1.0):.3f}", fontsize=9)
    return save(made, path)


def _mistakes(exam: ExamArtifacts, path: Path) -> Path:
    """Wrongly classified images first, each with its class and the answer."""
    arrays = exam.arrays()
    images, labels, answers = arrays["images"], arrays["labels"], arrays["answers"]
    made, axes = figure(_ROWS, _COLUMNS, width=1.3, height=1.5)
    for number, one in enumerate(each for row in axes for each in row):
        one.set_axis_off()
        if number < len(images):
            one.imshow(images[number].squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            right = labels[number] == answers[number]
            one.set_title(
                f"{labels[number]}" if right else f"{labels[number]}, not {answers[number]}",
                fontsize=7,
                color="black" if right else "firebrick",
            )
    made.suptitle(_title(exam), fontsize=9)
    return save(made, path)
