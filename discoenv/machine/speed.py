"""How fast a core of this machine is, by a short computation that is timed once per machine."""

from __future__ import annotations

import contextlib
import functools
import time
from typing import Final

import numpy as np

from discoenv.machine import atomic, cache
from discoenv.machine.hardware import fingerprint

#: CPU seconds of the computation on the machine (AMD EPYC) whose baselines the domains ship.
REFERENCE_S: Final = 0.0167
#: A core that is faster than this ratio says is not relied upon to be so for everything.
_FASTEST: Final = 0.5
_REPEATS: Final = 6


def slowness() -> float:
    """How many times longer a computation takes here than on the machine that measured the shipped baselines; ≥ 0.5."""
    return max(_FASTEST, probe_s() / REFERENCE_S)


@functools.cache
def probe_s() -> float:
    """CPU seconds of the computation on this machine, the fastest of several; kept in the user's cache."""
    file = cache.folder("speed") / f"{fingerprint()}.txt"
    with contextlib.suppress(OSError, ValueError):
        known = float(file.read_text(encoding="ascii"))
        if known > 0:
            return known
    measured = min(_timed() for _ in range(_REPEATS))
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(file, f"{measured:.6f}\n")
    return measured


def _timed() -> float:
    """CPU seconds of this thread for interpreted code, arithmetic on arrays and sorting, without a BLAS's threads."""
    begin = time.thread_time()
    table: dict[int, int] = {}
    total = 0
    for number in range(48_000):
        total += number * number % 7
        table[number % 512] = total
    values = np.arange(1 << 16, dtype=np.float64) * 0.618 % 1.0
    for _ in range(4):
        values = np.sqrt(np.sort(np.tanh(values)[::-1]) + 1.0)
    return time.thread_time() - begin
