"""JSON from outside, in which a key that is listed twice is an error: the last one would win in silence."""

from __future__ import annotations

import json
from typing import Any

from discoenv.text import shown


class DuplicateKey(ValueError):
    """An object has the same key twice; the message names it."""


def loads(text: str | bytes, *, strict: bool = True) -> Any:
    """Parse JSON.

    Args:
        text: the JSON text.
        strict: whether raw line ends within strings are errors.

    Raises:
        ValueError: it is not JSON; or, as :class:`DuplicateKey`, a key is listed twice.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, strict=strict, object_pairs_hook=without_duplicates)


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The ``object_pairs_hook`` of such a reader.

    Raises:
        DuplicateKey: a key is listed twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise DuplicateKey(f"the key {', '.join(map(shown, twice))} is listed twice; remove one")
    return found
