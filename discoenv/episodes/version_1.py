"""Runs that were recorded in version 1 of the format, brought into the form of version 2.

In version 1, the exams of a dataset were parallel lists (``seeds``, ``statuses``, ``values``, …). Its output was that
of the last exam, its traceback that of the first exam that failed. ``value`` was what ``metric`` is now, and ``metric``
its name. ``info["reward"]`` was what ``reward_parts`` is now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SIDES: Final = ("meta_train", "meta_test")
#: Names of the lists in version 1, and of the exam's field that each became.
_LISTS: Final = {
    "statuses": "status",
    "values": "metric",
    "metrics": "metrics",
    "seconds": "seconds",
    "cpu_s": "cpu_s",
    "peak_memory_bytes": "peak_memory_bytes",
    "memory_method": "memory_method",
    "peak_gpu_memory_bytes": "peak_gpu_memory_bytes",
    "joules": "joules",
    "energy_method": "energy_method",
    "energy_uncertainty": "energy_uncertainty",
    "budget_s": "budget_s",
    "messages": "message",
}


def with_scores(content: Mapping[str, Any]) -> dict[str, Any]:
    """``info`` of a step, or a result, with its scores and its reward's parts in the present form."""
    upgraded = dict(content)
    if isinstance(content.get("reward"), Mapping):
        upgraded["reward_parts"] = upgraded.pop("reward")
    for side in SIDES:
        if isinstance(content.get(side), Mapping):
            upgraded[side] = {name: _score(each) for name, each in content[side].items() if isinstance(each, Mapping)}
    return upgraded


def _score(record: Mapping[str, Any]) -> dict[str, Any]:
    lists = {new: record[old] for old, new in _LISTS.items() if isinstance(record.get(old), list)}
    texts = {key: record[key] for key in ("stdout", "traceback") if record.get(key)}
    count = max([len(values) for values in lists.values()], default=len(texts) and 1)
    exams: list[dict[str, Any]] = [
        {name: values[index] for name, values in lists.items() if index < len(values)} for index in range(count)
    ]
    for exam in exams:
        exam["device"] = record.get("device")
    if "stdout" in texts:
        exams[-1]["stdout"] = texts["stdout"]
    if "traceback" in texts:
        failed = [exam for exam in exams if exam.get("status") != "ok"]
        (failed or exams)[0]["traceback"] = texts["traceback"]
    return {**record, "metric": record.get("value"), "metric_name": record.get("metric"), "exams": exams}
