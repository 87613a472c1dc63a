"""Image sets that have been downloaded: MNIST, CIFAR-100 and Tiny ImageNet, read from the files as they are published.

The last images of each class that are there to train on are used for validation.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.data.generated import Images, Split
from discoenv.data.published.idx import read_idx

#: Share of the training images that are for validation.
VALIDATION = 0.1

IntArray = np.ndarray[Any, np.dtype[np.int64]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def load(name: str, folder: Path) -> Images:
    """The image set of which the files are in ``folder``.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: there is no such set, or a file is damaged.
    """
    if name not in READERS:
        raise ValueError(f"IMAGES: {name!r} is none of {', '.join(READERS)}")
    return READERS[name](folder)


def _images(name: str, training: tuple[Bytes, IntArray], test: tuple[Bytes, IntArray]) -> Images:
    x, y = training
    validation = np.zeros(len(y), bool)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        validation[rows[len(rows) - max(1, int(VALIDATION * len(rows))) :]] = True
    return Images(
        name, int(y.max()) + 1, Split(x[~validation], y[~validation]), Split(x[validation], y[validation]), Split(*test)
    )


def _mnist(folder: Path) -> Images:
    """MNIST (LeCun et al. 1998), 28 × 28, grey."""
    parts = []
    for part in ("train", "t10k"):
        pixels, labels = (read_idx(folder / f"{part}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
        parts.append((pixels[..., None], labels.astype(np.int64)))
    return _images("mnist", *parts)


def _cifar100(folder: Path) -> Images:
    """CIFAR-100 (Krizhevsky 2009), its binary version, 32 × 32 in colour, 100 fine classes."""
    path = folder / "cifar-100-binary.tar.gz"
    record = 2 + 3 * 32 * 32  # coarse label, fine label, and the red, green and blue planes
    parts = []
    with tarfile.open(path) as archive:
        for part in ("train", "test"):
            member = archive.extractfile(f"cifar-100-binary/{part}.bin")
            content = member.read() if member else b""
            if not content or len(content) % record:
                raise ValueError(f"{path}: {part}.bin holds {len(content)} bytes, no whole number of records")
            records = np.frombuffer(content, np.uint8).reshape(-1, record)
            pixels = records[:, 2:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            parts.append((np.ascontiguousarray(pixels), records[:, 1].astype(np.int64)))
    return _images("cifar100", *parts)


def _tiny_imagenet(folder: Path) -> Images:
    """Tiny ImageNet (Stanford CS231n 2015), 64 × 64 in colour, 200 classes; its validation part is what is held out."""
    path = folder / "tiny-imagenet-200.zip"
    root = "tiny-imagenet-200"
    with zipfile.ZipFile(path) as archive:
        classes = {name: number for number, name in enumerate(archive.read(f"{root}/wnids.txt").decode().split())}
        training = sorted(
            (name, classes[name.split("/")[2]])
            for name in archive.namelist()
            if name.startswith(f"{root}/train/") and name.endswith(".JPEG")
        )
        lines = archive.read(f"{root}/val/val_annotations.txt").decode().splitlines()
        test = sorted((f"{root}/val/images/{line.split()[0]}", classes[line.split()[1]]) for line in lines if line)
        parts = [
            (np.stack([_decoded(archive.read(name)) for name, _ in part]), np.array([label for _, label in part]))
            for part in (training, test)
        ]
    return _images("tiny_imagenet", *parts)


def _decoded(content: bytes) -> Bytes:
    from PIL import Image  # noqa: PLC0415 - only this set needs it

    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


READERS: Mapping[str, Callable[[Path], Images]] = {
    "mnist": _mnist,
    "cifar100": _cifar100,
    "tiny_imagenet": _tiny_imagenet,
}
