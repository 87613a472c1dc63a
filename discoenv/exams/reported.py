"""Reads the metrics that the ``main.py`` of a self-reported domain prints. Nothing here can be trusted."""

from __future__ import annotations

import json
import math
from typing import Any


def last_metrics(stdout: str) -> dict[str, float] | None:
    """Metrics of the last line of ``stdout`` that is a JSON object; nested names are joined by dots.

    Returns:
        Finite and infinite numbers by name, or None if there is no such line or it holds no number.
    """
    for line in reversed(stdout.splitlines()):
        if not line.strip().startswith("{"):
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            continue
        metrics = dict(_numbers(content, ""))
        return metrics or None
    return None


def _numbers(node: Any, prefix: str) -> list[tuple[str, float]]:
    if isinstance(node, bool):
        return []
    if isinstance(node, (int, float)):
        try:
            return [(prefix, float(node))]
        except OverflowError:
            return [(prefix, math.inf)]
    if isinstance(node, dict):
        return [
            pair for key, value in node.items() for pair in _numbers(value, f"{prefix}.{key}" if prefix else str(key))
        ]
    return []
