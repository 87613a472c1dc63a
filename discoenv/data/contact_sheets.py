"""Contact sheets: a few training images of some classes of an image set, side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from discoenv.data.generated import corruptions
from discoenv.data.generated.exact import Draws
from discoenv.data.generated.store import GENERATORS, load
from discoenv.data.images import Bytes, Images, Split
from discoenv.machine import atomic

#: Grey between images.
_GAP = 60


def sheet(split: Split, *, classes: int = 10, each: int = 5, scale: int = 2) -> Bytes:
    """An image, uint8[H, W, 3], that has a row for each of the first ``each`` images of a class, a column per class.

    Args:
        split: where they are from; of many classes, every nth is shown.
        classes, each: columns and rows.
        scale: pixels per pixel.
    """
    labels = np.unique(split.y)
    labels = labels[:: max(1, len(labels) // classes)][:classes]
    return columns([split.x[split.y == label][:each] for label in labels], scale=scale)


def columns(images: Sequence[Bytes], *, scale: int = 2) -> Bytes:
    """Columns of images, each uint8[N, h, w, 1 or 3], side by side: an image, uint8[H, W, 3]."""
    height, width = images[0].shape[1:3]
    rows = max(len(column) for column in images)
    made = np.full((rows * (height + 1) - 1, len(images) * (width + 1) - 1, 3), _GAP, np.uint8)
    for number, column in enumerate(images):
        for row, image in enumerate(column):
            top, left = row * (height + 1), number * (width + 1)
            made[top : top + height, left : left + width] = image
    return made.repeat(scale, axis=0).repeat(scale, axis=1)


def write(images: Images, path: Path) -> None:
    """The contact sheet of a set's training images as a small PNG, corrupted where the held-out images are."""
    shown = images.train
    if images.name.endswith("_c"):
        rows = [row for label in np.unique(shown.y) for row in np.flatnonzero(shown.y == label)[:2]]
        shown = corruptions.all_of(shown.take(rows), Draws("sheet"))
    write_png(sheet(shown, scale=max(1, 32 // images.shape[0])), path)


def write_png(pixels: Bytes, path: Path) -> None:
    """An image, uint8[H, W, 3], in 48 colours."""
    from PIL import Image  # comes with matplotlib, and only pictures need it

    file = io.BytesIO()
    Image.fromarray(pixels).quantize(48).save(file, "png", optimize=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(path, file.getvalue())


def write_all(folder: Path) -> list[Path]:
    """``samples.png`` for every dataset in ``folder`` whose ``config.yaml`` names one of our sets (IMAGES)."""
    made = []
    for path in sorted(folder.glob("*/config.yaml")):
        name = yaml.safe_load(path.read_text(encoding="utf-8")).get("all", {}).get("IMAGES")
        if name in GENERATORS:
            made.append(path.with_name("samples.png"))
            write(load(name), made[-1])
    return made
