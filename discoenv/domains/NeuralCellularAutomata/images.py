"""Images of handwritten digits: those bundled with scikit-learn, and MNIST once it has been downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.data.published.idx import read_idx

#: Share of scikit-learn's digits that is held out.
_HELD_OUT = 1 / 3


@dataclass(frozen=True)
class Images:
    """M images.

    Attributes:
        pixels: float32[M, h, w] in [0, 1].
        labels: int64[M], 0 to 9.
    """

    pixels: np.ndarray[Any, np.dtype[np.float32]]
    labels: np.ndarray[Any, np.dtype[np.int64]]


def load(name: str, folder: Path | None, split: np.random.Generator) -> tuple[Images, Images]:
    """Training and held-out images; digits are split at random by ``split``, MNIST as published.

    Raises:
        FileNotFoundError: MNIST is not in ``folder``.
        ValueError: there is no such set of images, or a file is damaged.
    """
    if name == "mnist":
        if folder is None:
            raise FileNotFoundError("MNIST has not been downloaded")
        return _mnist(folder, "train"), _mnist(folder, "t10k")
    if name == "digits":
        digits = _digits()
        order = split.permutation(len(digits.labels))
        count = int(len(order) * _HELD_OUT)
        training, held_out = order[count:], order[:count]
        return tuple(Images(digits.pixels[rows], digits.labels[rows]) for rows in (training, held_out))  # type: ignore[return-value]
    raise ValueError(f"IMAGES: {name!r} is neither 'digits' nor 'mnist'")


def _digits() -> Images:
    """1,797 digits of 8 × 8 pixels (Alpaydin & Kaynak 1998, UCI; bundled with scikit-learn)."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - takes a second, and only two datasets need it

    data = load_digits()
    return Images((data.images / 16.0).astype(np.float32), data.target.astype(np.int64))


def _mnist(folder: Path, part: str) -> Images:
    """One part of MNIST (LeCun et al. 1998)."""
    pixels = read_idx(folder / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz")
    return Images((pixels / 255.0).astype(np.float32), labels.astype(np.int64))
