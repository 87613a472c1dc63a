"""Arguments of public functions, checked where they are given: one function per kind of value.

Each returns the value as its plain Python type. An error names the argument, the value and what is allowed.
"""

from __future__ import annotations

import inspect
import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from discoenv.errors import ArgumentError
from discoenv.text import shown

#: NumPy, spaces and files hold no larger whole number.
_LARGEST: Final = 2**63 - 1

if TYPE_CHECKING:
    import typer
    from _typeshed import DataclassInstance

    _Settings = TypeVar("_Settings", bound=DataclassInstance)


def integer(name: str, value: Any, *, least: int | None = None, most: int | None = None, why: str = "") -> int:
    """A whole number from ``least`` to ``most``; NumPy's count, booleans do not.

    Args:
        name: the argument.
        value: its value.
        least, most: the bounds, themselves allowed; None: no bound, but that of 64 bits.
        why: what the error says is needed; default: the bounds.

    Raises:
        ArgumentError: it is something else.
    """
    if not isinstance(value, bool):
        try:
            number = operator.index(value)
        except TypeError:
            pass
        else:
            if most is None and number > _LARGEST:
                raise _wrong(name, value, "a whole number below 2**63")
            if (least is None or number >= least) and (most is None or number <= most):
                return number
    raise _wrong(name, value, f"a whole number{_bounds(least, most)}", why)


def number(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    why: str = "",
) -> float:
    """A finite number: at least ``least``, greater than ``above``, at most ``most``; no text and no boolean.

    Args:
        name: the argument.
        value: its value.
        least, above, most: the bounds; None: no bound.
        why: what the error says is needed; default: the bounds.

    Raises:
        ArgumentError: it is something else.
    """
    found = as_number(value)
    if (
        found is not None
        and (least is None or found >= least)
        and (above is None or found > above)
        and (most is None or found <= most)
    ):
        return found
    allowed = f"a finite number{_bounds(least, most)}"
    raise _wrong(name, value, f"{allowed} greater than {above:g}" if above is not None else allowed, why)


def as_number(value: Any) -> float | None:
    """The value as a finite float, if it is a number, NumPy's included; None for all else, booleans and text too."""
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def flag(name: str, value: Any) -> bool:
    """True or False.

    Raises:
        ArgumentError: it is something else.
    """
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    raise _wrong(name, value, "True or False")


def choice(name: str, value: Any, known: Iterable[str]) -> str:
    """One of the texts ``known``.

    Raises:
        ArgumentError: it is something else.
    """
    allowed = list(known)
    if isinstance(value, str) and value in allowed:
        return str(value)
    raise _wrong(name, value, f"one of {', '.join(allowed)}")


def names(name: str, value: Any) -> tuple[str, ...]:
    """One or several texts: a single one counts as a list of one.

    Raises:
        ArgumentError: there is none, or one is not text.
    """
    given = (value,) if isinstance(value, str) else value
    if isinstance(given, (Sequence, set, frozenset)) and not isinstance(given, (bytes, bytearray)):
        found = tuple(given)
        if found and all(isinstance(each, str) and each for each in found):
            return found
    raise _wrong(name, value, "a name or a list of names")


def function(name: str, value: Any, *parameters: str) -> Callable[..., Any]:
    """A function that can be called with so many positional arguments.

    Args:
        name: the argument.
        value: its value.
        parameters: names of what the function will be called with, for the message.

    Raises:
        ArgumentError: it is no function, or takes other arguments.
    """
    call = f"{name}({', '.join(parameters)})"
    if not callable(value):
        raise _wrong(name, value, f"a function that is called as {call}")
    found: Callable[..., Any] = value
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # some built-in functions have no signature
        return found
    try:
        signature.bind(*parameters)
    except TypeError as error:
        raise _wrong(name, value, f"a function that is called as {call}: {error}") from None
    if inspect.iscoroutinefunction(found):
        raise _wrong(name, value, f"an ordinary function that is called as {call}, not a coroutine")
    return found


def path(name: str, value: Any) -> Path:
    """A path, given as text or as a :class:`Path`.

    Raises:
        ArgumentError: it is something else, empty, or holds a NUL character.
    """
    if isinstance(value, (str, Path)) and str(value) and "\0" not in str(value):
        return Path(value)
    raise _wrong(name, value, "a path")


def writable(name: str, value: Any) -> Path:
    """A folder in which files can be made; it may still have to be made itself.

    Raises:
        ArgumentError: it is no path, or no folder that this user can write to.
    """
    found = path(name, value)
    present = next(each for each in (found, *found.absolute().parents) if os.path.lexists(each))
    if not present.is_dir():
        raise ArgumentError(f"{name} is {shown(str(found))}, but {present} is not a folder; give another one")
    if not os.access(present, os.W_OK | os.X_OK):
        raise ArgumentError(f"{name} is {shown(str(found))}, but {present} cannot be written to; give another one")
    return found


def instance(name: str, value: Any, kind: type) -> None:
    """An object of a class.

    Raises:
        ArgumentError: it is something else.
    """
    if not isinstance(value, kind):
        raise _wrong(name, value, f"a {kind.__name__}")


def settings(name: str, value: Any, kind: type[_Settings]) -> tuple[_Settings, tuple[str, ...]]:
    """An object of a dataclass, given as one or as a mapping of some of its fields.

    Returns:
        The object, and the names of the fields that were given: those of the mapping, or those of the object that
        differ from their defaults.

    Raises:
        ArgumentError: it is something else, or a field is unknown or wrong.
    """
    defaults = {each.name: each.default for each in fields(kind)}
    if isinstance(value, kind):
        return value, tuple(each for each, default in defaults.items() if getattr(value, each) != default)
    if not isinstance(value, Mapping):
        raise _wrong(name, value, f"a {kind.__name__}, or a mapping of {', '.join(defaults)}")
    unknown = sorted(str(key) for key in value if key not in defaults)
    if unknown:
        raise ArgumentError(f"{name}: unknown key {', '.join(unknown)}; known are {', '.join(defaults)}")
    return kind(**value), tuple(value)


def _bounds(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f" from {least:g} to {most:g}"
    if least is not None:
        return f" of at least {least:g}"
    return "" if most is None else f" of at most {most:g}"


def _wrong(name: str, value: Any, allowed: str, why: str = "") -> ArgumentError:
    return ArgumentError(f"{name} is {shown(value)}; {why or f'it must be {allowed}'}")


def require_effect(context: typer.Context, void: Iterable[str], because: str) -> None:
    """Refuse options that were typed although another one, or its absence, leaves them without effect.

    Args:
        context: of the command.
        void: names of the command's parameters that have no effect.
        because: what makes them void, such as ``beside --resume``.

    Raises:
        ArgumentError: one of them was typed.
    """
    without = set(void)
    typed = [
        parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name in without
        and (source := context.get_parameter_source(parameter.name)) is not None
        and source.name == "COMMANDLINE"
    ]
    if typed:
        raise ArgumentError(f"{', '.join(typed)} has no effect {because}; leave one of the two out")
