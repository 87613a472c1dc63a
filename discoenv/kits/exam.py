"""The learner's side of an exam.

``main.py`` trains a model with the modules in ``discovered/`` and ends in ``serve(model)``. Then an examiner in another
process asks questions, which this file answers by calling methods of ``model``. The examiner alone holds the held-out
data and the clock, and computes the score; nothing printed or written here counts as a result. Training time ends when
``serve`` is called, and the time spent on answers is added to it.

A message is: 4 bytes, length of the header; 8 bytes, length of the body (both unsigned, little-endian); the header,
JSON in UTF-8; the body, the arrays one after another as raw little-endian bytes in C order. In the header, array number
``i`` stands as ``{"__array__": i}``, and ``"arrays"`` lists ``[dtype, shape]`` of each.
"""

import json
import os
import socket
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

LENGTHS = struct.Struct("<IQ")


def seed() -> int:
    """Seed (int, 0 <= seed < 2**31) for all randomness of this training run."""
    return int(os.environ.get("EXAM_SEED", "0"))


def training_data() -> dict[str, np.ndarray]:
    """Training data of this exam: dict of NumPy arrays, as the dataset's description lists them; may be empty."""
    path = Path(os.environ.get("EXAM_DATA", "data"), "train.npz")
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise RuntimeError(f"{path} cannot be read as an .npz of plain arrays: {error}") from error


def serve(model: Any) -> None:
    """Answer the examiner's questions with the methods of ``model`` until the exam is over, which ends the process."""
    if "EXAM_SOCKET" not in os.environ:
        raise RuntimeError("no examiner is waiting: start exams with `python run_main.py` in the task's folder")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ["EXAM_SOCKET"])
        send(connection, {"ready": True})
        while question := receive(connection):
            if "call" in question:
                answer = getattr(model, question["call"])(*question["args"])
                send(connection, {"answer": answer})
            elif "programs" in question:  # what JAX has compiled spares the next exam of the same modules some work
                files = Path(os.environ["JAX_COMPILATION_CACHE_DIR"]).glob("*-cache")
                send(connection, {"programs": {file.name: np.fromfile(file, np.uint8) for file in files}})


def pack(message: Any) -> bytes:
    """Bytes of one message: a tree of dict, list, str, int, float, bool, None and arrays (NumPy, JAX, torch, ...)."""
    arrays: list[np.ndarray] = []

    def plain(node: Any) -> Any:
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        if isinstance(node, dict):
            return {str(key): plain(value) for key, value in node.items()}
        if isinstance(node, (list, tuple)):
            return [plain(value) for value in node]
        array = np.asarray(node)
        if array.dtype.kind not in "biu" and array.dtype.str[1:] not in ("f2", "f4", "f8"):
            array = array.astype(np.float32)
        arrays.append(array.astype(array.dtype.newbyteorder("<"), order="C", copy=False))
        return {"__array__": len(arrays) - 1}

    header = {"message": plain(message), "arrays": [[array.dtype.str, list(array.shape)] for array in arrays]}
    text = json.dumps(header).encode()
    return b"".join([LENGTHS.pack(len(text), sum(a.nbytes for a in arrays)), text, *(a.tobytes() for a in arrays)])


def unpack(text: bytes | bytearray, body: bytes | bytearray) -> Any:
    """Inverse of :func:`pack`, given the header's and the body's bytes. For messages of a trusted sender only."""
    header, start, arrays = json.loads(text), 0, []
    for dtype, shape in header["arrays"]:
        count = int(np.prod(shape, dtype=np.int64))
        arrays.append(np.frombuffer(body, dtype, count, start).reshape(shape))
        start += count * np.dtype(dtype).itemsize

    def full(node: Any) -> Any:
        if isinstance(node, dict):
            return arrays[node["__array__"]] if "__array__" in node else {k: full(v) for k, v in node.items()}
        return [full(value) for value in node] if isinstance(node, list) else node

    return full(header["message"])


def send(connection: socket.socket, message: Any) -> None:
    """Write one message."""
    connection.sendall(pack(message))


def receive(connection: socket.socket) -> Any:
    """Read one message; a closed connection reads as the end of the exam (an empty dict)."""
    header, body = LENGTHS.unpack(read(connection, LENGTHS.size) or bytes(LENGTHS.size))
    text, arrays = read(connection, header), read(connection, body)
    return unpack(text, arrays) if text and arrays is not None else {}


def read(connection: socket.socket, count: int) -> bytearray | None:
    """Exactly ``count`` bytes, or None if the connection was closed."""
    data = bytearray(count)
    view = memoryview(data)
    while view:
        received = connection.recv_into(view)
        if received == 0:
            return None
        view = view[received:]
    return data
