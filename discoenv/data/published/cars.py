"""The 196 models of cars of Krause et al. (2013), whole photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discoenv.data.images import Images, Split
from discoenv.data.published.archives import read_mat, read_member
from discoenv.data.published.holdout import Holdout
from discoenv.data.published.photographs import kept, read_pictures, stacked


def cars(folder: Path, holdout: Holdout, size: int | None = None) -> Images:
    """8,144 images to train on, 8,041 held out."""
    return Images("cars", 196, *kept(_decoded, folder, holdout, size))


def _decoded(folder: Path, holdout: Holdout, size: int) -> tuple[Split, Split, Split]:
    annotations = {
        "train": read_member(folder / "car_devkit.tgz", "cars_train_annos.mat"),
        "test": (folder / "cars_test_annos_withlabels.mat").read_bytes(),
    }
    parts = []
    for part, content in annotations.items():
        entries = np.atleast_1d(read_mat(content)["annotations"])
        classes = {str(entry["fname"]): int(entry["class"]) - 1 for entry in entries}
        pictures = read_pictures(folder / f"cars_{part}.tgz", size)
        parts.append(stacked((x, classes[Path(name).name]) for name, x in pictures))
    return *holdout.split(parts[0]), parts[1]
