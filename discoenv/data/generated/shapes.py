"""Ten shapes of any colour on grounds of any colour, 24 × 24 pixels: colour and texture say nothing about the class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from discoenv.data.generated.exact import Draws, Floats, cosine, sine, smooth, to_bytes
from discoenv.data.images import SPLITS, Bytes, Images, Split

Inside = np.ndarray[Any, np.dtype[np.bool_]]

SIZE = 24
ROOT = Draws("shapes10")
COUNTS = {"train": 300, "validation": 50, "test": 100}
#: Points per pixel and axis at which a shape is evaluated.
_FINE = 2
#: Images that are made at a time.
_CHUNK = 50
#: Half the square of the least distance between the colours of shape and ground.
_LEAST_CONTRAST = 6000.0


@dataclass(frozen=True)
class Form:
    """The shape of a class: one of ten, as it is or changed.

    Attributes:
        name: of the shape.
        turn: by which it is turned, in turns.
        flat: its height over its width, once it is turned.
        bend: how far its middle is bent to the side.
    """

    name: str
    turn: float = 0.0
    flat: float = 1.0
    bend: float = 0.0

    def inside(self, x: Floats, y: Floats) -> Inside:
        """Whether points are in the shape, which about fills the disc of radius 1; y points down."""
        if self != Form(self.name):
            c, s = float(cosine(self.turn)), float(sine(self.turn))
            x, y = x * c + y * s, (y * c - x * s) / self.flat
            x = x + self.bend * (y * y - 0.4)
        return _INSIDE[self.name](x, y)


def shapes10(root: Draws = ROOT, counts: Mapping[str, int] = COUNTS) -> Images:
    """300 images of each shape to train on, 50 for validation, 100 held out.

    Args:
        root: decides everything, unless it is ``ROOT`` the shapes too, see :func:`forms`.
        counts: images per class of each part.
    """
    kinds = [Form(name) for name in CLASSES] if root is ROOT else forms(root)
    return Images("shapes10", len(CLASSES), *(_scenes(root, kinds, part, counts[part]) for part in SPLITS))


def forms(root: Draws) -> list[Form]:
    """The ten shapes, each turned, flattened and bent, in random order."""
    found = []
    for number in root.part("forms").order(len(CLASSES)):
        draws = root.part("form", int(number))
        turn, flat, bend = (float(draws.uniform(low, high)) for low, high in ((0.0, 1.0), (0.7, 1.0), (-0.3, 0.3)))
        found.append(Form(CLASSES[number], turn, flat, bend))
    return found


def _scenes(root: Draws, kinds: Sequence[Form], part: str, count: int) -> Split:
    images = [
        _drawn(kind, kinds, root.part(part, kind.name, chunk), min(_CHUNK, count - chunk * _CHUNK))
        for kind in kinds
        for chunk in range(-(-count // _CHUNK))
    ]
    labels = np.repeat(np.arange(len(kinds), dtype=np.int64), count)
    order = root.part(part, "order").order(len(labels))
    return Split(np.concatenate(images)[order], labels[order])


def _star(x: Floats, y: Floats) -> Inside:
    """Five half planes, of which at least four hold."""
    sides = ((float(sine(k / 5)), -float(cosine(k / 5))) for k in range(5))
    count = np.zeros(x.shape, np.int64)
    for a, b in sides:
        count += x * a + y * b > -0.35
    return count >= 5 - (x * x + y * y < 1.1).astype(np.int64)


def _heart(x: Floats, y: Floats) -> Inside:
    width = np.abs(x)
    lobe = (width - 0.42) * (width - 0.42) + (y + 0.3) * (y + 0.3) < 0.22
    return lobe | ((width + 0.85 * y < 0.66) & (y > -0.2) & (width < 0.88))


def _crescent(x: Floats, y: Floats) -> Inside:
    return (x * x + y * y < 0.9) & ((x - 0.45) * (x - 0.45) + y * y > 0.55)


_INSIDE: dict[str, Callable[[Floats, Floats], Inside]] = {
    "disc": lambda x, y: x * x + y * y < 0.8,
    "square": lambda x, y: np.maximum(np.abs(x), np.abs(y)) < 0.75,
    "triangle": lambda x, y: (y < 0.6) & (1.9 * np.abs(x) - y < 0.9),
    "star": _star,
    "cross": lambda x, y: (np.minimum(np.abs(x), np.abs(y)) < 0.28) & (np.maximum(np.abs(x), np.abs(y)) < 0.95),
    "ring": lambda x, y: (x * x + y * y < 0.9) & (x * x + y * y > 0.36),
    "crescent": _crescent,
    "heart": _heart,
    "bar": lambda x, y: (np.abs(x) < 0.3) & (np.abs(y) < 0.95),
    "corner": lambda x, y: (np.maximum(np.abs(x), np.abs(y)) < 0.8) & ((x < -0.25) | (y > 0.25)),
}
CLASSES = tuple(_INSIDE)


def _drawn(kind: Form, kinds: Sequence[Form], draws: Draws, count: int) -> Bytes:
    """``count`` scenes with the shape ``kind``."""
    colours = _colours(draws, count)
    ground = _painted(draws, colours[0], colours[1])
    figure = _painted(draws, colours[2], colours[3])
    other = kinds[int(draws.integers(len(kinds)))]  # a small shape in the background, to be ignored
    clutter = _covered(other, draws, count, low=0.12, high=0.2, reach=0.45)
    ground = ground + clutter * (colours[3] - ground)
    covered = _covered(kind, draws, count, low=0.3, high=0.46, reach=0.1)
    light = draws.uniform(0.75, 1.1, count, 1, 1, 1)
    return to_bytes((ground + covered * (figure - ground)) * light + 8.0 * draws.normal(count, SIZE, SIZE, 3))


def _colours(draws: Draws, count: int) -> list[Floats]:
    """Two of the ground and two of the shape, float64[count, 1, 1, 3] each; the shape's differ from the ground's."""
    base = draws.uniform(20.0, 235.0, count, 3)
    other = draws.uniform(20.0, 235.0, count, 3)
    difference = other - base
    squares = difference * difference
    near = squares[:, 0] + squares[:, 1] + squares[:, 2] < 2 * _LEAST_CONTRAST
    other = np.where(near[:, None], 255.0 - np.where(np.abs(base - 127.5) < 60.0, 2.0 * base % 255.0, base), other)
    found = []
    for colour in (base, other):
        found += [colour, colour + 22.0 * draws.normal(count, 3)]
    return [colour[:, None, None, :] for colour in found]


def _painted(draws: Draws, one: Floats, two: Floats) -> Floats:
    """A mixture of two colours: stripes, a gradient or clouds, float64[count, SIZE, SIZE, 3]."""
    count = len(one)
    rows, columns = np.arange(SIZE, dtype=np.float64)[None, :, None], np.arange(SIZE, dtype=np.float64)[None, None, :]
    turned = draws.uniform(0.0, 1.0, count, 1, 1)
    along = columns * cosine(turned) + rows * sine(turned)
    stripes = 0.5 + 0.5 * sine(along / draws.uniform(3.0, 8.0, count, 1, 1) + draws.uniform(0.0, 1.0, count, 1, 1))
    gradient = np.clip(0.5 + along / SIZE - 0.5 * (cosine(turned) + sine(turned)), 0.0, 1.0)
    clouds = np.clip(0.5 + smooth(draws.normal(count, SIZE, SIZE), 4) * 1.5, 0.0, 1.0)
    kind = draws.integers(3, count, 1, 1)
    share = np.where(kind == 0, stripes, np.where(kind == 1, gradient, clouds))[..., None]
    return one + share * (two - one)


def _covered(kind: Form, draws: Draws, count: int, *, low: float, high: float, reach: float) -> Floats:
    """How much of each pixel a shape covers, float64[count, SIZE, SIZE, 1] in 0 … 1.

    Args:
        kind: the shape.
        draws: decides size, direction, proportions and place.
        count: number of images.
        low, high: its radius, as a share of the image.
        reach: how far its centre may be from the image's, as a share of the image.
    """
    points = (np.arange(SIZE * _FINE) + 0.5) / (SIZE * _FINE) - 0.5
    place = draws.uniform(-reach, reach, 2, count, 1, 1)
    x, y = points[None, None, :] - place[0], points[None, :, None] - place[1]
    turned = 0.07 * draws.normal(count, 1, 1)
    x, y = x * cosine(turned) + y * sine(turned), y * cosine(turned) - x * sine(turned)
    radius = draws.uniform(low, high, count, 1, 1)
    stretched = 1.0 + 0.1 * draws.normal(count, 1, 1)
    hit = kind.inside(x / (radius * stretched), y * stretched / radius).astype(np.float64)
    blocks = hit.reshape(count, SIZE, _FINE, SIZE, _FINE)
    total = np.zeros((count, SIZE, SIZE))
    for down in range(_FINE):
        for right in range(_FINE):
            total += blocks[:, :, down, :, right]
    return (total / (_FINE * _FINE))[..., None]
