"""What the simulator said of levels, and levels as tensors."""

from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional


class Evaluations(NamedTuple):
    """Levels that were evaluated, one per row, in the order of evaluation.

    Attributes:
        levels: int8[N, HEIGHT, WIDTH], tiles.
        objectives: float64[N], from 0 to 1.
        measures: float64[N, 2], in the units of RANGES.
        occupancy: float32[N, HEIGHT, WIDTH], steps that the agent spent in each cell, mean over episodes.
    """

    levels: np.ndarray
    objectives: np.ndarray
    measures: np.ndarray
    occupancy: np.ndarray


def one_hot(levels, config):
    """Tiles as channels: float32[n, TILES, height, width] of levels int8[n, HEIGHT, WIDTH], padded with tile 0."""
    tiles = padded(torch.as_tensor(np.ascontiguousarray(levels)))
    return (tiles[:, None] == torch.arange(config["TILES"])[:, None, None]).float()


def padded(x):
    """Zeros below and to the right of maps [n, height, width], so that both sides are multiples of 4."""
    return functional.pad(x, (0, -x.shape[2] % 4, 0, -x.shape[1] % 4))


def checked(prediction, count):
    """What ``predict`` returned, if it is objectives float64[count] and measures float64[count, 2], all finite.

    Raises:
        ValueError: it is something else.
    """
    objectives, measures = (np.asarray(each, np.float64) for each in prediction)
    if objectives.shape != (count,) or measures.shape != (count, 2):
        raise ValueError(f"surrogate.py: predict gave arrays of shapes {objectives.shape} and {measures.shape}")
    if not (np.isfinite(objectives).all() and np.isfinite(measures).all()):
        raise ValueError("surrogate.py: predict gave values that are NaN or infinite")
    return objectives, measures
