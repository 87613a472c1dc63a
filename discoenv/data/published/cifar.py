"""CIFAR-10, two variants of it, and CIFAR-100 (Krizhevsky 2009), 32 × 32 pixels of colour, in their Python versions.

Their batches are pickled; they are read without running anything that they name.
"""

from __future__ import annotations

import pickle
import tarfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from discoenv.data.generated import long_tail
from discoenv.data.generated.exact import Draws
from discoenv.data.images import Images, Split
from discoenv.data.published.archives import map_npy
from discoenv.data.published.holdout import Holdout

#: Most frequent over rarest class of the long-tailed variant.
_IMBALANCE: Final = 10
#: Held-out images of each corruption and severity of CIFAR-10-C (there are 10,000).
_CORRUPTED: Final = 200
_BATCHES: Final = tuple(f"data_batch_{number}" for number in range(1, 6))
#: What a pickled array needs to be rebuilt, by the names that NumPy 1 and 2 give it.
_ALLOWED: Final = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"a batch of images may not name {module}.{name}") from None


def read_batches(path: Path, members: tuple[str, ...], labels: str) -> Split:
    """The images of some batches.

    Args:
        path: the .tar.gz.
        members: the batches, by their names without folder.
        labels: which of their entries holds the classes: ``labels``, ``fine_labels`` or ``coarse_labels``.

    Raises:
        ValueError: a batch is missing.
    """
    found: dict[str, dict[bytes, Any]] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = Path(member.name).name
            file = archive.extractfile(member) if name in members else None
            if file is not None:
                found[name] = _ArraysOnly(file, encoding="bytes").load()
    missing = set(members) - set(found)
    if missing:
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}")
    planes = np.concatenate([found[name][b"data"] for name in members])
    classes = np.concatenate([found[name][labels.encode()] for name in members]).astype(np.int64)
    return Split(np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), classes)


def cifar10(folder: Path, holdout: Holdout, size: int | None = None) -> Images:
    """50,000 images to train on, 10,000 held out."""
    return Images("cifar10", 10, *holdout.split(_cifar10(folder, _BATCHES)), _cifar10(folder, ("test_batch",)))


def cifar10_lt(folder: Path, holdout: Holdout, size: int | None = None) -> Images:
    """CIFAR-10 with training classes of 5,000 to 500 images (as Cui et al. 2019); the held-out images are balanced."""
    train = long_tail.thin(_cifar10(folder, _BATCHES), 10, _IMBALANCE, Draws("cifar10_lt"))
    return Images("cifar10_lt", 10, *holdout.split(train), _cifar10(folder, ("test_batch",)))


def cifar10_c(folder: Path, holdout: Holdout, size: int | None = None) -> Images:
    """Clean CIFAR-10 to train on, CIFAR-10-C (Hendrycks & Dietterich 2019) held out: 19 corruptions, five severities.

    A fixed random part of the held-out images is used, equally many of each corruption and severity.
    """
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
    return Images("cifar10_c", 10, *holdout.split(_cifar10(folder, _BATCHES)), test)


def cifar100(folder: Path, holdout: Holdout, size: int | None = None) -> Images:
    """50,000 images to train on, 10,000 held out, with their 100 fine classes."""
    path = folder / "cifar-100-python.tar.gz"
    train, test = (read_batches(path, (member,), "fine_labels") for member in ("train", "test"))
    return Images("cifar100", 100, *holdout.split(train), test)


def _cifar10(folder: Path, members: tuple[str, ...]) -> Split:
    return read_batches(folder / "cifar-10-python.tar.gz", members, "labels")
