"""What an image set is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Labels = np.ndarray[Any, np.dtype[np.int64]]

#: Parts of an image set, in the order in which they are stored and checked.
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """N labelled images, in random order.

    Attributes:
        x: uint8[N, H, W, C], read-only; C is 1 (grey) or 3 (red, green, blue).
        y: int64[N], read-only; the classes, 0 … classes - 1.
    """

    x: Bytes
    y: Labels

    def __post_init__(self) -> None:
        if self.x.dtype != np.uint8 or self.x.ndim != 4 or self.y.dtype != np.int64 or self.y.shape != self.x.shape[:1]:
            raise ValueError(f"no images: {self.x.dtype}{self.x.shape} with {self.y.dtype}{self.y.shape}")
        self.x.flags.writeable = self.y.flags.writeable = False

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: Any) -> Split:
        """The images in ``rows``."""
        return Split(self.x[rows], self.y[rows])


@dataclass(frozen=True)
class Images:
    """An image set in three parts that share no image.

    Attributes:
        name: what :func:`discoenv.data.sets.load` calls it.
        classes: number of classes; each is in every part but a validation part that is empty.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.train.x.shape[1:]
        return height, width, channels

    def digest(self) -> str:
        """SHA-256 of shapes and contents of all arrays, in hexadecimal digits."""
        digest = hashlib.sha256(f"{self.name} {self.classes}".encode())
        for name in SPLITS:
            split: Split = getattr(self, name)
            digest.update(f"{name} {split.x.shape}".encode())
            digest.update(np.ascontiguousarray(split.x).tobytes())
            digest.update(split.y.astype("<i8").tobytes())
        return digest.hexdigest()
