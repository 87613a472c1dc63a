"""Programs that are hard to end, and a look at what is left of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from discoenv.machine.processes import descendants

#: A program whose grandchild leaves its session, ignores SIGTERM and, when it has said so, stays. The program itself
#: then ends after ``stay`` seconds.
DAEMON = """
import os, signal, time  # {mark}
told, tell = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("daemon", flush=True)
        os.write(tell, b"!")
        time.sleep(600)
    os._exit(0)
os.read(told, 1)
time.sleep({stay})
"""


def processes_with(mark: str) -> list[int]:
    """Pids of processes whose command line contains ``mark``."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for ``condition``, which another process or thread brings about; fails if it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def bubblewrap_waits(host: int) -> bool:
    """Whether both processes of bubblewrap below process ``host`` only wait.

    Its first process inside ties its life to that of its parent only just after the command has started.
    """
    states = [each.state for each in descendants(host) if _name(each.pid) == "bwrap"]
    return states == ["S", "S"]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
