"""What this machine is: processor, cores and memory, and a fingerprint of them."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
from pathlib import Path


@functools.cache
def fingerprint() -> str:
    """Twelve hex digits: a hash of this machine's hardware, and of how costs are measured on it."""
    measured = {**hardware(), "learner": "pinned to one core"}
    return hashlib.sha256(json.dumps(measured, sort_keys=True).encode()).hexdigest()[:12]


@functools.cache
def hardware() -> dict[str, str]:
    """Processor, usable cores and memory of this machine."""
    processor = platform.processor()
    memory = "unknown"
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal:"):
            memory = f"{round(int(line.split()[1]) / 2**20)} GiB"
    return {
        "processor": processor or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": memory,
        "system": platform.system(),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
