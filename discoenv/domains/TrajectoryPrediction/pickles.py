"""Reads pickled dicts of arrays and runs nothing: of what a pickle can name, descriptions of arrays alone are known.

A pickle is a program. ``pickle.load`` runs whatever it names; this reader knows the few names with which NumPy
describes arrays, and even those are answered by classes of its own, which keep shape, dtype and bytes and check them.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from typing import Any, ClassVar, Final

import numpy as np

from discoenv.data.generated import WrongData

#: Largest file that is read, bytes.
LARGEST: Final = 64 << 20
_CODES: Final = frozenset({"b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"})


def read(data: bytes, name: str) -> dict[str, Any]:
    """A dict of arrays, numbers and text from the bytes of a pickle.

    Args:
        data: the file's content.
        name: of the file, for errors.

    Raises:
        WrongData: it is too large, damaged, no dict, or names anything but arrays of numbers.
    """
    if len(data) > LARGEST:
        raise WrongData(f"{name} has {len(data):,} bytes; at most {LARGEST:,} are read")
    try:
        found = _Reader(io.BytesIO(data)).load()
    except WrongData as error:
        raise WrongData(f"{name}: {error}") from None
    except Exception as error:  # what a damaged pickle raises can be anything
        raise WrongData(f"{name} is no pickle of arrays: {type(error).__name__}: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise WrongData(f"{name} holds {type(found).__name__}; expected a dict by names")
    return {key: _plain(value, f"{name}: {key}") for key, value in found.items()}


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, (str, bool, int, float, np.ndarray, np.generic)) or value is None:
        return value
    raise WrongData(f"{name} is {type(value).__name__}; expected an array, a number or text")


class _Dtype:
    """What a pickle says of a dtype."""

    def __init__(self, code: Any, *_: Any) -> None:
        if code not in _CODES:
            raise WrongData(f"an array has the dtype {code!r}; only numbers are read")
        self.code, self.order = str(code), "="

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise WrongData(f"a dtype has the byte order {order!r}")
        self.order = order

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(("<" if self.order in "|=" else self.order) + self.code)


class _Array:
    """What a pickle says of an array."""

    array: np.ndarray[Any, Any]

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        self.array = _made(raw, dtype, shape, "F" if fortran else "C")


def _made(raw: Any, dtype: Any, shape: Any, order: str) -> np.ndarray[Any, Any]:
    """An array of bytes; its size must fit them."""
    if isinstance(raw, str):
        raw = raw.encode("latin1")
    sizes = tuple(shape)
    if not (isinstance(raw, (bytes, bytearray)) and isinstance(dtype, _Dtype)):
        raise WrongData("an array holds objects; only numbers are read")
    if not all(isinstance(size, int) and size >= 0 for size in sizes) or len(sizes) > 8:
        raise WrongData(f"an array has the shape {shape!r}")
    if math.prod(sizes) * dtype.dtype.itemsize != len(raw):
        raise WrongData(f"an array of shape {sizes} and dtype {dtype.code} has {len(raw)} bytes")
    return np.frombuffer(bytes(raw), dtype.dtype).reshape(sizes, order="F" if order == "F" else "C").copy()


def _reconstructed(*_: Any) -> _Array:
    return _Array()


def _scalar(dtype: Any, raw: Any) -> Any:
    return _made(raw, dtype, (), "C")[()]


def _encoded(text: Any, encoding: Any) -> bytes:
    if encoding != "latin1" or not isinstance(text, str):
        raise WrongData(f"text is encoded as {encoding!r}; expected latin1")
    return text.encode("latin1")


_NAMES: Final[dict[str, Callable[..., Any]]] = {
    "multiarray._reconstruct": _reconstructed,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _made,
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
    "_codecs.encode": _encoded,
}


class _Reader(pickle._Unpickler):  # the one in Python, whose instructions can be bound
    """Knows ``_NAMES``, and nothing else; only what it made by itself can be given a state."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        """What stands behind a name of a pickle.

        Raises:
            WrongData: it is no description of an array.
        """
        for core in ("numpy.core.", "numpy._core."):
            module = module.removeprefix(core)
        known = _NAMES.get(f"{module}.{name}")
        if known is None:
            raise WrongData(f"the pickle names {module}.{name}, which is not read: it would be run")
        return known

    def load_build(self) -> None:
        """The instruction that gives an object its state."""
        stack: list[Any] = self.stack  # type: ignore[attr-defined]
        if type(stack[-2]) not in (_Array, _Dtype):
            raise WrongData(f"the pickle gives a state to {type(stack[-2]).__name__}")
        super().load_build()  # type: ignore[misc]

    dispatch[pickle.BUILD[0]] = load_build
