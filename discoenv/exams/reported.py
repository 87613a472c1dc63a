"""Reads the metrics that the ``main.py`` of a self-reported domain prints. Nothing here can be trusted."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection
from pathlib import PurePath
from typing import Any

_FRAME = re.compile(r'^ +File "([^"]+)", line \d+', re.MULTILINE)
_IMPORT_ERROR = re.compile(r"^(?:ModuleNotFoundError|ImportError): (.*)$", re.MULTILINE)
_QUOTED = re.compile(r"'([^']+)'")


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


def failed_import(stderr: str, editable: Collection[str]) -> str:
    """What a program could not import, in Python's words, if no editable module is to blame; else an empty string.

    Args:
        stderr: what the program printed, with the traceback that it ended with.
        editable: names of the modules that the agent may have written.
    """
    begin = stderr.rfind("Traceback (most recent call last)")
    last = stderr[max(begin, 0) :]
    found = _IMPORT_ERROR.findall(last)
    if begin < 0 or not found or not last.rstrip().rpartition("\n")[2].startswith(("ModuleNotFound", "ImportError")):
        return ""
    blamed = {PurePath(path).stem for path in _FRAME.findall(last)}
    blamed |= {part for name in _QUOTED.findall(found[-1]) for part in name.split(".")}
    return "" if blamed & set(editable) else str(found[-1])


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
