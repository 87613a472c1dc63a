"""Examiner processes are kept warm between exams, within limits, and end with their pool."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import psutil
import pytest

from discoenv.env import DiscoGenEnv
from discoenv.errors import InfraError
from discoenv.exams.examiner_client import ExaminerPool, ExaminerProcess
from discoenv.tasks.domain import Domain
from tests.conftest import TOY

FOLDER = TOY / "Toy"
TARGET = {
    "dataset": "Wave",
    "scale": "tiny",
    "config": Domain(FOLDER).config("Wave", "tiny"),
    "data": None,
}


def pid_of(process: ExaminerProcess) -> int:
    process.request("floor", target=TARGET, seed=0)
    assert process._process is not None
    return process._process.pid


def test_an_exam_takes_the_process_of_the_one_before() -> None:
    pool = ExaminerPool()
    with pool.lease(FOLDER) as first:
        pid = pid_of(first)
    with pool.lease(FOLDER) as again, pool.lease(FOLDER) as at_the_same_time:
        assert pid_of(again) == pid
        assert pid_of(at_the_same_time) != pid
    pool.close()
    pool.close()
    assert not psutil.pid_exists(pid)


def test_no_more_processes_wait_than_allowed_and_the_last_used_stay(tmp_path: Path) -> None:
    other = tmp_path / "Toy"
    other.symlink_to(FOLDER)
    pool = ExaminerPool(idle=1)
    with pool.lease(FOLDER) as toy:
        first = pid_of(toy)
    with pool.lease(other) as toy:
        second = pid_of(toy)
    assert not psutil.pid_exists(first)
    assert psutil.pid_exists(second)
    pool.close()
    with pool.lease(FOLDER) as toy:  # works after closing, but nothing waits any more
        third = pid_of(toy)
    assert not psutil.pid_exists(third)


def test_a_process_whose_exam_broke_is_not_used_again() -> None:
    pool = ExaminerPool()
    with pytest.raises(InfraError), pool.lease(FOLDER) as process:
        pid = pid_of(process)
        process.request("floor", target={**TARGET, "dataset": "unheard-of"}, seed=0)
    assert not psutil.pid_exists(pid)
    pool.close()


def test_a_pool_without_a_holder_ends_its_processes() -> None:
    pool = ExaminerPool()
    with pool.lease(FOLDER) as process:
        pid = pid_of(process)
    del pool, process
    gc.collect()
    assert not psutil.pid_exists(pid)


def test_episodes_of_an_environment_share_an_examiner_and_closing_leaves_no_process(toy: Domain) -> None:
    env = DiscoGenEnv(domain="Toy", scale="tiny", runs_dir=None, max_steps=1, sampling={"test_seeds": 1})
    me, seen = psutil.Process(), []
    for seed in (0, 1):
        env.reset(seed=seed)
        env.step("submit")
        # one that is ending meanwhile has no command line
        known = [child.as_dict(["pid", "cmdline"]) for child in me.children()]
        seen.append({each["pid"] for each in known if "discoenv.exams.examiner_process" in (each["cmdline"] or [])})
    env.close()
    assert len(seen[0]) == 1
    assert seen[0] == seen[1]
    assert not any(psutil.pid_exists(pid) for pid in seen[1])


def test_many_threads_share_a_pool() -> None:
    pool = ExaminerPool(idle=2)
    pids: list[int] = []

    def play() -> None:
        for _ in range(3):
            with pool.lease(FOLDER) as process:
                pids.append(pid_of(process))

    threads = [threading.Thread(target=play) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 12
    pool.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
