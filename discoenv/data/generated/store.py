"""Image sets are generated once, checked against their known digests, and kept in the user's cache."""

from __future__ import annotations

import contextlib
import functools
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from discoenv.data.generated import digits, flowers, glyphs, shapes, textures
from discoenv.data.generated.exact import FastDraws
from discoenv.data.images import SPLITS, Images, Split
from discoenv.errors import WrongData
from discoenv.machine import atomic, cache

GENERATORS: Final[dict[str, Callable[..., Images]]] = {
    "digits": digits.digits,
    "digits_lt": digits.digits_lt,
    "digits_c": digits.digits_c,
    "glyphs100": glyphs.glyphs100,
    "shapes10": shapes.shapes10,
    "flowers60": flowers.flowers60,
    "textures200": textures.textures200,
}

#: Images per class of each part of the sets whose classes are invented; there can be fewer.
COUNTS: Final[dict[str, Mapping[str, int]]] = {
    "glyphs100": glyphs.COUNTS,
    "shapes10": shapes.COUNTS,
    "flowers60": flowers.COUNTS,
    "textures200": textures.COUNTS,
}

_CLASSES: Final = {
    "glyphs100": glyphs.CLASSES,
    "shapes10": len(shapes.CLASSES),
    "flowers60": flowers.CLASSES,
    "textures200": textures.CLASSES,
}

#: SHA-256 of every set, see :meth:`Images.digest`; ``python -m discoenv.data digests`` prints them.
DIGESTS: Final[dict[str, str]] = {
    "digits": "f84ecfbc9c9f7d56aa9b0a9c32339c57bf34bba286394dc3e9f9273a605d0978",
    "digits_lt": "15936ad287b1fb92f23d88dfa4256d7e8588669e53087aae754a50c1616fefea",
    "digits_c": "4d7fca7ed0b0592df47d990e6fa5f450caaceb2b504ee1d786587a0a20a160ca",
    "glyphs100": "7487ab650cd7829c348af65d846ddb1034a367f4e48519338ceb9d3b87f993d7",
    "shapes10": "119769b2237592099845dbb84df4b35c0d93b75ba5f17d3db81611ca4087067f",
    "flowers60": "0475fa96a3c00eeb30bd9375fe899cb26b8ea6a7511b67aca855304e71c34736",
    "textures200": "f6355008931a9d1c03aa4c1ff99104dd3532cc9eac974e63f51de1f6f6d029b2",
}


@functools.cache
def load(name: str, root: Path | None = None) -> Images:
    """An image set, from the cache or generated (seconds, once).

    Args:
        name: one of ``GENERATORS``.
        root: where sets are kept; None: ``imagesets`` in the user's cache.

    Raises:
        ValueError: there is no such set.
        WrongData: this machine generates others than it should.
    """
    if name not in GENERATORS:
        raise ValueError(f"there is no image set {name!r}; there are {', '.join(GENERATORS)}")
    path = (root or cache.folder("imagesets")) / f"{name}-{DIGESTS[name][:16]}.npz"
    kept = _read(path, name)
    if kept is not None and kept.digest() == DIGESTS[name]:
        return kept
    images = GENERATORS[name]()
    if images.digest() != DIGESTS[name]:
        raise WrongData(
            f"the image set {name} has the digest {images.digest()} here, not {DIGESTS[name]}: its generator was "
            "changed, or computes otherwise on this machine; please report it with your version of NumPy"
        )
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, and nothing else
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, images)
    return images


def draw(name: str, seed: int, most: Mapping[str, int | None] | None = None, *, classes: int | None = None) -> Images:
    """An image set of the same kind as that of :func:`load`, all of which the seed decides; it is not kept.

    Of invented sets the classes are others too; of the digits, which of them are in which part. That a seed decides
    it is sure for one version of NumPy only.

    Args:
        name: one of ``GENERATORS``.
        seed: not negative.
        most: images of each part that are needed, by the names of ``SPLITS``; None: all. A part may have more.
        classes: number of classes, of the glyphs and textures; None: all. It makes no difference to other sets.

    Raises:
        ValueError: there is no such set.
    """
    if name not in GENERATORS:
        raise ValueError(f"there is no image set {name!r}; there are {', '.join(GENERATORS)}")
    root = FastDraws("drawn", name, seed)
    if name not in COUNTS:
        return GENERATORS[name](root)
    fewer = {"classes": classes} if classes is not None and name in ("glyphs100", "textures200") else {}
    counts, classes = dict(COUNTS[name]), fewer.get("classes", _CLASSES[name])
    for part, needed in (most or {}).items():
        if needed is not None:
            counts[part] = min(counts[part], -(-needed // classes))
    return GENERATORS[name](root, counts, **fewer)


def _write(path: Path, images: Images) -> None:
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.integer]]] = {"classes": np.array(images.classes)}
    for name in SPLITS:
        split: Split = getattr(images, name)
        arrays[f"{name}_x"], arrays[f"{name}_y"] = split.x, split.y
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    atomic.write_bytes(path, file.getvalue())


def _read(path: Path, name: str) -> Images | None:
    """What is kept at ``path``; None if that is nothing, or damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            splits = [Split(arrays[f"{part}_x"], arrays[f"{part}_y"]) for part in SPLITS]
            return Images(name, int(arrays["classes"]), *splits)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
