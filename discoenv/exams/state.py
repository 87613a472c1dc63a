"""What a learner hands over: a tree of plain arrays, checked here before anything is scored with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from discoenv.exams.wire import ProtocolError, RuleBroken

NumpyArray = np.ndarray[Any, Any]
#: Dicts and lists within each other.
MOST_LEVELS: Final = 32
#: Bytes of a state, unless a domain says otherwise.
MOST_BYTES: Final = 64 << 20


@dataclass(frozen=True)
class State:
    """A checked state.

    Attributes:
        tree: dicts and lists whose leaves are arrays, as it was handed over.
        arrays: the arrays by their path, ``params/Dense_0/kernel``, in the order of the tree.
    """

    tree: Mapping[str, Any]
    arrays: Mapping[str, NumpyArray]

    @property
    def bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    @property
    def size(self) -> int:
        """Numbers in all arrays."""
        return sum(array.size for array in self.arrays.values())

    def __getitem__(self, key: str) -> State:
        """The part of the tree under a key of its root.

        Raises:
            ProtocolError: there is none, or it is not a dict of arrays.
        """
        if key not in self.tree:
            raise ProtocolError(f"the state has no {key!r}; it has {', '.join(map(repr, self.tree))}")
        part = self.tree[key]
        if not isinstance(part, Mapping):
            raise ProtocolError(f"state[{key!r}] is {_kind(part)}; expected a dict of arrays")
        begin = f"{key}/"
        return State(part, {path: array for path, array in self.arrays.items() if path.startswith(begin)})

    def require_keys(self, *keys: str) -> None:
        """Refuse a state whose root has other keys.

        Raises:
            ProtocolError: one is missing or too many; the message names it.
        """
        missing, unknown = sorted(set(keys) - set(self.tree)), sorted(set(self.tree) - set(keys))
        if missing or unknown:
            what = f"lacks {', '.join(map(repr, missing))}" if missing else f"has {', '.join(map(repr, unknown))} too"
            raise ProtocolError(f"the state {what}; its keys must be {', '.join(map(repr, keys))}")

    def require_like(self, reference: Mapping[str, NumpyArray]) -> None:
        """Refuse arrays with other names, shapes or dtypes than those of a reference.

        Raises:
            ProtocolError: they differ; the message names the first array that does.
        """
        for path, expected in reference.items():
            found = self.arrays.get(path)
            if found is None:
                raise ProtocolError(f"the state has no array {path!r}; expected {_described(expected)}")
            if (found.shape, found.dtype) != (expected.shape, expected.dtype):
                raise ProtocolError(f"state {path!r} is {_described(found)}; expected {_described(expected)}")
        for path, found in self.arrays.items():
            if path not in reference:
                raise ProtocolError(f"the state has an array {path!r}, {_described(found)}, which is not used")

    def require_at_most(self, *, size: int, of: str) -> None:
        """Refuse a state with more numbers.

        Args:
            size: most numbers in all arrays.
            of: what they are, for the message; for example ``parameters``.

        Raises:
            RuleBroken: there are more.
        """
        if self.size > size:
            path, largest = max(self.arrays.items(), key=lambda item: item[1].size)
            raise RuleBroken(
                f"the state has {self.size:,} {of}; the configuration allows {size:,}. The largest array is {path!r}, "
                f"{_described(largest)}"
            )


def checked(tree: Any, *, most_bytes: int = MOST_BYTES) -> State:
    """The state that a learner has sent, as :func:`discoenv.exams.wire.decode` gave it.

    Args:
        tree: anything. Numbers count as arrays without axes; nothing else than dicts, lists and arrays is allowed.
        most_bytes: bytes of all arrays that are allowed.

    Raises:
        ProtocolError: it is not a dict of arrays, or holds something that is not finite; the message names the array.
        RuleBroken: it is too large.
    """
    if not isinstance(tree, dict):
        raise ProtocolError(f"the state is {_kind(tree)}; expected a dict of arrays")
    arrays: dict[str, NumpyArray] = {}
    for path, leaf in _leaves(tree, ""):
        if path in arrays:
            raise ProtocolError(f"the state has two arrays that are called {path!r}")
        arrays[path] = leaf
    if not arrays:
        raise ProtocolError("the state holds no array")
    state = State(tree, arrays)
    if state.bytes > most_bytes:
        path, largest = max(arrays.items(), key=lambda item: item[1].nbytes)
        raise RuleBroken(
            f"the state has {state.bytes:,} bytes; {most_bytes:,} are allowed. The largest array is {path!r}, "
            f"{_described(largest)}"
        )
    for path, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            raise ProtocolError(f"state {path!r}: {count} of {array.size} values are NaN or infinite")
    return state


def _leaves(node: Any, path: str, level: int = 0) -> Iterator[tuple[str, NumpyArray]]:
    if isinstance(node, (dict, list)):
        if level == MOST_LEVELS:
            raise ProtocolError(f"state {path!r}: more than {MOST_LEVELS} dicts and lists within each other")
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            yield from _leaves(value, f"{path}/{key}" if level else str(key), level + 1)
    elif isinstance(node, np.ndarray) and node.dtype.kind in "biuf":
        yield path, node
    elif isinstance(node, (bool, int, float)) and (array := np.asarray(node)).dtype.kind in "bif":
        yield path, array
    else:
        raise ProtocolError(f"state {path!r} is {_kind(node)}; expected an array of numbers")


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return "None" if value is None else type(value).__name__


def _described(array: NumpyArray) -> str:
    """``float32[3, 4]``."""
    return f"{array.dtype}[{', '.join(map(str, array.shape))}]"
