"""Nothing outlives its command, whatever it does and whoever dies first."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from discoenv.sandbox import Command, Limits, Outcome, Running
from discoenv.sandbox.local.bubblewrap import BubblewrapSandbox
from discoenv.sandbox.local.cgroup import find_place, reap

Run = Callable[..., Outcome]
pytestmark = pytest.mark.usefixtures("each_way_of_counting")
REPOSITORY = Path(__file__).resolve().parents[2]

DAEMON = """
import os, sys, signal, time  # {mark}
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("daemon", flush=True)
        time.sleep(600)
    os._exit(0)
time.sleep({stay})
"""


@pytest.fixture
def mark() -> Iterator[str]:
    """A word to put in a program's text; nothing with it may be left."""
    word = uuid.uuid4().hex
    yield word
    assert processes_with(word) == []


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


def test_a_daemon_dies_when_the_command_ends(run: Run, mark: str) -> None:
    outcome = run(DAEMON.format(mark=mark, stay=0.2))
    assert (outcome.reason, outcome.exit_code, outcome.stdout) == ("exited", 0, "daemon\n")


def test_a_daemon_dies_at_the_wall_limit(run: Run, mark: str) -> None:
    outcome = run(DAEMON.format(mark=mark, stay=600), wall_s=1.0)
    assert outcome.reason == "wall_time"


def test_a_daemon_dies_on_kill(sandbox: BubblewrapSandbox, mark: str) -> None:
    running = sandbox.start(Command(("python", "-c", DAEMON.format(mark=mark, stay=600)), cwd="/tmp"), Limits())
    assert processes_with(mark)
    running.kill()


def test_closing_the_sandbox_kills_what_runs(sandbox: BubblewrapSandbox, mark: str) -> None:
    command = Command(("python", "-c", f"while True: pass  # {mark}"), cwd="/tmp")
    running = [sandbox.start(command, Limits()) for _ in range(2)]
    sandbox.close()
    sandbox.close()
    assert [each.wait().reason for each in running] == ["killed", "killed"]


def test_an_interrupted_run_is_killed(sandbox: BubblewrapSandbox, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from discoenv.sandbox.local.running import LocalRunning

    wait = LocalRunning.wait
    interrupts = iter([True])

    def interrupted(self: Running, timeout_s: float | None = None) -> Outcome:
        if next(interrupts, False):
            raise KeyboardInterrupt
        assert isinstance(self, LocalRunning)
        return wait(self, timeout_s)

    monkeypatch.setattr(LocalRunning, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(Command(("python", "-c", f"while True: pass  # {mark}"), cwd="/tmp"), Limits())


HOST = """
import sys, time
sys.path.insert(0, {repository!r})
from discoenv.sandbox.local.bubblewrap import BubblewrapSandbox
from discoenv.sandbox import Command, Limits
running = BubblewrapSandbox().start(Command(("python", "-c", {code!r}), cwd="/tmp"), Limits())
print("started", flush=True)
{then}
"""


def start_host(code: str, then: str) -> subprocess.Popen[bytes]:
    source = HOST.format(repository=str(REPOSITORY), code=code, then=then)
    host = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE)
    assert host.stdout
    assert host.stdout.readline() == b"started\n"
    return host


def wait_until_gone(mark: str) -> None:
    deadline = time.monotonic() + 20
    while processes_with(mark) and time.monotonic() < deadline:
        time.sleep(0.01)


def cgroups_of(pid: int) -> list[Path]:
    place = find_place()
    parents = set(place.parents.values()) if place else set()
    return [group for parent in parents for group in parent.glob(f"discoenv-*-{pid}-*")]


def test_nothing_survives_the_killing_of_the_host_process(sandbox: BubblewrapSandbox, mark: str) -> None:
    host = start_host(DAEMON.format(mark=mark, stay=600), "time.sleep(600)")
    assert processes_with(mark)
    time.sleep(0.3)  # bubblewrap's first process ties its life to its parent's only just after the command has started
    host.kill()
    host.communicate()
    wait_until_gone(mark)
    assert processes_with(mark) == []

    place = find_place()
    if place:  # nobody was there to remove them, unless another test's start has done so
        reap(place)
    assert cgroups_of(host.pid) == []


def test_nothing_survives_a_normal_end_of_the_host_process(sandbox: BubblewrapSandbox, mark: str) -> None:
    host = start_host(DAEMON.format(mark=mark, stay=600), "")
    host.communicate(timeout=30)
    assert processes_with(mark) == []
    assert cgroups_of(host.pid) == []


def test_an_interrupt_at_the_terminal_does_not_reach_the_command(sandbox: BubblewrapSandbox) -> None:
    running = sandbox.start(
        Command(("python", "-c", "import os; print(os.getsid(0), os.getppid())"), cwd="/tmp"), Limits()
    )
    assert running.wait().stdout == "1 1\n"


def test_descriptors_are_not_leaked(run: Run) -> None:
    run("")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        run("")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_command_inherits_no_descriptor(run: Run) -> None:
    outcome = run(
        "import os; print(sorted(int(fd) for fd in os.listdir('/proc/self/fd'))[:-1], os.readlink('/proc/self/fd/0'))"
    )
    assert outcome.stdout == "[0, 1, 2] /dev/null\n"
