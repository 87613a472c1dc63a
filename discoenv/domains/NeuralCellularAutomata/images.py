"""Images of handwritten digits: those bundled with scikit-learn, and MNIST once it has been downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discoenv.data import published
from discoenv.data.generated import digits
from discoenv.data.images import Split
from discoenv.data.published.holdout import Holdout

#: Share of scikit-learn's digits that is held out.
_HELD_OUT = 1 / 3


def load(name: str, folder: Path | None, split: np.random.Generator) -> tuple[Split, Split]:
    """Training images and held-out images; levels from 0, black, to 255.

    Digits are split at random by ``split``, MNIST as published.

    Raises:
        FileNotFoundError: MNIST is not in ``folder``.
        ValueError: there is no such set of images, or a file is damaged.
    """
    if name == "mnist":
        images = published.load("mnist", folder, holdout=Holdout(share=0.0))
        return images.train, images.test
    if name == "digits":
        levels, labels = digits.read()
        order = split.permutation(len(labels))
        count = int(len(order) * _HELD_OUT)
        whole = Split(((levels.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)[..., None], labels)
        return whole.take(order[count:]), whole.take(order[:count])
    raise ValueError(f"IMAGES: {name!r} is neither 'digits' nor 'mnist'")
