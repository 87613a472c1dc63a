"""Jobs beside each other: how many at a time, in which order, and what ends them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from discoenv.exams.jobs import Stopped, run_jobs

Report = Callable[[str], None]


def nothing() -> None:
    """No job needs to be stopped."""


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_results_come_in_the_order_of_the_jobs(at_once: int) -> None:
    jobs = [lambda report, number=number: number**2 for number in range(5)]
    assert run_jobs(jobs, at_once=at_once, on_report=print, stop=nothing) == [0, 1, 4, 9, 16]


def test_as_many_run_as_may_and_no_more() -> None:
    now, most = 0, 0
    lock, both_here = threading.Lock(), threading.Barrier(2)

    def job(report: Report) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        both_here.wait(60)
        with lock:
            now -= 1

    run_jobs([job] * 6, at_once=2, on_report=print, stop=nothing)
    assert most == 2


@pytest.mark.parametrize("at_once", [1, 3])
def test_reports_reach_the_caller_s_thread_before_the_job_goes_on(at_once: int) -> None:
    told: list[str] = []
    threads: set[threading.Thread] = set()

    def on_report(message: str) -> None:
        threads.add(threading.current_thread())
        told.append(message)

    def job(number: int, report: Report) -> None:
        report(f"{number} begins")
        assert f"{number} begins" in told
        report(f"{number} ends")

    jobs = [lambda report, number=number: job(number, report) for number in range(6)]
    run_jobs(jobs, at_once=at_once, on_report=on_report, stop=nothing)
    assert threads == {threading.current_thread()}
    assert sorted(told) == sorted(f"{number} {what}" for number in range(6) for what in ("begins", "ends"))
    assert all(told.index(f"{number} begins") < told.index(f"{number} ends") for number in range(6))


def test_one_failure_ends_the_others_and_none_begins_after_it() -> None:
    both_here, stopped, begun = threading.Barrier(2), threading.Event(), []

    def waits(report: Report) -> None:
        begun.append("waits")
        both_here.wait(60)
        assert stopped.wait(60)

    def fails(report: Report) -> None:
        begun.append("fails")
        both_here.wait(60)
        raise KeyError("one")

    with pytest.raises(KeyError, match="one"):
        run_jobs([waits, fails, waits, waits], at_once=2, on_report=print, stop=stopped.set)
    assert sorted(begun) == ["fails", "waits"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("discoenv-exam")]


def test_an_interruption_of_the_caller_ends_all() -> None:
    stopped, all_here = threading.Event(), threading.Barrier(3)
    ends: list[str] = []

    def job(report: Report) -> None:
        all_here.wait(60)
        try:
            report("here")
            assert stopped.wait(60)
            report("after the end")
        except Stopped:
            ends.append("stopped")

    def interrupt(message: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs([job] * 3, at_once=3, on_report=interrupt, stop=stopped.set)
    assert ends == ["stopped"] * 3
