"""Handwritten digits: the 1,797 images of 8 × 8 pixels that come with scikit-learn (Alpaydin & Kaynak 1998, UCI)."""

from __future__ import annotations

import functools
import gzip
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.data.generated import corruptions, long_tail
from discoenv.data.generated.exact import Draws
from discoenv.data.images import Bytes, Images, Labels, Split

ROOT = Draws("digits")
#: Images of each class that are held out, and trained on; the remaining 297 are for validation.
_TEST, _TRAIN = 50, 100
#: Most frequent over rarest class of the long-tailed set.
_IMBALANCE = 10
#: Held-out images of each class of which every corruption is made.
_CORRUPTED = 20


@functools.cache
def read() -> tuple[Bytes, Labels]:
    """All digits in scikit-learn's order: levels of grey uint8[1797, 8, 8], 0 (black) to 16; classes int64[1797]."""
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise ImportError("the digits come with scikit-learn, which is not installed")
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz") as file:  # no import: seconds
        data = np.loadtxt(file, np.uint8, delimiter=",")
    levels, labels = data[:, :-1].reshape(-1, 8, 8), data[:, -1].astype(np.int64)
    levels.flags.writeable = labels.flags.writeable = False
    return levels, labels


def digits(root: Draws = ROOT) -> Images:
    """1,000 images to train on, 297 for validation, 500 held out; the classes are balanced, the images 8 × 8, grey.

    ``root`` decides which are which.
    """
    levels, y = read()
    x = ((levels.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)[..., None]
    draws = root.part("split")
    parts: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for label in range(10):
        rows = np.flatnonzero(y == label)
        rows = rows[draws.order(len(rows))]
        for part, chosen in zip(parts, np.split(rows, [_TRAIN, len(rows) - _TEST]), strict=True):
            part.append(chosen)
    splits = []
    for part in parts:
        rows = np.concatenate(part)
        rows = rows[draws.order(len(rows))]
        splits.append(Split(x[rows], y[rows]))
    return Images("digits", 10, *splits)


def digits_lt(root: Draws = ROOT) -> Images:
    """The digits with 100 to 10 training images per class; the held-out images are those of :func:`digits`."""
    whole, thinned = digits(root), Draws("digits_lt") if root is ROOT else root.part("lt")
    train = long_tail.thin(whole.train, 10, _IMBALANCE, thinned.part("train"))
    validation = long_tail.thin(whole.validation, 10, _IMBALANCE, thinned.part("validation"))
    return Images("digits_lt", 10, train, validation, whole.test)


def digits_c(root: Draws = ROOT) -> Images:
    """The digits, with 6,000 held-out images: ten corruptions, in three severities each, of 200 held-out digits."""
    whole, corrupted = digits(root), Draws("digits_c") if root is ROOT else root.part("c")
    rows = np.sort(np.concatenate([np.flatnonzero(whole.test.y == label)[:_CORRUPTED] for label in range(10)]))
    return Images("digits_c", 10, whole.train, whole.validation, corruptions.all_of(whole.test.take(rows), corrupted))
