"""Readers of the files in which published image sets are distributed.

Pickled files are read without running anything that they name.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Labels = np.ndarray[Any, np.dtype[np.int64]]


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


def read_cifar(path: Path, members: tuple[str, ...], labels: str) -> tuple[Bytes, Labels]:
    """Images uint8[N, 32, 32, 3] and classes of batches in the Python version of CIFAR-10 or CIFAR-100.

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
    pixels = np.concatenate([found[name][b"data"] for name in members])
    classes = np.concatenate([found[name][labels.encode()] for name in members]).astype(np.int64)
    return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), classes


def map_npy(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The .npy files of an uncompressed .tar, by name without suffix, mapped from where they are and not read.

    Raises:
        ValueError: one of them is not a plain array in C order.
    """
    found: dict[str, np.ndarray[Any, Any]] = {}
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".npy") else None
            if file is None:
                continue
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, transposed, dtype = read(file)
            if transposed or dtype.hasobject:
                raise ValueError(f"{path}: {member.name} is not a plain array in C order")
            found[Path(member.name).stem] = np.memmap(path, dtype, "r", member.offset_data + file.tell(), shape)
    return found


def decoded(content: bytes, size: int) -> Bytes:
    """An encoded picture as uint8[size, size, 3]: its shorter side is scaled to ``size``, its middle cut out."""
    from PIL import Image  # noqa: PLC0415 - only photographs need it

    with Image.open(io.BytesIO(content)) as opened:
        picture = opened.convert("RGB")
    scale = size / min(picture.size)
    width, height = (max(size, round(side * scale)) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(picture.crop((left, top, left + size, top + size)))


def read_pictures(path: Path, size: int) -> Iterator[tuple[str, Bytes]]:
    """Names within the archive (.tar, .tgz, .zip) and pixels of all JPEG files, decoded one at a time."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as pack:
            for name in pack.namelist():
                if name.lower().endswith((".jpg", ".jpeg")):
                    yield name, decoded(pack.read(name), size)
        return
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.lower().endswith((".jpg", ".jpeg")) else None
            if file is not None:
                yield member.name, decoded(file.read(), size)


def read_mat(content: Path | bytes) -> dict[str, Any]:
    """The variables of a MATLAB file, arrays of length one reduced to their content."""
    from scipy.io import loadmat  # noqa: PLC0415 - only two sets need it

    source = io.BytesIO(content) if isinstance(content, bytes) else content
    variables: dict[str, Any] = loadmat(source, squeeze_me=True)
    return variables


def read_member(path: Path, name: str) -> bytes:
    """One file of an archive (.tar, .tgz, .zip), by the end of its path.

    Raises:
        ValueError: there is none.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as pack:
            for each in pack.namelist():
                if each.endswith(name):
                    return pack.read(each)
    else:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name.endswith(name) else None
                if file is not None:
                    return file.read()
    raise ValueError(f"{path} lacks {name}")
