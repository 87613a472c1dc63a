"""The IDX format, in which MNIST and its successors are distributed."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from discoenv.data.images import Bytes


def read_idx(path: Path) -> Bytes:
    """The array of bytes in a gzipped IDX file (MNIST, FashionMNIST).

    Raises:
        ValueError: it is not such a file, or incomplete.
    """
    with gzip.open(path) as file:
        content = file.read()
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is no IDX file of bytes")
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * content[3])
    if values.size != np.prod(shape):
        raise ValueError(f"{path} is incomplete: {values.size} bytes instead of {np.prod(shape)}")
    return values.reshape(shape)
