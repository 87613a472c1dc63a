"""What is left of floating-point numbers between experiences: few bits of each, so that they cannot hold images.

Rounding is at random, up or down, so that the mean over many numbers, and over several experiences, is right.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

NumpyArray = np.ndarray[Any, Any]
Floats = np.ndarray[Any, np.dtype[np.float64]]


def evenly(values: NumpyArray, bits: int, generator: np.random.Generator) -> NumpyArray:
    """Numbers rounded to 2^bits - 1 levels, evenly spaced from -s to s: the largest absolute value, rounded up to a
    power of two.

    Args:
        values: float[...], finite.
        bits: at least 2.
        generator: decides whether a number between two levels becomes the lower or the upper one, with the chances
            that keep its mean.

    Returns:
        An array of the same shape and dtype.
    """
    scale = _scale(values)
    steps = 2 ** (bits - 1) - 1
    position = values.astype(np.float64) / scale * steps
    with np.errstate(over="ignore"):
        return _like(values, np.floor(position + generator.random(values.shape)) / steps * scale)


def geometrically(values: NumpyArray, bits: int, ratio: float, generator: np.random.Generator) -> NumpyArray:
    """Numbers rounded to zero, s, s / ratio, s / ratio² …, with s as for :func:`evenly`; 2^bits levels in all.

    Where there are negative numbers, half of the levels are theirs. Arguments and what is returned as there.
    """
    signed = bool((values < 0).any())
    levels = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    scale = _scale(values)
    ladder = np.concatenate([[0.0], ratio ** -np.arange(levels - 1, -1, -1.0)])
    size = np.abs(values.astype(np.float64)) / scale
    below = np.clip(np.searchsorted(ladder, size, side="right") - 1, 0, levels - 1)
    share = (size - ladder[below]) / (ladder[below + 1] - ladder[below])
    return _like(values, np.sign(values) * ladder[below + (generator.random(values.shape) < share)] * scale)


def _scale(values: NumpyArray) -> float:
    """The largest absolute value, rounded up to a power of two; 1 if all are zero."""
    largest = float(np.abs(values).max(initial=0.0))
    return 2.0 ** min(1023, math.ceil(math.log2(largest))) if largest > 1e-30 else 1.0


def _like(values: NumpyArray, rounded: Floats) -> NumpyArray:
    """``rounded`` with the dtype of ``values``, and finite."""
    limit = float(np.finfo(values.dtype).max)
    found: NumpyArray = rounded.clip(-limit, limit).astype(values.dtype)
    return found
