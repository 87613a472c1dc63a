"""Sixty species of invented flowers, 32 × 32 pixels of colour: few images per class, and classes that are alike.

A species fixes the number and form of its petals, one or two rings of them, the colours of petals and centre out of a
palette that all species share, and marks on the petals. Each flower is turned, tilted, more or less open, in its own
light, on grass and leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from discoenv.data.generated.exact import Draws, Floats, angle, cosine, sine, smooth, to_bytes
from discoenv.data.images import SPLITS, Bytes, Images, Split

CLASSES = 60
SIZE = 32
ROOT = Draws("flowers60")
COUNTS = {"train": 20, "validation": 5, "test": 15}
#: Red, green, blue of petals.
_PETALS = np.array(
    [[225, 70, 80], [235, 150, 60], [240, 215, 80], [240, 240, 235], [225, 140, 190], [150, 90, 190], [90, 110, 215]],
    np.float64,
)  # fmt: skip
#: Red, green, blue of centres.
_CENTRES = np.array([[245, 200, 50], [90, 60, 40], [120, 160, 70], [235, 235, 200]], np.float64)


def flowers60(root: Draws = ROOT, counts: Mapping[str, int] = COUNTS) -> Images:
    """20 images of each of 60 species to train on, 5 for validation, 15 held out.

    Args:
        root: decides everything, the species too.
        counts: images per species of each part.
    """
    return Images("flowers60", CLASSES, *(_photographed(root, part, counts[part]) for part in SPLITS))


@dataclass(frozen=True)
class Species:
    """What all flowers of a class have in common.

    Attributes:
        petals: how many, in a ring.
        form: 0 (pointed), 1 (round) or 2 (broad).
        waist: radius between petals over that of their tips.
        notch: depth of a cut at the tip.
        rings: one, or two of which the inner one is smaller and turned by half a petal.
        colour, tip, centre: float64[3] each, red, green, blue.
        marked: 0 (plain), 1 (a line along each petal) or 2 (a dark ring around the centre).
        eye: radius of the centre over that of the flower.
    """

    petals: int
    form: int
    waist: float
    notch: float
    rings: int
    colour: Floats
    tip: Floats
    centre: Floats
    marked: int
    eye: float


def species(number: int, root: Draws = ROOT) -> Species:
    """The species of class ``number``."""
    draws = root.part("species", number)
    pick = draws.uniform(0.0, 1.0, 10)
    colour = _PETALS[int(pick[0] * len(_PETALS))]
    other = _PETALS[int(pick[1] * len(_PETALS))]
    return Species(
        petals=(3, 4, 5, 6, 8, 11)[int(pick[2] * 6)],
        form=int(pick[3] * 3),
        waist=0.25 + 0.3 * float(pick[4]),
        notch=0.25 if pick[5] < 0.25 else 0.0,
        rings=2 if pick[6] < 0.35 else 1,
        colour=colour,
        tip=other if pick[7] < 0.4 else colour,
        centre=_CENTRES[int(pick[8] * len(_CENTRES))],
        marked=int(pick[9] * 3),
        eye=0.16 + 0.16 * float(draws.uniform(0.0, 1.0)),
    )


def _photographed(root: Draws, part: str, count: int) -> Split:
    images = [_flowers(species(number, root), root.part(part, number), count) for number in range(CLASSES)]
    labels = np.repeat(np.arange(CLASSES, dtype=np.int64), count)
    order = root.part(part, "order").order(len(labels))
    return Split(np.concatenate(images)[order], labels[order])


def _flowers(kind: Species, draws: Draws, count: int) -> Bytes:
    """``count`` flowers of one species."""
    middle = (np.arange(SIZE) + 0.5) / SIZE - 0.5
    place = draws.uniform(-0.08, 0.08, 2, count, 1, 1)
    x, y = middle[None, None, :] - place[0], middle[None, :, None] - place[1]
    turned = draws.uniform(0.0, 1.0, count, 1, 1)
    x, y = x * cosine(turned) + y * sine(turned), y * cosine(turned) - x * sine(turned)
    y = y / draws.uniform(0.7, 1.0, count, 1, 1)  # seen from the side
    size = draws.uniform(0.3, 0.46, count, 1, 1)
    radius, direction = np.sqrt(x * x + y * y) / size, angle(y, x) + draws.uniform(0.0, 1.0, count, 1, 1)

    picture = _leaves(draws, count)
    opened = 1.0 + 0.08 * draws.normal(count, 1, 1)
    for ring in range(kind.rings):
        scale, shift = (1.0, 0.0) if ring == 0 else (0.62, 0.5)
        phase = direction * kind.petals + shift
        edge = np.abs(2.0 * (phase - np.floor(phase)) - 1.0)  # 0 in the middle of a petal, 1 between two
        rim = scale * _outline(kind, edge) * opened
        colour = _coloured(kind, radius / scale, edge, darker=1.0 - 0.14 * ring)
        covered = np.clip((rim - radius) * SIZE * size + 0.5, 0.0, 1.0)[..., None]
        picture = picture + covered * (colour - picture)
    centre = np.clip((kind.eye - radius) * SIZE * size + 0.5, 0.0, 1.0)[..., None]
    speckled = kind.centre * (1.0 + 0.12 * draws.normal(count, SIZE, SIZE, 1))
    picture = picture + centre * (speckled - picture)
    light = draws.uniform(0.65, 1.1, count, 1, 1, 1) * (1.0 + 0.07 * draws.normal(count, 1, 1, 3))
    return to_bytes(picture * light + 7.0 * draws.normal(count, SIZE, SIZE, 3))


def _outline(kind: Species, edge: Floats) -> Floats:
    """Radius of the rim where ``edge`` is the place across a petal: 0 in its middle, 1 at its side."""
    fall = (edge, edge * edge, edge * edge * edge * edge)[kind.form]
    cut = kind.notch * np.maximum(0.0, 1.0 - edge / 0.3)
    return kind.waist + (1.0 - kind.waist) * (1.0 - fall) - cut


def _coloured(kind: Species, radius: Floats, edge: Floats, *, darker: float) -> Floats:
    """Colour of the petals, float64[..., 3]."""
    outside = np.clip(radius * 2.0 - 0.8, 0.0, 1.0)[..., None]
    colour = (kind.colour + outside * (kind.tip - kind.colour)) * darker
    if kind.marked == 1:
        colour = colour * (1.0 - 0.45 * (edge < 0.18)[..., None])
    elif kind.marked == 2:
        colour = colour * (1.0 - 0.45 * (radius < kind.eye + 0.17)[..., None])
    shade: Floats = colour * (1.0 - 0.25 * edge[..., None])
    return shade


def _leaves(draws: Draws, count: int) -> Floats:
    """Green and brown, blurred: the background, float64[count, SIZE, SIZE, 3]."""
    clouds = np.clip(0.5 + 1.2 * smooth(draws.normal(count, SIZE, SIZE), 3), 0.0, 1.0)[..., None]
    green = np.array([60.0, 110.0, 50.0]) + 18.0 * draws.normal(count, 1, 1, 3)
    brown = np.array([95.0, 80.0, 55.0]) + 18.0 * draws.normal(count, 1, 1, 3)
    return green + clouds * (brown - green)
