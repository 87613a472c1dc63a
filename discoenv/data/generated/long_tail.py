"""Image sets in which some classes are much rarer than others."""

from __future__ import annotations

import numpy as np

from discoenv.data.generated.exact import Draws
from discoenv.data.images import Split


def profile(largest: int, classes: int, imbalance: float) -> list[int]:
    """Images per class that fall exponentially from ``largest`` to ``largest / imbalance`` (Cui et al. 2019)."""
    return [max(1, round(largest * imbalance ** (-label / (classes - 1)))) for label in range(classes)]


def thin(split: Split, classes: int, imbalance: float, draws: Draws) -> Split:
    """A random part of ``split``, with :func:`profile` below the size of its smallest class; its order is kept."""
    largest = int(np.bincount(split.y, minlength=classes).min())
    kept = []
    for label, count in enumerate(profile(largest, classes, imbalance)):
        rows = np.flatnonzero(split.y == label)
        kept.append(rows[draws.order(len(rows))[:count]])
    return split.take(np.sort(np.concatenate(kept)))
