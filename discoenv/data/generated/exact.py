"""Arithmetic and random numbers with the same bits on every machine, for generators of data sets.

Sums of two numbers, products, quotients and square roots are rounded as IEEE 754 says; NumPy's ``sin`` or ``exp`` and
its long sums depend on the processor, and the streams of ``numpy.random.Generator`` on NumPy's version. What is here
uses only the former, and the raw output of PCG64, which is fixed.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from discoenv.data.images import Bytes

Floats = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]

_TAU = 6.283185307179586
#: Taylor coefficients of sin(x) / x in x²; the error is below 4e-6 for |x| <= pi / 2.
_SINE = (1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880)
#: Of arctan(x) / x in x² for |x| <= 1; the error is below 2e-5.
_ARCTANGENT = (0.99997726, -0.33262347, 0.19354346, -0.11643287, 0.05265332, -0.01172120)


class Draws:
    """Random numbers that ``words`` determine.

    Args:
        words: text or non-negative integers, for example the name of a data set and the number of a class.
    """

    def __init__(self, *words: str | int) -> None:
        self._words = words
        entropy: list[int] = []
        for word in words:
            entropy += [word] if isinstance(word, int) else [len(word), *word.encode()]
        self._bits = np.random.PCG64(np.random.SeedSequence(entropy))

    def part(self, *words: str | int) -> Self:
        """Others of the same kind, which these words and further ones determine."""
        return type(self)(*self._words, *words)

    def uniform(self, low: float, high: float, *shape: int) -> Floats:
        """Uniform in [low, high), float64[shape]."""
        raw = np.asarray(self._bits.random_raw(int(np.prod(shape)))).reshape(shape)
        return low + (high - low) * ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53)

    def integers(self, high: int, *shape: int) -> Integers:
        """Uniform in 0 … high - 1, int64[shape]."""
        return np.floor(self.uniform(0.0, high, *shape)).astype(np.int64)

    def normal(self, *shape: int) -> Floats:
        """Nearly normal, mean 0, variance 1, within ±6: the sum of twelve uniform numbers, less 6; float64[shape]."""
        total = np.full(shape, -6.0)
        for _ in range(12):
            total += self.uniform(0.0, 1.0, *shape)
        return total

    def order(self, count: int) -> Integers:
        """A random permutation of 0 … count - 1, int64[count]."""
        return np.argsort(np.asarray(self._bits.random_raw(count)), kind="stable").astype(np.int64)


class FastDraws(Draws):
    """Random numbers for sets that are drawn anew for each exam: normal ones are NumPy's, twelve times as fast."""

    def normal(self, *shape: int) -> Floats:
        """Normal, mean 0, variance 1, cut at ±6; float64[shape]."""
        return np.random.Generator(self._bits).standard_normal(shape).clip(-6.0, 6.0)


def _polynomial(coefficients: tuple[float, ...], x: Floats) -> Floats:
    value = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def sine(turns: Any) -> Floats:
    """sin(2 pi turns), within 4e-6."""
    turns = np.asarray(turns, np.float64)
    turns = turns - np.floor(turns + 0.5)
    size = np.abs(turns)
    x = _TAU * np.minimum(size, 0.5 - size)
    value: Floats = np.where(turns < 0, -1.0, 1.0) * (x * _polynomial(_SINE, x * x))
    return value


def cosine(turns: Any) -> Floats:
    """cos(2 pi turns), within 4e-6."""
    return sine(np.asarray(turns, np.float64) + 0.25)


def angle(y: Floats, x: Floats) -> Floats:
    """The direction of (x, y) in turns, in [0, 1], within 4e-6; 0 for (0, 0)."""
    width, height = np.abs(x), np.abs(y)
    ratio = np.minimum(width, height) / np.maximum(np.maximum(width, height), 1e-300)
    eighth = ratio * _polynomial(_ARCTANGENT, ratio * ratio) / _TAU
    quarter = np.where(height > width, 0.25 - eighth, eighth)
    half = np.where(x < 0, 0.5 - quarter, quarter)
    return np.where(y < 0, 1.0 - half, half)


def smooth(values: Floats, times: int = 1) -> Floats:
    """``values`` [N, H, W, ...] blurred ``times`` times with [1, 2, 1] / 4 along H and W; edges are repeated."""
    for _ in range(times):
        for axis in (1, 2):
            padding = [(0, 0)] * values.ndim
            padding[axis] = (1, 1)
            padded = np.moveaxis(np.pad(values, padding, mode="edge"), axis, 0)
            values = np.moveaxis(padded[:-2] * 0.25 + padded[1:-1] * 0.5 + padded[2:] * 0.25, 0, axis)
    return values


def to_bytes(values: Floats) -> Bytes:
    """``values`` rounded to the nearest of 0 … 255."""
    return np.floor(np.clip(values, 0.0, 255.0) + 0.5).astype(np.uint8)
