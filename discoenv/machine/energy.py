"""Energy, measured from outside the learner: what an exam drew while it ran, by the best method this machine offers.

In order of preference, and added up where they cover different devices: the GPU's own energy counter (NVML), the
processor package's (RAPL), or an estimate from the CPU seconds of the learner's processes, labelled as one. Counters
cover the whole device, so run energy tasks one at a time on an otherwise idle machine. The GPU's memory is metered with
its energy.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from discoenv.machine.gpu_meter import GpuMeter

#: Power of one busy core in the estimate, in watts: the order of magnitude of laptop and server cores under load.
CORE_WATTS: Final = 10.0
_RAPL = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Energy:
    """Energy of one exam.

    Attributes:
        joules: what was drawn.
        method: ``nvml``, ``nvml-power`` (power, sampled), ``rapl``, ``estimate``, or several joined by ``+``.
        uncertainty: relative, one standard deviation, as the method's makers or we estimate it.
        idle_watts: power drawn just before the start, by the same counters; 0 for the estimate.
        watts_of: power by counter, mean over the exam.
    """

    joules: float
    method: str
    uncertainty: float
    idle_watts: float = 0.0
    watts_of: dict[str, float] = field(default_factory=dict)


#: A cumulative counter: its name, its method, and a function that reads joules.
Counter = tuple[str, str, Callable[[], float]]

_UNCERTAINTY = {"nvml": 0.05, "nvml-power": 0.2, "rapl": 0.05, "estimate": 0.5}
_IDLE_S = 0.2


class EnergyMeter:
    """Reads the counters around one exam.

    Args:
        gpu: meter of the GPU that the learner uses alone, if any.
        counters: those of the rest of the machine; None finds them, an empty list leaves the estimate.
    """

    def __init__(self, gpu: GpuMeter | None = None, counters: list[Counter] | None = None) -> None:
        self._gpu = gpu
        self._counters = rapl_counters() if counters is None else list(counters)
        if gpu is not None:
            self._counters.append(("gpu", gpu.method, gpu.joules))
        self._begin: dict[str, float] = {}
        self._time = 0.0
        self._idle_watts = 0.0

    def start(self) -> None:
        """Measure idle power for 0.2 s where there are counters, then begin."""
        if self._gpu is not None:
            self._gpu.start()
        if self._counters:
            before = self._read()
            time.sleep(_IDLE_S)
            after = self._read()
            self._idle_watts = sum(after.values()) / _IDLE_S - sum(before.values()) / _IDLE_S
        self._begin = self._read()
        self._time = time.monotonic()

    def stop(self, cpu_s: float) -> Energy:
        """The energy since :meth:`start`. ``cpu_s``: CPU seconds of the learner's tree, for the estimate."""
        seconds = max(time.monotonic() - self._time, 1e-9)
        drawn = {name: joules - self._begin[name] for name, joules in self._read().items()}
        methods = {method for name, method, _ in self._counters if name in drawn}
        joules = sum(drawn.values())
        if "rapl" not in methods:
            methods.add("estimate")
            joules += cpu_s * CORE_WATTS
        return Energy(
            joules=joules,
            method="+".join(sorted(methods)),
            uncertainty=max(_UNCERTAINTY[method] for method in methods),
            idle_watts=self._idle_watts,
            watts_of={name: value / seconds for name, value in drawn.items()},
        )

    def stop_gpu(self) -> int:
        """Peak bytes of GPU memory since :meth:`start`; 0 without a GPU. Ends the sampling; safe to call again."""
        return 0 if self._gpu is None else self._gpu.stop()

    def _read(self) -> dict[str, float]:
        return {name: read() for name, _, read in self._counters}


def rapl_counters(root: Path = _RAPL) -> list[Counter]:
    """One counter per processor package whose RAPL zone we may read; wrap-around is undone."""
    counters: list[Counter] = []
    for zone in sorted(root.glob("intel-rapl:[0-9]*")):
        if ":" in zone.name.removeprefix("intel-rapl:"):
            continue  # a part of a package, counted with it
        with contextlib.suppress(OSError, ValueError):
            span = float((zone / "max_energy_range_uj").read_text()) * 1e-6
            counters.append((zone.name, "rapl", _unwrapped(zone / "energy_uj", span)))
    return counters


def _unwrapped(path: Path, span: float) -> Callable[[], float]:
    last, turns = float(path.read_text()) * 1e-6, 0

    def read() -> float:
        nonlocal last, turns
        now = float(path.read_text()) * 1e-6
        turns += now < last
        last = now
        return now + turns * span

    return read
