"""Drawings of the growing tasks: colours with opacity on a square, made of a few smooth shapes, at any resolution.

Shapes are drawn on the square [−1, 1]² (x to the right, y downwards), which keeps a margin around the figure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]
Colour = tuple[float, float, float]

#: Points per cell and axis that are averaged for smooth edges.
_OVERSAMPLING = 8


@dataclass(frozen=True)
class Look:
    """How a picture differs from others of its kind. It stays symmetric if it is.

    Attributes:
        order: which of a shape's red, green and blue are the picture's.
        gain, offset: float64[3], colours are multiplied by the one, then the other is added.
        width, height: of the figure.
        swing, phase: how much wider and narrower it is from top to bottom; and where.
    """

    order: tuple[int, ...] = (0, 1, 2)
    gain: tuple[float, ...] = (1.0, 1.0, 1.0)
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)
    width: float = 1.0
    height: float = 1.0
    swing: float = 0.0
    phase: float = 0.0

    @classmethod
    def drawn(cls, generator: np.random.Generator) -> Look:
        """One at random."""
        return cls(
            order=tuple(generator.permutation(3).tolist()),
            gain=tuple(generator.uniform(0.75, 1.05, 3).tolist()),
            offset=tuple(generator.uniform(-0.05, 0.15, 3).tolist()),
            width=float(generator.uniform(0.85, 1.05)),
            height=float(generator.uniform(0.85, 1.05)),
            swing=float(generator.uniform(-0.1, 0.1)),
            phase=float(generator.uniform(-np.pi, np.pi)),
        )


class Canvas:
    """Paints opaque shapes over each other.

    Args:
        side: points per axis.
        look: changes what is painted.

    Attributes:
        x, y: float64[S, S], coordinates of the points.
        rgba: float64[S, S, 4], what has been painted; transparent black at first.
    """

    def __init__(self, side: int, look: Look) -> None:
        axis = (np.arange(side) + 0.5) / side * 2.0 - 1.0
        x, y = np.meshgrid(axis, axis)
        self.x = x / look.width * (1.0 + look.swing * np.sin(3.0 * y + look.phase))
        self.y = y / look.height
        self._look = look
        self.rgba = np.zeros((side, side, 4))

    def fill(self, inside: np.ndarray[Any, Any], colour: Colour | FloatArray) -> None:
        """Paint the points where ``inside`` is true; ``colour`` may be one per point, [S, S, 3]."""
        look = self._look
        colour = (np.asarray(colour, float)[..., look.order] * look.gain + look.offset).clip(0.0, 1.0)
        self.rgba[inside, :3] = np.broadcast_to(colour, (*inside.shape, 3))[inside]
        self.rgba[inside, 3] = 1.0

    def ellipse(self, centre: tuple[float, float], radii: tuple[float, float], degrees: float, colour: Colour) -> None:
        """Paint an ellipse, turned clockwise by ``degrees``."""
        angle = np.deg2rad(degrees)
        dx, dy = self.x - centre[0], self.y - centre[1]
        along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        self.fill((along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1.0, colour)

    def stroke(self, points: FloatArray, widths: FloatArray, colour: Colour) -> None:
        """Paint discs of radius ``widths`` float64[M] along ``points`` float64[M, 2]."""
        for (px, py), radius in zip(points, widths, strict=True):
            self.fill((self.x - px) ** 2 + (self.y - py) ** 2 <= radius**2, colour)


def _between(start: tuple[float, float], end: tuple[float, float], count: int = 24) -> FloatArray:
    return np.linspace(start, end, count)


def _butterfly(canvas: Canvas) -> None:
    for side in (-1.0, 1.0):
        canvas.ellipse((side * 0.42, -0.24), (0.46, 0.27), side * -38.0, (0.95, 0.45, 0.10))
        canvas.ellipse((side * 0.34, 0.34), (0.34, 0.22), side * 42.0, (0.85, 0.20, 0.25))
        canvas.ellipse((side * 0.52, -0.34), (0.17, 0.11), side * -38.0, (0.98, 0.86, 0.30))
        canvas.ellipse((side * 0.40, 0.38), (0.12, 0.09), side * 42.0, (0.30, 0.30, 0.80))
        canvas.stroke(_between((0.0, -0.40), (side * 0.20, -0.70)), np.full(24, 0.045), (0.12, 0.10, 0.15))
    canvas.ellipse((0.0, 0.02), (0.10, 0.50), 0.0, (0.15, 0.12, 0.20))


def _lizard(canvas: Canvas) -> None:
    green, dark = (0.25, 0.65, 0.25), (0.10, 0.40, 0.20)
    for start, end in (
        ((0.02, -0.28), (0.42, -0.42)),
        ((-0.10, -0.28), (-0.48, -0.12)),
        ((0.12, 0.16), (0.50, 0.28)),
        ((-0.02, 0.20), (-0.38, 0.36)),
    ):
        canvas.stroke(_between(start, end), np.full(24, 0.075), dark)
        canvas.ellipse(end, (0.11, 0.11), 0.0, dark)
    t = np.linspace(0.0, 1.0, 64)
    spine = np.column_stack([0.16 * np.sin(6.0 * t + 2.6) + 0.34 * t**3 - 0.08, 1.42 * t - 0.62])
    canvas.stroke(spine, 0.20 * np.sin(np.pi * np.clip(t + 0.16, 0.0, 1.0)) ** 0.8 + 0.035, green)
    canvas.stroke(spine[8:44], np.full(36, 0.05), (0.75, 0.85, 0.25))
    head = spine[0] + (0.0, -0.06)
    canvas.ellipse((float(head[0]), float(head[1])), (0.16, 0.20), 0.0, green)
    for side in (-1.0, 1.0):
        canvas.ellipse((float(head[0]) + side * 0.10, float(head[1]) - 0.06), (0.05, 0.05), 0.0, (0.95, 0.30, 0.10))


def _spiral(canvas: Canvas) -> None:
    """Two Archimedean arms whose colour changes along the radius, in a ring."""
    radius, angle = np.hypot(canvas.x, canvas.y), np.arctan2(canvas.y, canvas.x)
    phase = (angle - 7.0 * radius) % np.pi
    fraction = np.clip(radius / 0.72, 0.0, 1.0)[..., None]
    colour = (1.0 - fraction) * np.array([0.98, 0.80, 0.20]) + fraction * np.array([0.15, 0.30, 0.85])
    canvas.fill((radius < 0.70) & (phase < 0.5 * np.pi), colour)
    canvas.fill((radius < 0.14), (0.95, 0.95, 0.95))
    canvas.fill((radius > 0.66) & (radius < 0.78), (0.55, 0.15, 0.55))


PATTERNS: Final[dict[str, Callable[[Canvas], None]]] = {"butterfly": _butterfly, "lizard": _lizard, "spiral": _spiral}


def render(name: str, side: int, look: Look | None = None) -> FloatArray:
    """A pattern on a grid of cells.

    Args:
        name: a key of :data:`PATTERNS`.
        side: cells per axis.
        look: how it differs from others; None: not at all.

    Returns:
        float32[side, side, 4]: red, green and blue multiplied by alpha, and alpha; all in [0, 1].
    """
    canvas = Canvas(side * _OVERSAMPLING, look or Look())
    PATTERNS[name](canvas)
    blocks = canvas.rgba.reshape(side, _OVERSAMPLING, side, _OVERSAMPLING, 4)
    cells: FloatArray = blocks.mean(axis=(1, 3)).astype(np.float32)
    return cells
