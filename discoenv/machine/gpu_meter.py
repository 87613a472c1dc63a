"""What an exam used of its GPU: peak memory and, where the driver counts none, energy, sampled through NVML.

The readings are the whole device's, less what it held before the start: lease it alone where they matter.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from discoenv.errors import SandboxError
from discoenv.machine.gpus import pynvml

_INTERVAL_S = 0.02


class GpuMeter:
    """Samples one device from :meth:`start` to :meth:`stop`.

    Args:
        uuid: the device, ``GPU-…`` or ``MIG-…``.
        nvml: a module like ``pynvml``, for tests.

    Attributes:
        method: ``nvml`` if the driver counts energy itself; ``nvml-power`` if power is sampled and summed up.
        joules: reads the energy drawn so far; its zero is arbitrary.

    Raises:
        SandboxError: NVML cannot read the device.
    """

    def __init__(self, uuid: str, nvml: Any = None) -> None:
        self._nvml = nvml or pynvml()
        self._handle = self._ask(lambda: self._opened(uuid))
        self._peak = self._before = 0
        self._sampled_joules = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.method = "nvml"
        self.joules: Callable[[], float] = self._counted
        try:
            self._counted()
        except self._nvml.NVMLError:  # before Volta, and in instances
            self.method, self.joules = "nvml-power", lambda: self._sampled_joules

    def start(self) -> None:
        """Note what the device holds already, and begin to sample."""
        self._before = self._peak = self._ask(self._used)
        if self.method == "nvml-power":
            self._ask(self._watts)
        self._thread = threading.Thread(target=self._sample, name="gpu-meter", daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """End sampling; the most bytes of device memory held since :meth:`start`, on top of what was held before."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        return self._peak - self._before

    def _opened(self, uuid: str) -> Any:
        self._nvml.nvmlInit()
        return self._nvml.nvmlDeviceGetHandleByUUID(uuid)

    def _sample(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(_INTERVAL_S):
            with contextlib.suppress(self._nvml.NVMLError):  # a reading that fails is made up for by the next
                self._peak = max(self._peak, self._used())
                if self.method == "nvml-power":
                    now = time.monotonic()
                    self._sampled_joules += self._watts() * (now - last)
                    last = now

    def _used(self) -> int:
        return int(self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used)

    def _counted(self) -> float:
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) * 1e-3

    def _watts(self) -> float:
        return float(self._nvml.nvmlDeviceGetPowerUsage(self._handle)) * 1e-3

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except self._nvml.NVMLError as error:
            raise SandboxError(f"the GPU cannot be measured: NVML says {error}") from error
