"""CPU seconds of a command's whole tree, read by any process of this machine while the command runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from discoenv.machine.processes import descendants


@dataclass(frozen=True)
class CpuClock:
    """Where to look; plain values, which can be sent to another process.

    Attributes:
        file: a control group's ``cpuacct.usage`` (version 1) or ``cpu.stat`` (version 2). It counts everything.
        root: where there is none, the process below which all are added up. What a child used is lost if its
            parent did not wait for it, and time is counted in ticks of 10 ms.
    """

    file: str = ""
    root: int = 0

    def read(self) -> float:
        """CPU seconds so far; 0 once the tree is gone."""
        if not self.file:
            return sum(seen.cpu_s for seen in descendants(self.root)) if self.root else 0.0
        try:
            text = Path(self.file).read_text()
        except OSError:
            return 0.0
        if text.startswith("usage_usec"):
            return int(text.split(maxsplit=2)[1]) / 1e6
        return int(text) / 1e9


def clock_of_groups(version: int, groups: dict[str, Path]) -> CpuClock | None:
    """The clock of a tree in control groups, by controller; None if the CPU controller is not among them."""
    if version == 2:
        return CpuClock(str(groups["cpu"] / "cpu.stat"))
    return CpuClock(str(groups["cpuacct"] / "cpuacct.usage")) if "cpuacct" in groups else None
