"""Tiny ImageNet (Le & Yang 2015): 200 classes of ImageNet, 64 × 64 pixels of colour."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path

from discoenv.data.images import Images, Split
from discoenv.data.published.archives import read_member
from discoenv.data.published.holdout import Holdout
from discoenv.data.published.photographs import kept, read_pictures, stacked


def tiny_imagenet(folder: Path, holdout: Holdout, size: int | None = None) -> Images:
    """100,000 images to train on; the 10,000 of its validation part are held out, for its test part has no labels."""
    return Images("tiny_imagenet", 200, *kept(_decoded, folder, holdout, size or 64))


def _decoded(folder: Path, holdout: Holdout, size: int) -> tuple[Split, Split, Split]:
    """In the order of the images' names, class by class."""
    path = folder / "tiny-imagenet-200.zip"
    numbers = {name: label for label, name in enumerate(read_member(path, "/wnids.txt").decode().split())}
    lines = read_member(path, "val/val_annotations.txt").decode().splitlines()
    held_out = {line.split("\t")[0]: numbers[line.split("\t")[1]] for line in lines if line}

    def labelled(part: str, label: Callable[[Path], int]) -> Split:
        pictures = sorted(read_pictures(path, size, part), key=operator.itemgetter(0))
        return stacked((x, label(Path(name))) for name, x in pictures)

    train = labelled("/train/", lambda file: numbers[file.parts[-3]])
    return *holdout.split(train), labelled("/val/", lambda file: held_out[file.name])
