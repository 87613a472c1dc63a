"""Frozen dataclasses that are written as JSON and read back: the base class :class:`Record`.

Reading is strict about what a record cannot be without, and lenient about the rest. Files of records may come from
another version, from a process that was killed, or from a stranger; they should open as far as they can be understood,
and whatever was read has the type that its field declares.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, Self

from discoenv.errors import RunError

_Reader = Callable[[Any], Any]
_UNFIT = object()


#: Metadata of a field that is None where it does not apply, and is then left out of the JSON.
SOMETIMES: Final = {"sometimes": True}


@dataclass(frozen=True)
class Record:
    """Base of the records.

    Fields may be ``bool``, ``int``, ``float``, ``str``, other records, ``dict[str, …]`` and ``tuple[…, ...]`` of these,
    unions of these with None, and ``Any`` for plain JSON.
    """

    def to_json(self) -> dict[str, Any]:
        """As plain values for :func:`json.dumps`; changing them does not change the record."""
        content = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None or not each.metadata.get("sometimes"):
                content[each.name] = _plain(value)
        return content

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """From what :meth:`to_json` gave.

        Unknown keys are ignored. A key that is missing, or whose value is of another kind, is read as the field's
        default; so an entry that does not fit is left out of a list or an object.

        Raises:
            RunError: ``content`` is not an object, or a field without a default cannot be read.
        """
        if not isinstance(content, Mapping):
            raise RunError(f"expected a JSON object, not {type(content).__name__}")
        values = {}
        for name, (read, required) in _readers_of(cls).items():
            if name not in content:
                if required:
                    raise RunError(f"{name} is missing")
                continue
            try:
                values[name] = read(content[name])
            except ValueError as error:
                if required:
                    raise RunError(f"{name}: {error}") from None
        return cls(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return value


_READERS: dict[type[Record], dict[str, tuple[_Reader, bool]]] = {}


def _readers_of(kind: type[Record]) -> dict[str, tuple[_Reader, bool]]:
    """By field: what reads its value, raising ValueError if it does not fit, and whether the field is required."""
    if kind not in _READERS:
        hints = typing.get_type_hints(kind)
        _READERS[kind] = {
            each.name: (_reader(hints[each.name]), each.default is MISSING and each.default_factory is MISSING)
            for each in fields(kind)
        }
    return _READERS[kind]


def _reader(hint: Any) -> _Reader:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return functools.partial(_first_that_fits, [_reader(each) for each in arguments])
    if origin in (dict, tuple):
        return functools.partial(_entries if origin is dict else _items, _reader(arguments[origin is dict]))
    if isinstance(hint, type) and issubclass(hint, Record):
        return hint.from_json
    return {Any: lambda value: value, float: _float}.get(hint, functools.partial(_of_kind, hint))


def _of_kind(kind: type, value: Any) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"expected {kind.__name__}, not {type(value).__name__}")
    return value


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"expected a number, not {type(value).__name__}")  # noqa: TRY004 - as of any other value
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(str(error)) from None


def _first_that_fits(readers: list[_Reader], value: Any) -> Any:
    problem = ValueError()
    for read in readers:
        try:
            return read(value)
        except ValueError as error:
            problem = error
    raise problem


def _entries(read: _Reader, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected an object, not {type(value).__name__}")  # noqa: TRY004
    return {
        str(key): each for key, each in zip(value, _fitting(read, value.values()), strict=True) if each is not _UNFIT
    }


def _items(read: _Reader, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected a list, not {type(value).__name__}")  # noqa: TRY004
    return tuple(each for each in _fitting(read, value) if each is not _UNFIT)


def _fitting(read: _Reader, values: Any) -> list[Any]:
    found = []
    for value in values:
        try:
            found.append(read(value))
        except ValueError:
            found.append(_UNFIT)
    return found
