"""Plain data out of what others wrote, and JSON that browsers accept."""

from __future__ import annotations

import json
import math
from typing import Any

from discoenv.episodes.jsonl import Json


def dumps(value: Any) -> str:
    """ASCII JSON. Numbers that JSON does not know become the strings ``NaN``, ``Infinity`` and ``-Infinity``."""
    return json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def mapping(value: Any) -> Json:
    """A dict, or an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """A list, or an empty one."""
    return value if isinstance(value, list) else []


def total(values: Any) -> float | None:
    """Sum of the finite numbers of a list; None if it has none."""
    numbers = [found for found in map(number, sequence(values)) if found is not None]
    return math.fsum(numbers) if numbers else None


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else json.dumps(value)
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return value
