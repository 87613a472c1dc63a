"""Tiny files in the formats in which published image sets are distributed."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

RNG = np.random.default_rng(0)


class Python2Pickler(pickle._Pickler):
    """Writes byte strings and arrays as Python 2 and NumPy 1 did."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)

    def save_text(self, text: Any) -> None:
        content = text if isinstance(text, bytes) else text.encode("latin1")
        self.write(b"T" + struct.pack("<i", len(content)) + content)  # type: ignore[attr-defined]
        self.memoize(text)  # type: ignore[attr-defined]

    def save_global(self, value: Any, name: str | None = None) -> None:
        module = value.__module__.replace("numpy._core", "numpy.core")
        self.write(f"c{module}\n{value.__name__}\n".encode())  # type: ignore[attr-defined]
        self.memoize(value)  # type: ignore[attr-defined]

    dispatch[bytes] = save_text
    dispatch[str] = save_text
    dispatch[type] = save_global
    dispatch[type(np.zeros(0).__reduce__()[0])] = save_global


def python2_pickle(value: Any) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue()


def pack(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def pixels(*shape: int) -> Any:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def jpeg(height: int, width: int, colour: tuple[int, int, int]) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "jpeg", quality=95)
    return file.getvalue()


def colour_of(label: int) -> tuple[int, int, int]:
    """A colour for each class, so that a picture shows its label."""
    return (40 + 7 * (label % 30), 60 + 25 * (label // 30), 128)


def idx(array: Any) -> bytes:
    header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes())


def mnist(folder: Path) -> None:
    for part, count in (("train", 60), ("t10k", 20)):
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(pixels(count, 28, 28)))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx((np.arange(count) % 10).astype(np.uint8)))


def cifar10(folder: Path, count: int = 20) -> None:
    members = {}
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        batch = {b"data": pixels(count, 3072), b"labels": [row % 10 for row in range(count)], b"batch_label": b"x"}
        members[f"cifar-10-batches-py/{name}"] = python2_pickle(batch)
    pack(folder / "cifar-10-python.tar.gz", {**members, "cifar-10-batches-py/readme.html": b"x"})


def cifar10_c(folder: Path) -> None:
    cifar10(folder)
    members = {}
    for name in ("brightness", "fog", "labels"):
        file = io.BytesIO()
        values = pixels(50, 32, 32, 3) if name != "labels" else np.tile(np.arange(10, dtype=np.uint8), 5)
        if name != "labels":
            values[:, 0, 0, 0] = np.arange(50)  # so that each image shows its row
        np.save(file, values)
        members[f"CIFAR-10-C/{name}.npy"] = file.getvalue()
    pack(folder / "CIFAR-10-C.tar", members, "w")


def cifar100(folder: Path, count: int = 200) -> None:
    members = {}
    for name, size in (("train", count), ("test", count // 2)):
        fine = [row % 100 for row in range(size)]
        batch = {b"data": pixels(size, 3072), b"fine_labels": fine, b"coarse_labels": [each // 5 for each in fine]}
        members[f"cifar-100-python/{name}"] = python2_pickle(batch)
    pack(folder / "cifar-100-python.tar.gz", members)


def flowers(folder: Path) -> None:
    from scipy.io import savemat

    labels = np.arange(30) % 10 + 1
    pack(
        folder / "102flowers.tgz",
        {f"jpg/image_{n + 1:05}.jpg": jpeg(50, 70, colour_of(int(label) - 1)) for n, label in enumerate(labels)},
    )
    savemat(folder / "imagelabels.mat", {"labels": labels[None]})
    numbers = np.arange(1, 31)
    savemat(
        folder / "setid.mat", {"trnid": numbers[None, :5], "valid": numbers[None, 5:12], "tstid": numbers[None, 12:]}
    )


def cars(folder: Path) -> None:
    from scipy.io import savemat

    annotations = {}
    for part, count in (("train", 20), ("test", 10)):
        labels = [row % 196 for row in range(count)]
        names = [f"{row + 1:05}.jpg" for row in range(count)]
        pack(
            folder / f"cars_{part}.tgz",
            {f"cars_{part}/{name}": jpeg(60, 80, colour_of(label)) for name, label in zip(names, labels, strict=True)},
        )
        entries = np.array(
            [(1, 1, 9, 9, label + 1, name) for name, label in zip(names, labels, strict=True)],
            [(field, object) for field in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")],
        )
        file = io.BytesIO()
        savemat(file, {"annotations": entries[None]})
        annotations[part] = file.getvalue()
    pack(folder / "car_devkit.tgz", {"devkit/README.txt": b"x", "devkit/cars_train_annos.mat": annotations["train"]})
    (folder / "cars_test_annos_withlabels.mat").write_bytes(annotations["test"])


def tiny_imagenet(folder: Path, classes: int = 4, each: int = 5, held_out: int = 1) -> None:
    """``each`` training images and ``held_out`` others of each class, which are not in order in the archive."""
    names = [f"n{number:08}" for number in range(classes)]
    root = "tiny-imagenet-200"
    with zipfile.ZipFile(folder / f"{root}.zip", "w") as archive:
        archive.writestr(f"{root}/wnids.txt", "\n".join(names) + "\n")
        lines = []
        for label, name in reversed(list(enumerate(names))):
            picture = jpeg(64, 64, colour_of(label))
            for number in range(each):
                archive.writestr(f"{root}/train/{name}/images/{name}_{number}.JPEG", picture)
            for number in range(label * held_out, (label + 1) * held_out):
                archive.writestr(f"{root}/val/images/val_{number}.JPEG", picture)
                lines.append(f"val_{number}.JPEG\t{name}\t0\t0\t9\t9")
        archive.writestr(f"{root}/test/images/test_0.JPEG", b"not read")
        archive.writestr(f"{root}/val/val_annotations.txt", "\n".join(lines) + "\n")


#: By image set: writes its files into a folder.
WRITERS: dict[str, Callable[[Path], None]] = {
    "mnist": mnist,
    "fashion_mnist": mnist,
    "cifar10": cifar10,
    "cifar10_lt": cifar10,
    "cifar10_c": cifar10_c,
    "cifar100": cifar100,
    "flowers": flowers,
    "cars": cars,
    "tiny_imagenet": tiny_imagenet,
}
