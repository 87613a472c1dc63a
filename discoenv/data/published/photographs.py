"""Photographs of many sizes: decoded to squares of one size, once."""

from __future__ import annotations

import contextlib
import io
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from discoenv.data.images import SPLITS, Bytes, Split
from discoenv.data.published.holdout import Holdout


def decode(content: bytes, size: int) -> Bytes:
    """An encoded picture as uint8[size, size, 3]: its shorter side is scaled to ``size``, its middle cut out."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as opened:
        picture = opened.convert("RGB")
    scale = size / min(picture.size)
    width, height = (max(size, round(side * scale)) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(picture.crop((left, top, left + size, top + size)))


def read_pictures(path: Path, size: int, part: str = "") -> Iterator[tuple[str, Bytes]]:
    """Names within the archive (.tar, .tgz, .zip) and pixels of all JPEG files, decoded one at a time.

    Args:
        path: the archive.
        size: to which they are scaled, see :func:`decode`.
        part: only files with this text in their names are read.
    """

    def wanted(name: str) -> bool:
        return part in name and name.lower().endswith((".jpg", ".jpeg"))

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as pack:
            for name in filter(wanted, pack.namelist()):
                yield name, decode(pack.read(name), size)
        return
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if wanted(member.name) else None
            if file is not None:
                yield member.name, decode(file.read(), size)


def stacked(pictures: Iterable[tuple[Bytes, int]]) -> Split:
    """Pictures of one size with their labels."""
    images, labels = zip(*pictures, strict=True)
    return Split(np.stack(images), np.array(labels, np.int64))


def kept(
    make: Callable[[Path, Holdout, int], tuple[Split, Split, Split]], folder: Path, holdout: Holdout, size: int | None
) -> tuple[Split, Split, Split]:
    """What ``make(folder, holdout, size)`` decodes: the splits train, validation and test.

    Decoding takes minutes, so the arrays are kept in ``folder``, and later only those images are read that are used.

    Raises:
        ValueError: ``size`` is None.
    """
    if size is None:
        raise ValueError("photographs have many sizes: pass the size in pixels that they are to be scaled to")
    place = folder / f"decoded-{size}-{holdout}"
    try:
        return _mapped(place)
    except OSError:
        splits = make(folder, holdout, size)
    with contextlib.suppress(OSError):  # no place to write to, or another process was faster
        temporary = Path(tempfile.mkdtemp(prefix=".decoding-", dir=folder))
        try:
            for part, split in zip(SPLITS, splits, strict=True):
                np.save(temporary / f"{part}_x.npy", split.x)
                np.save(temporary / f"{part}_y.npy", split.y)
            temporary.chmod(0o755)
            temporary.replace(place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return _mapped(place)
    return splits


def _mapped(place: Path) -> tuple[Split, Split, Split]:
    """The arrays that are kept in a folder; images are read as they are used."""
    train, validation, test = (
        Split(np.load(place / f"{part}_x.npy", mmap_mode="r"), np.load(place / f"{part}_y.npy").astype(np.int64))
        for part in SPLITS
    )
    return train, validation, test
