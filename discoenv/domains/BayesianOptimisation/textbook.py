"""The eleven test functions, as they are to be maximised, in their usual coordinates.

Formulas and optima: Surjanovic and Bingham, Virtual Library of Simulation Experiments (minimised there, so the signs
are changed); the cosine mixture is that of Breiman and Cutler (1993).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Textbook:
    """A test function.

    Attributes:
        value: float64[M, d] → float64[M], to be maximised.
        low, high: float64[d], its usual domain.
        maximisers: float64[K, d], all points of the domain at which it has its maximum.
        maximum: the maximum, on the domain; on all of ℝ^d as well unless ``bounded``.
        bounded: whether the formula exceeds ``maximum`` outside the domain.
        zoom: how much of the domain's width a task shows.
    """

    value: Callable[[FloatArray], FloatArray]
    low: FloatArray
    high: FloatArray
    maximisers: FloatArray
    maximum: float
    bounded: bool = False
    zoom: float = 1.0

    @property
    def dimension(self) -> int:
        """d."""
        return len(self.low)


def ackley(x: FloatArray) -> FloatArray:
    """Many small ripples on a steep cone: 0 at the origin."""
    root_mean_square = np.sqrt(np.mean(x**2, axis=1))
    return np.asarray(20 * np.exp(-0.2 * root_mean_square) + np.exp(np.mean(np.cos(2 * np.pi * x), axis=1)) - 20 - np.e)


def branin(x: FloatArray) -> FloatArray:
    """Three equal maxima along a parabola."""
    x1, x2 = x.T
    parabola = x2 - 5.1 / (4 * np.pi**2) * x1**2 + 5 / np.pi * x1 - 6
    return np.asarray(-(parabola**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x1) + 10))


def bukin(x: FloatArray) -> FloatArray:
    """Bukin's function no. 6: a sharp curved ridge."""
    x1, x2 = x.T
    return np.asarray(-(100 * np.sqrt(np.abs(x2 - 0.01 * x1**2)) + 0.01 * np.abs(x1 + 10)))


def cosine_mixture(x: FloatArray) -> FloatArray:
    """A bowl with ripples: 0.1 d at the origin."""
    return np.asarray(0.1 * np.sum(np.cos(5 * np.pi * x), axis=1) - np.sum(x**2, axis=1))


def drop_wave(x: FloatArray) -> FloatArray:
    """Rings around the origin, where it is 1."""
    square = np.sum(x**2, axis=1)
    return np.asarray((1 + np.cos(12 * np.sqrt(square))) / (0.5 * square + 2))


def egg_holder(x: FloatArray) -> FloatArray:
    """Hills everywhere, the highest at the domain's edge."""
    x1, x2 = x.T
    return np.asarray(
        (x2 + 47) * np.sin(np.sqrt(np.abs(x2 + x1 / 2 + 47))) + x1 * np.sin(np.sqrt(np.abs(x1 - x2 - 47)))
    )


def griewank(x: FloatArray) -> FloatArray:
    """A wide bowl with thousands of small ripples: 0 at the origin."""
    divisors = np.sqrt(np.arange(1, x.shape[1] + 1))
    return np.asarray(-(np.sum(x**2, axis=1) / 4000 - np.prod(np.cos(x / divisors), axis=1) + 1))


_HARTMANN_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_HARTMANN_SCALES = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_HARTMANN_CENTRES = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann(x: FloatArray) -> FloatArray:
    """Four bumps in six dimensions."""
    squares = (x[:, None, :] - _HARTMANN_CENTRES) ** 2
    return np.asarray(np.exp(-np.sum(_HARTMANN_SCALES * squares, axis=2)) @ _HARTMANN_WEIGHTS)


def holder_table(x: FloatArray) -> FloatArray:
    """Four equal maxima near the corners of the domain, ripples between them."""
    x1, x2 = x.T
    return np.asarray(np.abs(np.sin(x1) * np.cos(x2) * np.exp(np.abs(1 - np.sqrt(x1**2 + x2**2) / np.pi))))


def levy(x: FloatArray) -> FloatArray:
    """Waves in each direction: 0 at (1, …, 1)."""
    w = 1 + (x - 1) / 4
    first = np.sin(np.pi * w[:, 0]) ** 2
    middle = np.sum((w[:, :-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:, :-1] + 1) ** 2), axis=1)
    last = (w[:, -1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[:, -1]) ** 2)
    return np.asarray(-(first + middle + last))


def _cube(
    value: Callable[[FloatArray], FloatArray],
    dimension: int,
    half: float,
    maximum: float,
    *,
    at: float = 0.0,
    zoom: float = 1.0,
) -> Textbook:
    """A function on [−half, half]^dimension with its maximum at (at, …, at)."""
    low, high = np.full(dimension, -half), np.full(dimension, half)
    return Textbook(value, low, high, np.full((1, dimension), at), maximum, zoom=zoom)


def _box(
    value: Callable[[FloatArray], FloatArray],
    bounds: list[tuple[float, float]],
    maximisers: list[list[float]],
    maximum: float,
    *,
    bounded: bool = False,
    zoom: float = 1.0,
) -> Textbook:
    low, high = np.array(bounds, dtype=np.float64).T
    return Textbook(value, low, high, np.array(maximisers), maximum, bounded, zoom)


_HOLDER = (8.05502347, 9.66459002)
TEXTBOOK: Final[Mapping[str, Textbook]] = {
    "Ackley1d": _cube(ackley, 1, 32.768, 0.0),
    "Ackley2d": _cube(ackley, 2, 32.768, 0.0),
    "Branin2d": _box(
        branin,
        [(-5, 10), (0, 15)],
        [[-np.pi, 12.275], [np.pi, 2.275], [3 * np.pi, 2.475]],
        -10 / (8 * np.pi),
    ),
    "Bukin2d": _box(bukin, [(-15, -5), (-3, 3)], [[-10.0, 1.0]], 0.0),
    "Cosine8d": _cube(cosine_mixture, 8, 1.0, 0.8),
    "DropWave2d": _cube(drop_wave, 2, 5.12, 1.0, zoom=0.1),
    "EggHolder2d": _box(egg_holder, [(-512, 512)] * 2, [[512.0, 404.231805]], 959.64066272, bounded=True),
    "Griewank5d": _cube(griewank, 5, 600.0, 0.0),
    "Hartmann6d": _box(
        hartmann, [(0, 1)] * 6, [[0.20168951, 0.15001069, 0.47687398, 0.27533243, 0.31165162, 0.65730053]], 3.32236801
    ),
    "HolderTable2d": _box(
        holder_table,
        [(-10, 10)] * 2,
        [[a * _HOLDER[0], b * _HOLDER[1]] for a in (-1, 1) for b in (-1, 1)],
        19.20850257,
        bounded=True,
    ),
    "Levy6d": _cube(levy, 6, 10.0, 0.0, at=1.0),
}
