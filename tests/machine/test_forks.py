"""A child made by ``os.fork()`` holds no locks and sockets of its parent's, and cleans up nothing of its parent's."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from discoenv.env import DiscoGenEnv
from discoenv.errors import InfraError, SandboxError
from discoenv.exams.examiner_client import ExaminerPool
from discoenv.exams.host import Host
from discoenv.machine import forks, locks, scratch
from discoenv.machine.cores import Cores, WaitEnded
from discoenv.sandbox.base import Limits, Sandbox
from discoenv.tasks.task import Task
from tests.conftest import TOY
from tests.exams.test_examiner_pool import FOLDER, pid_of
from tests.sandbox.providers import python


def in_child(function: Callable[[], object]) -> None:
    """Run a function in a forked child, which then leaves without the clean-up of programs (the tests' would run)."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(60)
            function()
            code = 0
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture
def lingering() -> Iterator[Callable[[], int]]:
    """Forks children that only wait, and are ended after the test."""
    pids: list[int] = []

    def fork() -> int:
        ready, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(tell, b"x")
            signal.pause()
            os._exit(0)
        os.read(ready, 1)
        os.close(ready)
        os.close(tell)
        pids.append(pid)
        return pid

    yield fork
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_lock_is_free_when_its_holder_lets_it_go_although_a_child_lives(
    tmp_path: Path, lingering: Callable[[], int]
) -> None:
    held = locks.try_lock(tmp_path / "lock", fcntl.LOCK_EX)
    assert held is not None
    lingering()
    assert locks.try_lock(tmp_path / "lock", fcntl.LOCK_EX) is None
    locks.unlock(held)
    again = locks.try_lock(tmp_path / "lock", fcntl.LOCK_EX)
    assert again is not None
    locks.unlock(again)


def test_a_child_that_unwinds_does_not_free_its_parents_core(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(Cores(1, folder=tmp_path).hold())
        in_child(stack.close)
        attempts = iter([False, True])
        with (
            pytest.raises(WaitEnded),
            Cores(1, folder=tmp_path).hold(alone=True, give_up=lambda: next(attempts)),
        ):
            pass
    with Cores(1, folder=tmp_path).hold(alone=True):
        pass


def test_a_socket_ends_with_the_process_that_made_it_although_a_child_lives(lingering: Callable[[], int]) -> None:
    ours, theirs = socket.socketpair()
    forks.keep_socket(ours)
    lingering()
    ours.close()
    theirs.settimeout(5.0)
    assert theirs.recv(1) == b""
    theirs.close()


def test_a_directory_is_removed_by_its_owner_alone() -> None:
    directory = scratch.make()
    (directory / "workspace").mkdir()

    def remove() -> None:
        scratch.remove(directory / "workspace")
        scratch.remove(directory)

    in_child(remove)
    assert (directory / "workspace").is_dir()
    remove()
    assert not directory.exists()


@pytest.mark.parametrize("way", ["close", "end of scope"])
def test_a_child_leaves_an_episode_as_it_is(task: Task, sandbox: Sandbox, tmp_path: Path, way: str) -> None:
    made = [DiscoGenEnv(task=task, sandbox=sandbox.name, runs_dir=tmp_path / "runs")]
    _, info = made[0].reset(seed=0)
    made[0].step("run")
    files = sorted(Path(info["workspace"]).rglob("*"))

    def leave() -> None:
        with pytest.raises(InfraError, match=r"process \d+, whose child this is: save\(\) it there"):
            made[0].step("run")
        if way == "close":
            made[0].close()
        else:
            made.clear()
            gc.collect()

    in_child(leave)
    assert sorted(Path(info["workspace"]).rglob("*")) == files
    assert "meta_train" in made[0].step("run")[-1]
    made[0].close()
    assert not Path(info["workspace"]).exists()


EXITS = """
import os, sys
from pathlib import Path
from discoenv.tasks import registry
registry.BUILTIN = Path({toy!r})
from discoenv.env import DiscoGenEnv
env = DiscoGenEnv(task={task!r}, runs_dir=None)
_, info = env.reset(seed=0)
env.step("run")
pid = os.fork()
if pid == 0:
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert Path(info["workspace"]).is_dir()
assert "meta_train" in env.step({{"edits": [{{"path": "model.py", "content": "x = 1"}}]}})[-1]
env.close()
"""


def test_a_child_that_exits_leaves_its_parents_episode(task: Task) -> None:
    program = EXITS.format(toy=str(TOY), task=task.model_dump(mode="json"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_child_plays_with_an_environment_of_its_own(task: Task, tmp_path: Path) -> None:
    env = DiscoGenEnv(task=task, runs_dir=None)
    env.reset(seed=0)
    _, reward, *_ = env.step("submit")

    def play() -> None:
        own = DiscoGenEnv(task=task, runs_dir=None)
        own.reset(seed=0)
        assert own.step("submit")[1] == reward
        own.close()

    in_child(play)
    env.close()


def test_a_child_leaves_commands_and_examiners_alone(sandbox: Sandbox) -> None:
    pool = ExaminerPool()
    with pool.lease(FOLDER) as examiner:
        pid = pid_of(examiner)
    running = sandbox.start(python("import time; time.sleep(60)"), Limits())

    def leave() -> None:
        for method in (running.kill, running.wait):
            with pytest.raises(SandboxError, match="whose child this is"):
                method()
        sandbox.close()
        pool.close()
        with pool.lease(FOLDER) as other:
            assert pid_of(other) != pid
        pool.close()

    in_child(leave)
    assert running.poll()
    assert running.kill().reason == "killed"
    with pool.lease(FOLDER) as examiner:
        assert pid_of(examiner) == pid
    pool.close()


def test_closing_a_host_in_a_child_does_nothing() -> None:
    with Host() as host:
        group = host.group()
        in_child(host.close)
        assert not group.cancelled
