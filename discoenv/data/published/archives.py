"""Members of archives, and the formats that several published sets have in common."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np


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


def read_mat(content: bytes) -> dict[str, Any]:
    """The variables of a MATLAB file, arrays of length one reduced to their content."""
    from scipy.io import loadmat  # only two sets need it

    variables: dict[str, Any] = loadmat(io.BytesIO(content), squeeze_me=True)
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
