"""The 102 flowers of Nilsback & Zisserman (2008)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discoenv.data.images import Images, Split
from discoenv.data.published.archives import read_mat
from discoenv.data.published.holdout import Holdout
from discoenv.data.published.photographs import kept, read_pictures, stacked

#: Our parts, and the published ones: the smallest is held out, the largest trained on.
_PARTS = (("train", "tstid"), ("validation", "valid"), ("test", "trnid"))


def flowers(folder: Path, holdout: Holdout, size: int | None = None) -> Images:
    """6,149 images to train on, 1,020 for validation, 1,020 held out, whatever ``holdout`` says."""
    return Images("flowers", 102, *kept(_decoded, folder, holdout, size))


def _decoded(folder: Path, holdout: Holdout, size: int) -> tuple[Split, Split, Split]:
    labels = np.atleast_1d(read_mat((folder / "imagelabels.mat").read_bytes())["labels"]).astype(np.int64) - 1
    numbers = read_mat((folder / "setid.mat").read_bytes())
    pictures = {int(Path(name).stem[-5:]): x for name, x in read_pictures(folder / "102flowers.tgz", size)}
    train, validation, test = (
        stacked((pictures[int(n)], labels[int(n) - 1]) for n in np.atleast_1d(numbers[key])) for _, key in _PARTS
    )
    return train, validation, test
