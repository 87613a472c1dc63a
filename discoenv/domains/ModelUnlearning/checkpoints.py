"""Checkpoints: parameters of language models in files of the format safetensors, read and written with NumPy alone.

A file begins with eight bytes, the length of a header in JSON; it has, by name, dtype, shape and place of each array,
and under ``__metadata__`` texts by name. The bytes of the arrays follow.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from .corpora import PHRASINGS, Corpus, texts

Arrays = dict[str, np.ndarray[Any, Any]]

_DTYPES: Final = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
}
_NAMES: Final = {np.dtype(code): name for name, code in _DTYPES.items()}
_LENGTH: Final = struct.Struct("<Q")
#: A header is never as long as this.
_MOST_HEADER: Final = 100 << 20
#: Where the checkpoints of the fictional corpora lie.
FOLDER: Final = Path(__file__).resolve().parent / "checkpoints"


def write(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str]) -> None:
    """Write arrays and texts into a file.

    Raises:
        KeyError: an array has a dtype that the format does not know.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    parts = [_LENGTH.pack(len(text)), text, *(np.ascontiguousarray(array).tobytes() for array in arrays.values())]
    path.write_bytes(b"".join(parts))


def read(path: Path) -> tuple[Arrays, dict[str, str]]:
    """The arrays of a file by name, and its texts. Numbers of the kind bfloat16 become float32.

    Raises:
        ValueError: the file is damaged, or has numbers of another kind; the message names it and the reason.
    """
    data = path.read_bytes()
    try:
        (length,) = _LENGTH.unpack_from(data)
        if length > _MOST_HEADER:
            raise ValueError(f"its header would have {length} bytes")
        start = _LENGTH.size + length
        header = json.loads(data[_LENGTH.size : start])
        metadata = header.pop("__metadata__", {})
        return {name: _array(data, start, entry) for name, entry in header.items()}, metadata
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: no readable safetensors file ({error}); fetch or write it again") from error


def _array(data: bytes, start: int, entry: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    begin, end = entry["data_offsets"]
    if not 0 <= begin <= end <= len(data) - start:
        raise ValueError(f"an array lies at bytes {begin} to {end} of {len(data) - start}")
    part = data[start + begin : start + end]
    if entry["dtype"] == "BF16":
        return (np.frombuffer(part, "<u2").astype("<u4") << 16).view("<f4").reshape(entry["shape"])
    if entry["dtype"] not in _DTYPES:
        raise ValueError(f"numbers of the kind {entry['dtype']} are not known")
    return np.frombuffer(part, _DTYPES[entry["dtype"]]).reshape(entry["shape"])


def fingerprint(corpus: Corpus) -> str:
    """SHA-256 of all texts of a corpus and of its vocabulary: what its checkpoints were trained on."""
    entities = [*(each for split in corpus.splits for each in split), *corpus.others, corpus.common]
    lines = [" ".join(text) for entity in entities for text in texts(entity, range(PHRASINGS))]
    return hashlib.sha256("\n".join([*corpus.words, *lines]).encode()).hexdigest()


def path_of(dataset: str) -> Path:
    """The file of a dataset."""
    return FOLDER / f"{dataset.replace('/', '-')}.safetensors"


def load(dataset: str, corpus: Corpus) -> dict[str, Arrays]:
    """The models of a dataset: ``full``, which knows all, and ``gold0``, ``gold1``, …, trained without a split each.

    Returns:
        float32 arrays by name, of each model.

    Raises:
        ValueError: the file is damaged, or the grammar makes another corpus than the models were trained on.
    """
    arrays, metadata = read(path_of(dataset))
    if metadata["corpus"] != fingerprint(corpus):
        raise ValueError(
            f"{path_of(dataset)}: its models were trained on another corpus than {corpus.name!r} is now; train them "
            f"again with python -m discoenv.domains.ModelUnlearning.studies.checkpoints --dataset {dataset}"
        )
    models: dict[str, Arrays] = {}
    for name, array in arrays.items():
        model, _, parameter = name.partition("/")
        models.setdefault(model, {})[parameter] = array.astype(np.float32)
    return models
