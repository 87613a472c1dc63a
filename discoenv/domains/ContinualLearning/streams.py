"""Streams of experiences: permuted, rotated, or split image sets, drawn anew for each exam."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.data import generated, sets
from discoenv.data.altered import altered
from discoenv.data.images import Bytes, Images, Split
from discoenv.data.published.holdout import Holdout

#: Of a published set's training images, the last tenth of each class is for validation.
_HOLDOUT = Holdout(share=0.1, choose="last")
#: Degrees between one experience and the next of a rotated stream, least and most.
ROTATION_STEPS = (14, 22)
#: Sets whose classes are invented for each exam. The images of others are published; they are altered.
_INVENTED = frozenset(generated.COUNTS)
#: Bilinear weights are multiples of one over this; whole numbers come out alike on all machines.
_WEIGHT = 256

#: A generator for a purpose, independent of those for others.
Generators = Callable[[str], np.random.Generator]
Integers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Experience:
    """What one experience brings.

    Attributes:
        train, validation: what the learner gets.
        probe: held-out images that are asked about while the stream goes on.
        test: other held-out images, that are asked about when the stream has ended.
    """

    train: Split
    validation: Split
    probe: Split
    test: Split


def sample(config: Mapping[str, Any], folder: Path | None, generators: Generators) -> list[Experience]:
    """The experiences of an exam.

    Args:
        config: the dataset's configuration: IMAGES, STREAM, TASKS and the numbers of samples.
        folder: where its downloaded files are, if it has any.
        generators: decide everything that is drawn. What a learner sees comes from others than what it does not.

    Raises:
        FileNotFoundError: the files of a published set have not been fetched.
        ValueError: the set has fewer images than the configuration asks for, or they have another shape.
    """
    images = _images(config, folder, generators("images"))
    views = VIEWS[config["STREAM"]](images, config["TASKS"], config["CLASSES"], generators)
    change = (lambda split, purpose: split) if config["IMAGES"] in _INVENTED else _altered(generators)
    held_out = generators("held-out").permutation(len(images.test))
    experiences = []
    for task, view in enumerate(views):
        chosen = held_out[np.isin(held_out, view.rows(images.test))]
        probe, test = np.split(chosen[: config["PROBE_SAMPLES"] + config["TEST_SAMPLES"]], [config["PROBE_SAMPLES"]])
        parts = {
            "train": (images.train, _some(images.train, view, config["TRAIN_SAMPLES"], generators(f"train {task}"))),
            "validation": (
                images.validation,
                _some(images.validation, view, config["VALIDATION_SAMPLES"], generators(f"validation {task}")),
            ),
            "probe": (images.test, probe),
            "test": (images.test, test),
        }
        experience = Experience(
            **{name: view(change(split.take(rows), f"altered {name} {task}")) for name, (split, rows) in parts.items()}
        )
        _check(experience, config, task)
        experiences.append(experience)
    return experiences


def _images(config: Mapping[str, Any], folder: Path | None, generator: np.random.Generator) -> Images:
    """The image set that the stream is made of; one that is generated is generated for this exam."""
    name, classes = config["IMAGES"], config["CLASSES"]
    if name not in generated.GENERATORS:
        return sets.load(name, folder, holdout=_HOLDOUT, size=config["IMAGE_SHAPE"][0])
    tasks = config["TASKS"] if config["STREAM"] == "split" else 1
    held_out = config["PROBE_SAMPLES"] + config["TEST_SAMPLES"]
    needed = {"train": config["TRAIN_SAMPLES"], "validation": config["VALIDATION_SAMPLES"], "test": held_out}
    most = {part: tasks * count for part, count in needed.items()}
    return generated.draw(name, int(generator.integers(2**63)), most, classes=classes)


def _altered(generators: Generators) -> Callable[[Split, str], Split]:
    return lambda split, purpose: altered(split, generators(purpose))


def _some(split: Split, view: _View, count: int, generator: np.random.Generator) -> Integers:
    """Rows of ``count`` images that an experience sees, in random order, of all classes as evenly as possible."""
    order = generator.permutation(view.rows(split))
    rank = np.zeros(len(split), np.int64)
    for label in np.unique(split.y[order]):
        members = order[split.y[order] == label]
        rank[members] = np.arange(len(members))
    return generator.permutation(order[np.argsort(rank[order], kind="stable")[:count]])


def _check(experience: Experience, config: Mapping[str, Any], task: int) -> None:
    for name, split in vars(experience).items():
        wanted = (config[f"{name.upper()}_SAMPLES"], *config["IMAGE_SHAPE"])
        if split.x.shape != wanted:
            raise ValueError(f"experience {task}: {name} has images {split.x.shape}, not {wanted}, as configured")


class _View:
    """How an experience sees images; ``change`` maps uint8[N, H, W, C] to what is seen of them."""

    def __init__(self, change: Callable[[Bytes], Bytes]) -> None:
        self._change = change

    def rows(self, split: Split) -> Integers:
        """Rows of the images that it sees."""
        return np.arange(len(split))

    def labels(self, y: Integers) -> Integers:
        """What it calls the classes ``y``."""
        return y.copy()

    def __call__(self, split: Split) -> Split:
        """Images as it sees them."""
        return Split(self._change(split.x), self.labels(split.y))


class _Classes(_View):
    """An experience that sees images of some classes only, which it numbers from ``first`` on."""

    def __init__(self, classes: Integers, first: int) -> None:
        super().__init__(np.copy)
        self._classes = classes
        self._first = first

    def rows(self, split: Split) -> Integers:
        return np.flatnonzero(np.isin(split.y, self._classes))

    def labels(self, y: Integers) -> Integers:
        order = np.argsort(self._classes)
        return (self._first + order[np.searchsorted(self._classes, y, sorter=order)]).astype(np.int64)


def permutations(pixels: int, tasks: int, generators: Generators) -> list[Integers]:
    """The order of the pixels in each experience, int64[pixels]; the first is permuted as well."""
    return [generators(f"permutation {task}").permutation(pixels) for task in range(tasks)]


def class_order(classes: int, generators: Generators) -> Integers:
    """The order in which classes come, int64[classes]."""
    return generators("class order").permutation(classes)


def angles(tasks: int, generators: Generators) -> list[int]:
    """By how many degrees the images of each experience are turned.

    The first angle is any, and the others go on from it in one direction, in steps of random size.
    """
    generator = generators("angles")
    start, direction = generator.integers(360), generator.choice([-1, 1])
    steps = generator.integers(ROTATION_STEPS[0], ROTATION_STEPS[1] + 1, tasks)
    return [int(angle) % 360 for angle in start + direction * (np.cumsum(steps) - steps[0])]


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


def _permuted(images: Images, tasks: int, classes: int, generators: Generators) -> list[_View]:
    height, width, channels = images.shape

    def change(order: Integers) -> Callable[[Bytes], Bytes]:
        return lambda x: x.reshape(len(x), -1, channels)[:, order].reshape(x.shape)

    return [_View(change(order)) for order in permutations(height * width, tasks, generators)]


def _rotations(images: Images, tasks: int, classes: int, generators: Generators) -> list[_View]:
    def change(degrees: int) -> Callable[[Bytes], Bytes]:
        return lambda x: rotated(x, degrees)

    return [_View(change(degrees)) for degrees in angles(tasks, generators)]


def _split(images: Images, tasks: int, classes: int, generators: Generators) -> list[_View]:
    """The first ``classes`` in the order of classes, which are their new numbers."""
    if classes % tasks or classes > images.classes:
        raise ValueError(f"{tasks} experiences cannot share {classes} of the {images.classes} classes of {images.name}")
    parts = class_order(images.classes, generators)[:classes].reshape(tasks, -1)
    return [_Classes(part, task * len(part)) for task, part in enumerate(parts)]


#: Kinds of streams: the first two change the images (domain-incremental), the last brings classes (class-incremental).
VIEWS: Mapping[str, Callable[[Images, int, int, Generators], list[_View]]] = {
    "permuted": _permuted,
    "rotated": _rotations,
    "split": _split,
}
