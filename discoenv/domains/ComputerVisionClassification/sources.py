"""Where a dataset's images come from: sets that need no network, and published ones once they have been fetched."""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

from discoenv.data import generated
from discoenv.data.generated import Images, Split, long_tail
from discoenv.data.generated.exact import Draws
from discoenv.data.images import SPLITS
from discoenv.data.published.archives import Bytes, Labels, map_npy, read_cifar, read_mat, read_member, read_pictures
from discoenv.data.published.idx import read_idx

#: Share of the training images that is set aside for validation where a set has no part for it.
_VALIDATION: Final = 0.1
#: Most frequent over rarest class of CIFAR10LT.
_IMBALANCE: Final = 10
#: Held-out images of each corruption and severity of CIFAR-10-C (there are 10,000).
_CORRUPTED: Final = 200


def load(name: str, folder: Path | None, size: int) -> Images:
    """The images called ``name`` in a configuration (IMAGES).

    Args:
        name: of a published set, or one of :mod:`discoenv.data.generated`.
        folder: where the files of a published set are.
        size: to which photographs are scaled, in pixels.

    Raises:
        FileNotFoundError: the set has not been fetched.
        ValueError: there is no such set, or a file is not what it should be.
    """
    if name not in PUBLISHED:
        return generated.load(name)
    if folder is None:
        raise FileNotFoundError(f"the files of {name} have not been fetched")
    return _published(name, folder, size)


@functools.lru_cache(maxsize=2)
def _published(name: str, folder: Path, size: int) -> Images:
    return PUBLISHED[name](folder, size)


def _held_out(images: Bytes, labels: Labels, share: float = _VALIDATION) -> tuple[Split, Split]:
    """The images in random order, without and with those that are set aside; the same at every call."""
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(labels))
    count = round(share * len(labels))
    return Split(images[order[count:]], labels[order[count:]]), Split(images[order[:count]], labels[order[:count]])


def _idx(name: str, folder: Path) -> Images:
    images, test_images = (read_idx(folder / f"{part}-images-idx3-ubyte.gz")[..., None] for part in ("train", "t10k"))
    labels, test_labels = (read_idx(folder / f"{part}-labels-idx1-ubyte.gz") for part in ("train", "t10k"))
    test = Split(test_images.copy(), test_labels.astype(np.int64))
    return Images(name, 10, *_held_out(images, labels.astype(np.int64)), test)


_CIFAR10: Final = tuple(f"data_batch_{number}" for number in range(1, 6))


def _cifar10(folder: Path) -> tuple[Split, Split]:
    """Training images and held-out images."""
    path = folder / "cifar-10-python.tar.gz"
    return Split(*read_cifar(path, _CIFAR10, "labels")), Split(*read_cifar(path, ("test_batch",), "labels"))


def cifar10(folder: Path, size: int) -> Images:
    """CIFAR-10 (Krizhevsky 2009)."""
    train, test = _cifar10(folder)
    return Images("cifar10", 10, *_held_out(train.x, train.y), test)


def cifar10_lt(folder: Path, size: int) -> Images:
    """CIFAR-10 with training classes of 5,000 to 500 images; the held-out images are balanced."""
    train, test = _cifar10(folder)
    thin = long_tail.thin(train, 10, _IMBALANCE, Draws("cifar10_lt"))
    return Images("cifar10_lt", 10, *_held_out(thin.x, thin.y), test)


def cifar10_c(folder: Path, size: int) -> Images:
    """Clean CIFAR-10 to train on, CIFAR-10-C (Hendrycks & Dietterich 2019) held out: 19 corruptions, five severities.

    A fixed random part of the held-out images is used, equally many of each corruption and severity.
    """
    train, _ = _cifar10(folder)
    arrays = map_npy(folder / "CIFAR-10-C.tar")
    labels = np.asarray(arrays.pop("labels"))
    generator = np.random.Generator(np.random.PCG64(1))
    per_severity = len(labels) // 5
    images, classes = [], []
    for name in sorted(arrays):
        for severity in range(5):
            count = min(_CORRUPTED, per_severity)
            rows = np.sort(generator.choice(per_severity, count, replace=False)) + severity * per_severity
            images.append(np.asarray(arrays[name][rows]))
            classes.append(labels[rows])
    test = Split(np.concatenate(images), np.concatenate(classes).astype(np.int64))
    return Images("cifar10_c", 10, *_held_out(train.x, train.y), test)


def cifar100(folder: Path, size: int) -> Images:
    """CIFAR-100 with its fine classes (Krizhevsky 2009)."""
    path = folder / "cifar-100-python.tar.gz"
    train, test = (read_cifar(path, (member,), "fine_labels") for member in ("train", "test"))
    return Images("cifar100", 100, *_held_out(*train), Split(*test))


def _kept(make: Callable[[Path, int], dict[str, np.ndarray[Any, Any]]], folder: Path, size: int) -> list[Split]:
    """Splits train, validation and test of decoded photographs; decoding takes minutes, so the arrays are kept."""
    place = folder / f"decoded-{size}"
    try:
        return _mapped(place)
    except OSError:
        arrays = make(folder, size)
    with contextlib.suppress(OSError):  # no place to write to, or another process was faster
        temporary = Path(tempfile.mkdtemp(prefix=".decoding-", dir=folder))
        try:
            for name, values in arrays.items():
                np.save(temporary / f"{name}.npy", values)
            temporary.chmod(0o755)
            temporary.replace(place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return _mapped(place)
    return [Split(arrays[f"{part}_x"], arrays[f"{part}_y"]) for part in SPLITS]


def _mapped(place: Path) -> list[Split]:
    """The arrays that are kept in a folder; images are read as they are used."""
    return [
        Split(np.load(place / f"{part}_x.npy", mmap_mode="r"), np.load(place / f"{part}_y.npy").astype(np.int64))
        for part in SPLITS
    ]


def _stacked(pictures: Iterable[tuple[Bytes, int]], part: str) -> dict[str, np.ndarray[Any, Any]]:
    images, labels = zip(*pictures, strict=True)
    return {f"{part}_x": np.stack(images), f"{part}_y": np.array(labels, np.int64)}


def flowers(folder: Path, size: int) -> Images:
    """The 102 flowers of Nilsback & Zisserman (2008), with its smallest part held out and its largest to train on."""

    def make(folder: Path, size: int) -> dict[str, np.ndarray[Any, Any]]:
        labels = np.atleast_1d(read_mat(folder / "imagelabels.mat")["labels"]).astype(np.int64) - 1
        numbers = read_mat(folder / "setid.mat")
        pictures = {int(Path(name).stem[-5:]): x for name, x in read_pictures(folder / "102flowers.tgz", size)}
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for part, key in (("train", "tstid"), ("validation", "valid"), ("test", "trnid")):
            arrays |= _stacked(((pictures[int(n)], labels[int(n) - 1]) for n in np.atleast_1d(numbers[key])), part)
        return arrays

    return Images("flowers", 102, *_kept(make, folder, size))


def cars(folder: Path, size: int) -> Images:
    """The 196 models of cars of Krause et al. (2013), whole photographs."""

    def make(folder: Path, size: int) -> dict[str, np.ndarray[Any, Any]]:
        annotations = {
            "train": read_member(folder / "car_devkit.tgz", "cars_train_annos.mat"),
            "test": (folder / "cars_test_annos_withlabels.mat").read_bytes(),
        }
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for part, content in annotations.items():
            entries = np.atleast_1d(read_mat(content)["annotations"])
            classes = {str(entry["fname"]): int(entry["class"]) - 1 for entry in entries}
            pictures = read_pictures(folder / f"cars_{part}.tgz", size)
            arrays |= _stacked(((x, classes[Path(name).name]) for name, x in pictures), part)
        train, validation = _held_out(arrays["train_x"], arrays["train_y"])
        return arrays | {
            "train_x": train.x, "train_y": train.y, "validation_x": validation.x, "validation_y": validation.y,
        }  # fmt: skip

    return Images("cars", 196, *_kept(make, folder, size))


def tiny_imagenet(folder: Path, size: int) -> Images:
    """200 classes of ImageNet (Le & Yang 2015). Its validation part is held out, for its test part has no labels."""

    def make(folder: Path, size: int) -> dict[str, np.ndarray[Any, Any]]:
        path = folder / "tiny-imagenet-200.zip"
        numbers = {name: label for label, name in enumerate(read_member(path, "/wnids.txt").decode().split())}
        lines = read_member(path, "val/val_annotations.txt").decode().splitlines()
        held_out = {line.split("\t")[0]: numbers[line.split("\t")[1]] for line in lines if line}
        found: dict[str, list[tuple[Bytes, int]]] = {"train": [], "test": []}
        for name, x in read_pictures(path, size):
            file = Path(name)
            if "/val/" in name:
                found["test"].append((x, held_out[file.name]))
            elif "/train/" in name:
                found["train"].append((x, numbers[file.parts[-3]]))
        arrays = _stacked(found["train"], "train") | _stacked(found["test"], "test")
        train, validation = _held_out(arrays["train_x"], arrays["train_y"])
        return arrays | {
            "train_x": train.x, "train_y": train.y, "validation_x": validation.x, "validation_y": validation.y,
        }  # fmt: skip

    return Images("tiny_imagenet", 200, *_kept(make, folder, size))


PUBLISHED: Final[dict[str, Callable[[Path, int], Images]]] = {
    "mnist": lambda folder, size: _idx("mnist", folder),
    "fashion_mnist": lambda folder, size: _idx("fashion_mnist", folder),
    "cifar10": cifar10,
    "cifar10_lt": cifar10_lt,
    "cifar10_c": cifar10_c,
    "cifar100": cifar100,
    "flowers": flowers,
    "cars": cars,
    "tiny_imagenet": tiny_imagenet,
}
