"""Streams of experiences: permuted, rotated, or split image sets. Orders, permutations, angles are always the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.data import sets
from discoenv.data.images import Bytes, Images, Split
from discoenv.data.published.holdout import Holdout

#: Of a published set's training images, the last tenth of each class is for validation.
_HOLDOUT = Holdout(share=0.1, choose="last")
#: Seeds of ``numpy.random.RandomState``, which will never change; the first plus the number of the experience.
PERMUTATION_SEED = 17
CLASS_ORDER_SEED = 23
#: Degrees between one experience and the next of a rotated stream.
ROTATION_STEP = 18
#: Bilinear weights are multiples of one over this; whole numbers come out alike on all machines.
_WEIGHT = 256


@dataclass(frozen=True)
class Experience:
    """What one experience brings.

    Attributes:
        train, validation: what the learner gets.
        probe: held-out images that the learner is asked about while the stream goes on.
        test: other held-out images, that it is asked about when the stream has ended.
    """

    train: Split
    validation: Split
    probe: Split
    test: Split


def sample(config: Mapping[str, Any], folder: Path | None, generator: np.random.Generator) -> list[Experience]:
    """The experiences of an exam.

    Args:
        config: the dataset's configuration: IMAGES, STREAM, TASKS and the numbers of samples.
        folder: where its downloaded files are, if it has any.
        generator: chooses which images are in which part of an experience, and their order.

    Raises:
        FileNotFoundError: the files of a published set have not been fetched.
        ValueError: the set has fewer images than the configuration asks for, or they have another shape.
    """
    images = sets.load(config["IMAGES"], folder, holdout=_HOLDOUT, size=config["IMAGE_SHAPE"][0])
    views = VIEWS[config["STREAM"]](images, config["TASKS"], config["CLASSES"])
    held_out = generator.permutation(len(images.test))
    experiences = []
    for task, view in enumerate(views):
        train, validation = view(images.train), view(images.validation)
        chosen = held_out[np.isin(held_out, view.rows(images.test))]
        probe, test = np.split(chosen[: config["PROBE_SAMPLES"] + config["TEST_SAMPLES"]], [config["PROBE_SAMPLES"]])
        experience = Experience(
            train=_some(train, config["TRAIN_SAMPLES"], generator),
            validation=_some(validation, config["VALIDATION_SAMPLES"], generator),
            probe=view(images.test, probe),
            test=view(images.test, test),
        )
        _check(experience, config, task)
        experiences.append(experience)
    return experiences


def _some(split: Split, count: int, generator: np.random.Generator) -> Split:
    """``count`` images, in random order, of all classes alike as far as there are enough."""
    order = generator.permutation(len(split))
    rank = np.zeros(len(split), np.int64)
    for label in np.unique(split.y):
        members = order[split.y[order] == label]
        rank[members] = np.arange(len(members))
    chosen = order[np.argsort(rank[order], kind="stable")[:count]]
    return split.take(generator.permutation(chosen))


def _check(experience: Experience, config: Mapping[str, Any], task: int) -> None:
    for name, split in vars(experience).items():
        wanted = (config[f"{name.upper()}_SAMPLES"], *config["IMAGE_SHAPE"])
        if split.x.shape != wanted:
            raise ValueError(f"experience {task}: {name} has images {split.x.shape}, not {wanted}, as configured")


class _View:
    """How an experience sees the images of a part; ``change`` maps uint8[N, H, W, C] to what is seen of them."""

    def __init__(self, change: Callable[[Bytes], Bytes]) -> None:
        self._change = change

    def rows(self, split: Split) -> np.ndarray[Any, Any]:
        """Rows of the images that it sees."""
        return np.arange(len(split))

    def labels(self, y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """What it calls the classes ``y``."""
        return y.copy()

    def __call__(self, split: Split, rows: Any = None) -> Split:
        rows = self.rows(split) if rows is None else rows
        return Split(self._change(split.x[rows]), self.labels(split.y[rows]))


class _Classes(_View):
    """An experience that sees images of some classes only, which it numbers from ``first`` on."""

    def __init__(self, classes: np.ndarray[Any, Any], first: int) -> None:
        super().__init__(np.copy)
        self._classes = classes
        self._first = first

    def rows(self, split: Split) -> np.ndarray[Any, Any]:
        return np.flatnonzero(np.isin(split.y, self._classes))

    def labels(self, y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        order = np.argsort(self._classes)
        return (self._first + order[np.searchsorted(self._classes, y, sorter=order)]).astype(np.int64)


def permutations(pixels: int, tasks: int) -> np.ndarray[Any, Any]:
    """The order of the pixels in each experience, int64[tasks, pixels]; the first is permuted as well."""
    return np.array([np.random.RandomState(PERMUTATION_SEED + task).permutation(pixels) for task in range(tasks)])


def class_order(classes: int) -> np.ndarray[Any, Any]:
    """The order in which classes come, int64[classes]."""
    return np.random.RandomState(CLASS_ORDER_SEED).permutation(classes)


def rotated(images: Bytes, degrees: int) -> Bytes:
    """Images uint8[N, H, W, C] on a canvas half as large again, turned anticlockwise about its middle.

    Bilinear, in whole numbers. Returns uint8[N, H', W', C].
    """
    count, height, width, channels = images.shape
    size = max(height, width) * 3 // 2
    top, left = (size - height) // 2, (size - width) // 2
    canvas = np.zeros((count, size + 2, size + 2, channels), np.int64)  # one more pixel on each side
    canvas[:, top + 1 : top + 1 + height, left + 1 : left + 1 + width] = images
    sine, cosine = (round(_WEIGHT * f(math.radians(degrees))) for f in (math.sin, math.cos))
    twice = 2 * np.arange(size) - (size - 1)  # twice the distance from the middle
    y, x = twice[:, None], twice[None, :]
    rows, columns = sine * x + cosine * y, cosine * x - sine * y  # in units of 1 / (2 * _WEIGHT) from the middle
    found = np.zeros((count, size, size, channels), np.int64)
    (row, down), (column, right) = (
        np.divmod(position + (size - 1 + 2) * _WEIGHT, 2 * _WEIGHT) for position in (rows, columns)
    )
    for below, vertical in ((0, 2 * _WEIGHT - down), (1, down)):
        for beside, horizontal in ((0, 2 * _WEIGHT - right), (1, right)):
            places = np.clip(row + below, 0, size + 1), np.clip(column + beside, 0, size + 1)
            found += (vertical * horizontal)[None, :, :, None] * canvas[:, places[0], places[1]]
    whole = 4 * _WEIGHT**2
    return ((found + whole // 2) // whole).astype(np.uint8)


def _permuted(images: Images, tasks: int, classes: int) -> list[_View]:
    height, width, channels = images.shape

    def change(order: np.ndarray[Any, Any]) -> Callable[[Bytes], Bytes]:
        return lambda x: x.reshape(len(x), -1, channels)[:, order].reshape(x.shape)

    return [_View(change(order)) for order in permutations(height * width, tasks)]


def _rotations(images: Images, tasks: int, classes: int) -> list[_View]:
    def change(degrees: int) -> Callable[[Bytes], Bytes]:
        return lambda x: rotated(x, degrees)

    return [_View(change(ROTATION_STEP * task)) for task in range(tasks)]


def _split(images: Images, tasks: int, classes: int) -> list[_View]:
    """The first ``classes`` in the order of classes, which are their new numbers."""
    if classes % tasks or classes > images.classes:
        raise ValueError(f"{tasks} experiences cannot share {classes} of the {images.classes} classes of {images.name}")
    parts = class_order(images.classes)[:classes].reshape(tasks, -1)
    return [_Classes(part, task * len(part)) for task, part in enumerate(parts)]


#: Kinds of streams: the first two change the images (domain-incremental), the last brings classes (class-incremental).
VIEWS: Mapping[str, Callable[[Images, int, int], list[_View]]] = {
    "permuted": _permuted,
    "rotated": _rotations,
    "split": _split,
}
