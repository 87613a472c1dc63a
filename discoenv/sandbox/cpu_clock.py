"""CPU seconds of a command's whole tree, read by any process of this machine while the command runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from discoenv.machine.processes import Threads, descendants, threads, threads_of


@dataclass(frozen=True)
class CpuClock:
    """Where to look; plain values, which can be sent to another process.

    Attributes:
        file: a control group's ``cpuacct.usage`` (version 1) or ``cpu.stat`` (version 2). It counts everything.
        root: where there is none, the process below which all are added up. What a child used is lost if its
            parent did not wait for it, and time is counted in ticks of 10 ms.
        members: the control group's list of threads.
    """

    file: str = ""
    root: int = 0
    members: str = ""

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

    def threads(self) -> Threads:
        """What the threads of the tree do now; none are seen once the tree is gone."""
        if not self.members:
            found = descendants(self.root) if self.root else []
            return threads(tid for seen in found for tid in threads_of(seen.pid))
        try:
            return threads(map(int, Path(self.members).read_text().split()))
        except OSError:
            return threads(())


def clock_of_groups(version: int, groups: dict[str, Path]) -> CpuClock | None:
    """The clock of a tree in control groups, by controller; None if the CPU controller is not among them."""
    if version == 2:
        return CpuClock(str(groups["cpu"] / "cpu.stat"), members=str(groups["cpu"] / "cgroup.threads"))
    if "cpuacct" not in groups:
        return None
    return CpuClock(str(groups["cpuacct"] / "cpuacct.usage"), members=str(groups["cpuacct"] / "tasks"))
