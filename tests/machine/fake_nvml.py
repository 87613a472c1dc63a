"""The part of ``pynvml`` that is used, with the GPUs that a test wants."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class FakeNvml:
    """``count`` GPUs of 80 GiB; those in ``split`` are in MIG mode with two instances each.

    Attributes:
        used: bytes of memory in use, by UUID.
        watts: power drawn, by UUID; the energy counter stands at what was put into ``joules``.
        counts_energy: whether there is an energy counter.
    """

    class NVMLError(Exception):
        pass

    def __init__(self, count: int, split: tuple[int, ...] = (), *, broken: bool = False) -> None:
        self._count = count
        self._split = split
        self._broken = broken
        self.used: dict[str, int] = {}
        self.watts: dict[str, float] = {}
        self.joules: dict[str, float] = {}
        self.counts_energy = True

    def nvmlInit(self) -> None:  # noqa: N802
        if self._broken:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlShutdown(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self._count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:  # noqa: N802
        return ("GPU", index, 0)

    def nvmlDeviceGetUUID(self, handle: Any) -> str | bytes:  # noqa: N802
        kind, index, part = handle
        return f"GPU-{index:04d}" if kind == "GPU" else f"MIG-{index:04d}-{part}".encode()

    def nvmlDeviceGetName(self, handle: Any) -> str:  # noqa: N802
        return "Fake 80GB"

    def nvmlDeviceGetMinorNumber(self, handle: Any) -> int:  # noqa: N802
        return int(handle[1]) + 1

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any:  # noqa: N802
        used = self.used.get(self._uuid(handle), 0)
        return SimpleNamespace(total=(80 if handle[0] == "GPU" else 40) << 30, used=used)

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Any:  # noqa: N802
        for index in range(self._count):
            if uuid == f"GPU-{index:04d}":
                return ("GPU", index, 0)
        raise self.NVMLError("Not Found")

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int:  # noqa: N802
        if not self.counts_energy:
            raise self.NVMLError("Not Supported")
        return round(self.joules.get(self._uuid(handle), 0.0) * 1000)

    def nvmlDeviceGetPowerUsage(self, handle: Any) -> int:  # noqa: N802
        return round(self.watts.get(self._uuid(handle), 0.0) * 1000)

    def _uuid(self, handle: Any) -> str:
        uuid = self.nvmlDeviceGetUUID(handle)
        return uuid if isinstance(uuid, str) else uuid.decode()

    def nvmlDeviceGetMigMode(self, handle: Any) -> tuple[int, int]:  # noqa: N802
        if handle[1] not in self._split:
            raise self.NVMLError("Not Supported")
        return 1, 1

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Any) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, number: int) -> Any:  # noqa: N802
        if number not in (0, 3):
            raise self.NVMLError("Not Found")
        return ("MIG", handle[1], number)
