"""Every process that discoenv starts is listed, ends with its owner, and is removed by ``gc`` if it does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from discoenv.exams.examiner_client import ExaminerPool
from discoenv.machine import started
from discoenv.sandbox import inventory
from discoenv.sandbox.base import Limits
from discoenv.sandbox.local.process import ProcessSandbox
from tests.cli.commands import invoke
from tests.conftest import TOY
from tests.exams.test_examiner_pool import FOLDER, pid_of
from tests.sandbox.programs import until
from tests.sandbox.providers import python

HOST = """
import os, signal, sys
from pathlib import Path
from discoenv.tasks import registry
registry.BUILTIN = Path({toy!r})
from discoenv.exams.examiner_client import ExaminerPool
from discoenv.tasks.registry import get_domain
pool = ExaminerPool()
with pool.lease(get_domain("Toy").directory) as examiner:
    config = get_domain("Toy").config("Wave", "tiny")
    target = dict(dataset="Wave", scale="tiny", config=config, data=None)
    examiner.request("floor", target=target, seed=0)
    {then}
    print(examiner._process.pid, flush=True)
    signal.pause()
"""
WAYS = {
    "killed": "",
    "killed, while a child lives that has all its descriptors": """
    from discoenv.machine import forks
    forks._sockets.clear()
    if os.fork() == 0:
        signal.alarm(60)
        signal.pause()
""",
    "replaced by another program": """
    print(examiner._process.pid, flush=True)
    os.execvp("sleep", ["sleep", "60"])
""",
    "left without clean-up": """
    print(examiner._process.pid, flush=True)
    os._exit(0)
""",
}


@pytest.fixture
def runaway() -> Iterator[subprocess.Popen[bytes]]:
    """A process whose owner is dead, as an examiner would be that does not end with it."""
    stale = f"discoenv-examiner-{Path('/proc/self/ns/pid').stat().st_ino}-{os.getpid()}-1-"
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "Toy", stale])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("way", WAYS)
def test_an_examiner_ends_with_its_host(way: str) -> None:
    program = HOST.format(toy=str(TOY), then=WAYS[way])
    host = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert host.stdout is not None
    examiner = int(host.stdout.readline())
    if "killed" in way:
        assert psutil.pid_exists(examiner)
        host.kill()  # and not waited for: it stays a zombie
    until(lambda: not psutil.pid_exists(examiner) or psutil.Process(examiner).status() == psutil.STATUS_ZOMBIE)
    host.kill()
    host.wait()
    host.stdout.close()


def test_examiners_are_listed_with_their_owner() -> None:
    pool = ExaminerPool()
    with pool.lease(FOLDER) as examiner:
        pid = pid_of(examiner)
    (entry,) = [each for each in inventory.running() if each.name == str(pid)]
    assert (entry.provider, entry.owner_pid, entry.owner_lives) == ("examiner", os.getpid(), True)
    assert str(FOLDER) in entry.detail
    assert str(pid) in invoke("ps").output
    assert inventory.reap() == [] or psutil.pid_exists(pid), "what has an owner stays"
    pool.close()
    assert [each for each in started.started() if each.pid == pid] == []


def test_a_process_without_owner_is_shown_as_such_and_removed(runaway: subprocess.Popen[bytes]) -> None:
    until(lambda: runaway.pid in [each.pid for each in started.started()])
    (entry,) = [each for each in inventory.running() if each.name == str(runaway.pid)]
    assert not entry.owner_lives
    assert f"examiner {runaway.pid}" in inventory.reap()
    assert runaway.wait(10) == -signal.SIGKILL


def test_a_name_in_the_middle_of_an_argument_is_no_mark() -> None:
    text = "print('discoenv-examiner-1-2-3-x'); import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", text]) as process:
        time.sleep(0.1)
        assert process.pid not in [each.pid for each in started.started()]
        process.kill()


def test_commands_without_a_sandbox_are_listed_wherever_they_went() -> None:
    with pytest.warns(UserWarning, match="does not isolate"):
        ProcessSandbox._warned = False
        sandbox = ProcessSandbox()
        running = sandbox.start(python("import os, time; os.fork() or os.setsid(); time.sleep(60)"), Limits())
    until(lambda: len(own_commands()) >= 2)
    running.kill()
    assert own_commands() == []


def own_commands() -> list[started.StartedProcess]:
    return [each for each in started.started() if each.kind == "command" and each.owner_pid == os.getpid()]


COMMAND = """
import sys, time, warnings
warnings.simplefilter("ignore")
from discoenv.sandbox.base import Command, Limits
from discoenv.sandbox.local.process import ProcessSandbox
running = ProcessSandbox().start(Command(("python", "-c", "import time; time.sleep(100)"), cwd="/tmp"), Limits())
print("started", flush=True)
time.sleep(100)
"""


def test_a_command_without_a_sandbox_ends_with_its_host() -> None:
    host = subprocess.Popen([sys.executable, "-c", COMMAND], stdout=subprocess.PIPE)
    assert host.stdout is not None
    assert host.stdout.readline() == b"started\n"
    assert [each for each in started.started() if each.owner_pid == host.pid]
    host.kill()
    host.wait()
    host.stdout.close()
    until(lambda: not [each for each in started.started() if each.owner_pid == host.pid])
