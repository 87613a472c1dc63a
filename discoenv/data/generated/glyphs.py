"""An invented alphabet of 100 characters, written by many hands: 16 × 16 pixels, grey.

A character is two to four curved strokes. A hand has its own slant, proportions, pen, and its own way of writing each
character; every time that it writes one it comes out a little different. The hands of the held-out images have written
nothing else. Fonts would make the pixels depend on the version of a rendering library.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from discoenv.data.generated.exact import Draws, Floats, Integers, cosine, sine, to_bytes
from discoenv.data.images import SPLITS, Images, Split

CLASSES = 100
SIZE = 16
ROOT = Draws("glyphs100")
#: Of each part: hands, and images per character.
_HANDS = {"train": 20, "validation": 5, "test": 10}
COUNTS = {"train": 40, "validation": 10, "test": 20}
#: Straight pieces of a stroke.
_PIECES = 5
#: Standard deviations, as shares of the image, of how the points of a stroke move between hands, and each time.
_STYLE, _JITTER = 0.07, 0.03


def glyphs100(root: Draws = ROOT, counts: Mapping[str, int] = COUNTS, classes: int = CLASSES) -> Images:
    """4,000 images to train on by 20 hands, 1,000 for validation by five more, 2,000 held out by ten more.

    Args:
        root: decides everything, the characters too.
        counts: images per character of each part.
        classes: number of characters; fewer are the first of them.
    """
    splits = [_written(root, part, _HANDS[part], counts[part], classes) for part in SPLITS]
    return Images("glyphs100", classes, *splits)


def strokes(character: int, root: Draws = ROOT) -> Floats:
    """Points of a character's strokes in the unit square, float64[S, 3, 2]: begin, control point and end (x, y)."""
    draws = root.part("character", character)
    count = 2 + int(draws.integers(3))
    points = 0.15 + 0.7 * draws.integers(4, count, 3, 2) / 3.0
    return points + 0.06 * draws.normal(count, 3, 2)


def _written(root: Draws, part: str, hands: int, count: int, classes: int) -> Split:
    """``count`` images of every character, each by one of ``hands`` hands."""
    pens = root.part(part, "hands")
    slant, tall, wide = pens.normal(hands) * 0.18, pens.uniform(0.75, 1.0, hands), pens.uniform(0.7, 1.0, hands)
    width, turn = pens.uniform(0.45, 1.0, hands), pens.normal(hands) * 0.02
    images, labels = [], []
    for character in range(classes):
        draws = root.part(part, "character", character)
        points = strokes(character, root)
        styles = points + _STYLE * draws.normal(hands, *points.shape)
        hand: Integers = np.arange(count, dtype=np.int64) * hands // count
        drawn = styles[hand] + _JITTER * draws.normal(count, *points.shape) - 0.5
        x = drawn[..., 0] * wide[hand, None, None] - drawn[..., 1] * slant[hand, None, None]
        y = drawn[..., 1] * tall[hand, None, None]
        turned = (turn[hand] + 0.01 * draws.normal(count))[:, None, None]
        x, y = x * cosine(turned) - y * sine(turned), x * sine(turned) + y * cosine(turned)
        place = draws.uniform(-0.06, 0.06, 2, count, 1, 1)
        ink = draws.uniform(150.0, 255.0, count, 1, 1)
        covered = _covered(np.stack([x + place[0], y + place[1]], axis=-1) + 0.5, width[hand])
        noise = 12.0 * draws.normal(count, SIZE, SIZE)
        images.append(to_bytes(covered * ink + noise))
        labels += [character] * count
    order = root.part(part, "order").order(len(labels))
    return Split(np.concatenate(images)[order][..., None], np.array(labels, np.int64)[order])


def _covered(points: Floats, width: Floats) -> Floats:
    """How much of each pixel the strokes cover, float64[N, SIZE, SIZE] in 0 … 1.

    Args:
        points: float64[N, S, 3, 2], of quadratic Bézier curves, in units of the image's side.
        width: float64[N], half the width of the pen in pixels.
    """
    t = (np.arange(_PIECES + 1) / _PIECES)[:, None]
    begin, control, end = (points[:, :, number, None, :] for number in range(3))
    curve = begin * ((1 - t) * (1 - t)) + control * (2 * t * (1 - t)) + end * (t * t)
    curve = (curve * SIZE).reshape(len(points), -1, _PIECES + 1, 2)
    start = curve[:, :, :-1].reshape(len(points), -1, 1, 1, 2)
    step = curve[:, :, 1:].reshape(start.shape) - start
    middle = np.arange(SIZE) + 0.5
    right, down = middle[None, None, None, :] - start[..., 0], middle[None, None, :, None] - start[..., 1]
    length = np.maximum(step[..., 0] * step[..., 0] + step[..., 1] * step[..., 1], 1e-9)
    share = np.clip((right * step[..., 0] + down * step[..., 1]) / length, 0.0, 1.0)
    right, down = right - share * step[..., 0], down - share * step[..., 1]
    distance = np.sqrt((right * right + down * down).min(axis=1))
    covered: Floats = np.clip(width[:, None, None] + 0.5 - distance, 0.0, 1.0)
    return covered
