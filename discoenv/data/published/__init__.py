"""Image sets that others have published: declared once in ``sources.yaml``, each with one reader.

A dataset in a ``domain.yaml`` names the sets that it is made of (``data: mnist``), ``discoenv data fetch`` fetches
their files, and the examiner reads them:

    images = published.load("mnist", self.data, holdout=Holdout(share=0.1))

Importing this package loads neither NumPy nor a reader. A file that has to be copied by hand goes to
``sha256/<SHA-256>`` in the folder that ``discoenv data where`` prints; ``discoenv data fetch`` finds and checks it.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from discoenv.data.images import Images
    from discoenv.data.published.holdout import Holdout

#: The module that reads a set, by the set's name, which the function in it has as well. Two of them are variants of
#: CIFAR-10 (see ``cifar.py``).
READERS: Final[Mapping[str, str]] = {
    "mnist": "mnist",
    "fashion_mnist": "mnist",
    "cifar10": "cifar",
    "cifar10_lt": "cifar",
    "cifar10_c": "cifar",
    "cifar100": "cifar",
    "flowers": "flowers",
    "cars": "cars",
    "tiny_imagenet": "tiny_imagenet",
}


def load(name: str, folder: Path | None, *, holdout: Holdout, size: int | None = None) -> Images:
    """A published image set.

    Args:
        name: one of ``READERS``.
        folder: where its files are, all of them under the names that ``sources.yaml`` gives them.
        holdout: which of the images to train on are set aside for validation, where the set has no part for that.
        size: to which photographs are scaled, in pixels; the other sets have one size and ignore it.

    Returns:
        The images. The last two that were asked for are kept in memory.

    Raises:
        FileNotFoundError: ``folder`` is None, or lacks a file.
        ValueError: there is no such set, a file is damaged, or photographs are to have no ``size``.
    """
    if name not in READERS:
        raise ValueError(f"there is no published image set {name!r}; there are {', '.join(READERS)}")
    if folder is None:
        raise FileNotFoundError(f"the files of {name} have not been fetched")
    return _load(name, folder, holdout, size)


@functools.lru_cache(maxsize=2)
def _load(name: str, folder: Path, holdout: Holdout, size: int | None) -> Images:
    read: Any = getattr(importlib.import_module(f"{__name__}.{READERS[name]}"), name)
    images: Images = read(folder, holdout, size)
    return images
