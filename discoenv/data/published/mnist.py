"""MNIST and its successor with the same files: 28 × 28 pixels, grey, ten classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discoenv.data.images import Images, Split
from discoenv.data.published.holdout import Holdout
from discoenv.data.published.idx import read_idx


def mnist(folder: Path, holdout: Holdout, size: int | None = None) -> Images:
    """Handwritten digits (LeCun et al. 1998): 60,000 images to train on, 10,000 held out."""
    return _read("mnist", folder, holdout)


def fashion_mnist(folder: Path, holdout: Holdout, size: int | None = None) -> Images:
    """Articles of clothing (Xiao et al. 2017), as many as of MNIST."""
    return _read("fashion_mnist", folder, holdout)


def _read(name: str, folder: Path, holdout: Holdout) -> Images:
    parts = []
    for part in ("train", "t10k"):
        pixels, labels = (read_idx(folder / f"{part}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
        parts.append(Split(pixels[..., None], labels.astype(np.int64)))
    return Images(name, 10, *holdout.split(parts[0]), parts[1])
