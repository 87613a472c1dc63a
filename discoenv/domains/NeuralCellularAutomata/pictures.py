"""Plots what automata have done: a strip of states over time (PNG) and an animation (GIF) for each dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from discoenv.examiners.plotting import ExamArtifacts, figure, save

#: Columns of a strip, the target not counted; pixels per cell and milliseconds per frame of an animation.
_COLUMNS = 10
_ENLARGED = 8
_FRAME_MS = 200


def plot(exams: Sequence[ExamArtifacts], folder: Path) -> list[Path]:
    """``growth_<dataset>.png`` and ``.gif`` of the last exam of each dataset; rows are grids.

    Args:
        exams: in order of time; those without frames are passed over.
        folder: where the files go.

    Returns:
        Their paths.
    """
    last = {exam.dataset: exam for exam in exams if "frames" in exam.arrays()}
    paths = []
    for dataset, exam in last.items():
        name = "growth_" + dataset.replace("/", "-")
        paths += [_strip(exam, folder / f"{name}.png"), _animation(exam, folder / f"{name}.gif")]
    return paths


def _strip(exam: ExamArtifacts, path: Path) -> Path:
    arrays = exam.arrays()
    frames, steps, target = arrays["frames"], arrays["steps"], arrays["target"]
    chosen = np.unique(np.linspace(0, len(frames) - 1, _COLUMNS).round().astype(int))
    made, axes = figure(len(target), len(chosen) + 1, width=1.2, height=1.3)
    for row, line in enumerate(axes):
        pictures = [*((f"step {steps[number]}", frames[number, row]) for number in chosen), ("target", target[row])]
        for one, (title, picture) in zip(line, pictures, strict=True):
            one.imshow(picture, interpolation="nearest")
            one.set_xticks([])
            one.set_yticks([])
            if row == 0:
                one.set_title(title, fontsize=8)
    made.suptitle(f"{exam.dataset} ({exam.side}, exam {exam.number}, action {exam.step})", fontsize=9)
    return save(made, path)


def _animation(exam: ExamArtifacts, path: Path) -> Path:
    from PIL import Image  # comes with matplotlib

    frames = exam.arrays()["frames"]
    beside = np.concatenate(list(np.moveaxis(frames, 1, 0)), axis=2)
    images = [
        Image.fromarray(each).resize((each.shape[1] * _ENLARGED, each.shape[0] * _ENLARGED), 0) for each in beside
    ]
    images[0].save(path, save_all=True, append_images=images[1:], duration=_FRAME_MS, loop=0)
    return path
