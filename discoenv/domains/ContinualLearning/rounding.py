"""What is left of floating-point numbers between experiences: few bits of each, so that they cannot hold images.

Rounding is at random, up or down, so that the mean over many numbers, and over several experiences, is right.
"""

from __future__ import annotations

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
    return (np.floor(position + generator.random(values.shape)) / steps * scale).astype(values.dtype)


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
    rounded = ladder[below + (generator.random(values.shape) < share)]
    return (np.sign(values) * rounded * scale).astype(values.dtype)


def _scale(values: NumpyArray) -> float:
    largest = float(np.abs(values).max(initial=0.0))
    return float(2.0 ** np.ceil(np.log2(largest))) if largest > 1e-30 else 1.0
