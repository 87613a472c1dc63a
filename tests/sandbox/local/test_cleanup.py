"""Nothing outlives its command, no matter which process dies first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from discoenv.sandbox import Limits, Outcome, Sandbox
from discoenv.sandbox.local.cgroup import find_place, reap
from tests.sandbox.programs import DAEMON, bubblewrap_waits, processes_with, until
from tests.sandbox.providers import REPOSITORY, WAYS_OF_COUNTING, python

Run = Callable[..., Outcome]
StartHost = Callable[[str, str], subprocess.Popen[bytes]]
pytestmark = pytest.mark.parametrize("provider", WAYS_OF_COUNTING, indirect=True)

HOST = """
import sys, time
sys.path.insert(0, {repository!r})
from discoenv.sandbox.local import bubblewrap
from discoenv.sandbox import Command, Limits
if {way!r} == "watched":
    bubblewrap.usable_place = lambda: None
running = bubblewrap.BubblewrapSandbox().start(Command(("python", "-c", {code!r}), cwd="/tmp"), Limits())
print("started", flush=True)
{then}
"""


@pytest.fixture
def start_host(request: pytest.FixtureRequest, sandbox: Sandbox) -> StartHost:
    """``start_host(code, then)``: a process that has started a sandboxed program, and goes on with ``then``."""
    way = request.node.callspec.params["provider"]

    def start(code: str, then: str) -> subprocess.Popen[bytes]:
        source = HOST.format(repository=str(REPOSITORY), way=way, code=code, then=then)
        host = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE)
        assert host.stdout
        assert host.stdout.readline() == b"started\n"
        return host

    return start


def cgroups_of(pid: int) -> list[Path]:
    place = find_place()
    parents = set(place.parents.values()) if place else set()
    return [group for parent in parents for group in parent.glob(f"discoenv-*-{pid}-*")]


def test_nothing_survives_the_killing_of_the_host_process(start_host: StartHost, mark: str) -> None:
    host = start_host(DAEMON.format(mark=mark, stay=600), "time.sleep(600)")
    until(lambda: processes_with(mark))
    until(lambda: bubblewrap_waits(host.pid))
    host.kill()
    host.communicate()
    until(lambda: not processes_with(mark))

    place = find_place()
    if place:  # nothing was there to remove them, unless another test's start has done so
        reap(place)
    assert cgroups_of(host.pid) == []


def test_nothing_survives_a_normal_end_of_the_host_process(start_host: StartHost, mark: str) -> None:
    host = start_host(DAEMON.format(mark=mark, stay=600), "")
    host.communicate(timeout=120)
    assert processes_with(mark) == []
    assert cgroups_of(host.pid) == []


def test_an_interrupt_at_the_terminal_does_not_reach_the_command(sandbox: Sandbox) -> None:
    assert sandbox.run(python("import os; print(os.getsid(0), os.getppid())"), Limits()).stdout == "1 1\n"


def test_descriptors_are_not_leaked(run: Run) -> None:
    run("")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        run("")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
