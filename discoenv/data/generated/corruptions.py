"""Ten ways to corrupt images, each in three severities, after the families of Hendrycks & Dietterich (2019).

Every function maps float64[N, H, W, C] in 0 … 255, random numbers and a severity (0, 1, 2) to the same shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from discoenv.data.generated.exact import Draws, Floats, smooth, to_bytes
from discoenv.data.images import Split

Corruption = Callable[[Floats, Draws, int], Floats]


def gaussian_noise(x: Floats, draws: Draws, severity: int) -> Floats:
    """Normal noise on every pixel."""
    return x + (30.0, 55.0, 80.0)[severity] * draws.normal(*x.shape)


def shot_noise(x: Floats, draws: Draws, severity: int) -> Floats:
    """Counts of few photons: each of K arrives with probability x / 255."""
    photons = (12, 6, 3)[severity]
    counts = np.zeros(x.shape)
    for _ in range(photons):
        counts += draws.uniform(0.0, 255.0, *x.shape) < x
    return counts * (255.0 / photons)


def impulse_noise(x: Floats, draws: Draws, severity: int) -> Floats:
    """Some pixels are black or white."""
    hit = draws.uniform(0.0, 1.0, *x.shape[:3], 1) < (0.06, 0.12, 0.2)[severity]
    return np.where(hit, 255.0 * draws.integers(2, *x.shape[:3], 1), x)


def blur(x: Floats, draws: Draws, severity: int) -> Floats:
    """Out of focus, in proportion to the image."""
    return smooth(x, (1, 2, 3)[severity] * max(1, x.shape[1] * x.shape[1] // 256))


def motion_blur(x: Floats, draws: Draws, severity: int) -> Floats:
    """The mean along a stroke in one of four directions."""
    length = 2 + severity * max(1, x.shape[1] // 12)
    chosen = draws.integers(4, len(x))
    moved = np.empty_like(x)
    for number, (down, right) in enumerate(((0, 1), (1, 0), (1, 1), (1, -1))):
        rows = chosen == number
        total = x[rows].copy()
        for step in range(1, length + 1):
            total += _shifted(x[rows], down * (step - (length + 1) // 2), right * (step - (length + 1) // 2))
        moved[rows] = total / (length + 1)
    return moved


def contrast(x: Floats, draws: Draws, severity: int) -> Floats:
    """Less contrast around a grey level that differs between images."""
    grey = draws.uniform(60.0, 200.0, len(x), 1, 1, 1)
    return grey + (0.6, 0.4, 0.25)[severity] * (x - grey)


def brightness(x: Floats, draws: Draws, severity: int) -> Floats:
    """Everything brighter."""
    return x + (50.0, 90.0, 130.0)[severity]


def pixelate(x: Floats, draws: Draws, severity: int) -> Floats:
    """Blocks of 2 × 2 pixels (of 3 × 3 and more in images above 24 pixels) become one colour, in part."""
    size = max(2, x.shape[1] // 12)
    rows, columns = (np.arange(length) // size * size for length in x.shape[1:3])
    total = np.zeros_like(x)
    for down in range(size):
        for right in range(size):
            row = np.minimum(rows + down, x.shape[1] - 1)[:, None]
            column = np.minimum(columns + right, x.shape[2] - 1)[None, :]
            total += x[:, row, column]
    blocks: Floats = total / (size * size)
    return x + (0.5, 0.75, 1.0)[severity] * (blocks - x)


def elastic(x: Floats, draws: Draws, severity: int) -> Floats:
    """Pixels move by a smooth random field."""
    size = (0.09, 0.14, 0.2)[severity] * x.shape[1]
    field = smooth(draws.normal(*x.shape[:3], 2), max(1, x.shape[1] // 6))
    spread = np.sqrt(np.maximum((field * field).max(axis=(1, 2, 3), keepdims=True), 1e-9))
    field = size * field / spread
    rows = np.arange(x.shape[1])[None, :, None] + field[..., 0]
    columns = np.arange(x.shape[2])[None, None, :] + field[..., 1]
    return sampled(x, rows, columns)


def occlusion(x: Floats, draws: Draws, severity: int) -> Floats:
    """A grey square hides a part."""
    side = max(1, round((0.3, 0.4, 0.5)[severity] * x.shape[1]))
    top = draws.integers(x.shape[1] - side + 1, len(x), 1, 1)
    left = draws.integers(x.shape[2] - side + 1, len(x), 1, 1)
    rows, columns = np.arange(x.shape[1])[None, :, None], np.arange(x.shape[2])[None, None, :]
    hidden = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    return np.where(hidden[..., None], draws.uniform(0.0, 255.0, len(x), 1, 1, 1), x)


CORRUPTIONS: Final[tuple[Corruption, ...]] = (
    gaussian_noise, shot_noise, impulse_noise, blur, motion_blur,
    contrast, brightness, pixelate, elastic, occlusion,
)  # fmt: skip
SEVERITIES: Final = 3


def all_of(split: Split, draws: Draws) -> Split:
    """Every image of ``split`` in every corruption and severity, in random order; ``draws`` decides the noise."""
    x = split.x.astype(np.float64)
    parts = [
        to_bytes(corrupt(x, draws.part(corrupt.__name__, severity), severity))
        for corrupt in CORRUPTIONS
        for severity in range(SEVERITIES)
    ]
    order = draws.part("order").order(len(parts) * len(split))
    return Split(np.concatenate(parts)[order], np.tile(split.y, len(parts))[order])


def sampled(x: Floats, rows: Floats, columns: Floats) -> Floats:
    """``x`` [N, H, W, C] at fractional places, float[N, H', W'] each; bilinear, edges repeated."""
    height, width = x.shape[1:3]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    top = np.minimum(np.floor(rows).astype(np.int64), height - 2)
    left = np.minimum(np.floor(columns).astype(np.int64), width - 2)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    number = np.arange(len(x))[:, None, None]
    above = x[number, top, left] * (1 - right) + x[number, top, left + 1] * right
    below = x[number, top + 1, left] * (1 - right) + x[number, top + 1, left + 1] * right
    values: Floats = above * (1 - down) + below * down
    return values


def _shifted(x: Floats, down: int, right: int) -> Floats:
    """``x`` moved by whole pixels, edges repeated."""
    rows = np.clip(np.arange(x.shape[1]) - down, 0, x.shape[1] - 1)
    columns = np.clip(np.arange(x.shape[2]) - right, 0, x.shape[2] - 1)
    moved: Floats = x[:, rows[:, None], columns[None, :]]
    return moved
