"""Messages between a learner and its examiner: trees of plain values and arrays.

A message is: 4 bytes, length of the header; 8 bytes, length of the body (both unsigned, little-endian); the header,
JSON in UTF-8; the body, the arrays one after another as raw little-endian bytes in C order. In the header, array number
``i`` stands as ``{"__array__": i}``, and ``"arrays"`` lists ``[dtype, shape]`` of each.
"""

import json
import socket
import struct
from typing import Any

import numpy as np

LENGTHS = struct.Struct("<IQ")


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
