"""Two hundred textures: waves of several directions over a grain, in 20 × 20 pixels of colour.

A class fixes the waves' directions, lengths and strengths, the grain, and three colours out of a palette that all
classes share. Each image shows another place of it, turned and stretched a little, under another light.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from discoenv.data.generated.exact import Draws, Floats, cosine, sine, smooth, to_bytes
from discoenv.data.images import SPLITS, Images, Split

CLASSES = 200
SIZE = 20
ROOT = Draws("textures200")
COUNTS = {"train": 20, "validation": 5, "test": 10}
_WAVES = 3
#: Red, green, blue.
_PALETTE = np.array(
    [
        [200, 60, 50], [60, 130, 70], [50, 80, 180], [220, 190, 70],
        [120, 70, 140], [90, 170, 180], [40, 40, 45], [225, 220, 210],
    ],
    np.float64,
)  # fmt: skip


def textures200(root: Draws = ROOT, counts: Mapping[str, int] = COUNTS, classes: int = CLASSES) -> Images:
    """20 images of each of 200 classes to train on, 5 for validation, 10 held out.

    Args:
        root: decides everything, the classes too.
        counts: images per class of each part.
        classes: number of classes; fewer are the first of them.
    """
    return Images("textures200", classes, *(_photographed(root, part, counts[part], classes) for part in SPLITS))


def _photographed(root: Draws, part: str, count: int, classes: int) -> Split:
    kinds = [root.part("class", number) for number in range(classes)]
    images = [_texture(kind, root.part(part, number), count) for number, kind in enumerate(kinds)]
    labels = np.repeat(np.arange(classes, dtype=np.int64), count)
    order = root.part(part, "order").order(len(labels))
    return Split(np.concatenate(images)[order], labels[order])


def _texture(kind: Draws, draws: Draws, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """``count`` images of the class that ``kind`` decides."""
    direction, length = kind.uniform(0.0, 0.5, _WAVES), kind.uniform(2.5, 9.0, _WAVES)
    strength, bend = kind.uniform(0.3, 1.0, _WAVES), kind.uniform(0.0, 1.0, _WAVES)
    grain, coarse = 0.2 + 0.8 * float(kind.uniform(0.0, 1.0)), int(kind.integers(4))
    colours = _PALETTE[kind.order(len(_PALETTE))[:3]]

    turned = 0.04 * draws.normal(count)
    stretched = 1.0 + 0.15 * draws.normal(count)
    value: Floats = np.zeros((count, SIZE, SIZE))
    rows, columns = np.arange(SIZE, dtype=np.float64)[None, :, None], np.arange(SIZE, dtype=np.float64)[None, None, :]
    for wave in range(_WAVES):
        where = (direction[wave] + turned)[:, None, None]
        along = rows * sine(where) + columns * cosine(where)
        across = columns * sine(where) - rows * cosine(where)
        phase = draws.uniform(0.0, 1.0, 2, count, 1, 1)
        period = (length[wave] * stretched)[:, None, None]
        value += strength[wave] * sine(along / period + phase[0] + 0.3 * bend[wave] * sine(across / 14.0 + phase[1]))
    field = smooth(draws.normal(count, SIZE, SIZE), coarse)
    value += grain * (1.0, 1.6, 2.1, 2.5)[coarse] * field  # about the same strength, however coarse
    share = np.clip(value * 0.35 + 0.5, 0.0, 1.0)[..., None]
    first, second = np.clip(share * 2, 0.0, 1.0), np.clip(share * 2 - 1, 0.0, 1.0)
    colour = colours[0] + first * (colours[1] - colours[0]) + second * (colours[2] - colours[1])
    light = draws.uniform(0.5, 1.2, count, 1, 1, 1) * (1.0 + 0.15 * draws.normal(count, 1, 1, 3))
    return to_bytes(colour * light + 20.0 * draws.normal(count, SIZE, SIZE, 3))
