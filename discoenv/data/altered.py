"""Small changes of published images that keep their labels, so that no table of hashes finds them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from discoenv.data.images import Bytes, Split

Floats = np.ndarray[Any, np.dtype[np.float32]]

#: Most pixels by which an image is moved along either axis; it is interpolated between pixels.
SHIFT: Final = 0.4
#: Levels are multiplied by up to this much more or less than one.
LIGHT: Final = 0.15
#: Most levels by which an image then becomes brighter or darker, and the standard deviation of the noise; of 255.
BRIGHTNESS: Final = 10.0
NOISE: Final = 4.0
#: Images that are changed at a time.
_CHUNK: Final = 1000


def altered(split: Split, generator: np.random.Generator) -> Split:
    """Every image moved by a part of a pixel, in other light, with a little noise."""
    x = np.empty_like(split.x)
    for begin in range(0, len(split), _CHUNK):
        x[begin : begin + _CHUNK] = altered_levels(split.x[begin : begin + _CHUNK], generator)
    return Split(x, split.y)


def altered_levels(levels: Bytes, generator: np.random.Generator) -> Bytes:
    """As :func:`altered`, of images uint8[N, H, W, C] with levels 0 … 255."""
    count = (len(levels), 1, 1, 1)
    x = levels.astype(np.float32)
    for axis in (1, 2):
        x = _moved(x, generator.uniform(-SHIFT, SHIFT, count).astype(np.float32), axis)
    x *= generator.uniform(1.0 - LIGHT, 1.0 + LIGHT, count).astype(np.float32)
    x += generator.uniform(-BRIGHTNESS, BRIGHTNESS, count).astype(np.float32)
    x += NOISE * generator.standard_normal(x.shape, np.float32)
    changed: Bytes = np.rint(x.clip(0.0, 255.0)).astype(np.uint8)
    return changed


def _moved(x: Floats, share: Floats, axis: int) -> Floats:
    """``x`` [N, H, W, C] moved by ``share`` [N, 1, 1, 1] of a pixel, -1 to 1, along an axis; edges are repeated."""
    size = x.shape[axis]
    before = x.take(np.arange(size).clip(1) - 1, axis)
    after = x.take((np.arange(size) + 1).clip(max=size - 1), axis)
    moved: Floats = x + share.clip(0.0) * (before - x) + (-share).clip(0.0) * (after - x)
    return moved
