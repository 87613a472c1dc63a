"""Runs jobs in threads while what they report reaches the caller's own thread, one at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

Result = TypeVar("Result")
Report = TypeVar("Report")

_POLL_S: Final = 0.1


class Stopped(RuntimeError):
    """A job reports something or is about to begin, but another has failed, or the caller was interrupted."""


def run_jobs(
    jobs: Sequence[Callable[[Callable[[Report], None]], Result]],
    *,
    at_once: int,
    on_report: Callable[[Report], None],
    stop: Callable[[], None],
) -> list[Result]:
    """Run jobs, at most ``at_once`` of them at a time, begun in their order, and return their results in that order.

    The first exception, be it a job's, ``on_report``'s or an interruption of the wait, ends the others, and is raised
    when they have ended.

    Args:
        jobs: each is called with a function that reports: it calls ``on_report`` in the caller's thread, and returns
            after that has.
        at_once: 1: the jobs run in the caller's thread.
        on_report: called in the caller's thread only.
        stop: makes jobs end that are running, from the caller's thread; those that have not begun never do.
    """
    if at_once == 1:
        return [job(on_report) for job in jobs]
    failed, stopped = threading.Event(), threading.Event()
    events: queue.SimpleQueue[Future[Result] | tuple[Report, threading.Event]] = queue.SimpleQueue()

    def report(message: Report) -> None:
        handled = threading.Event()
        events.put((message, handled))
        while not handled.wait(_POLL_S):
            if stopped.is_set():
                raise Stopped("the exams beside this one have ended")

    def begin(job: Callable[[Callable[[Report], None]], Result]) -> Result:
        if failed.is_set():  # the thread of the failed job can begin the next one before the caller's thread looks
            raise Stopped("an exam before this one has failed")
        try:
            return job(report)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(at_once, thread_name_prefix="discoenv-exam") as threads:
        try:
            futures = [threads.submit(begin, job) for job in jobs]
            for future in futures:
                future.add_done_callback(events.put)
            left = len(futures)
            while left:
                event = events.get()
                if isinstance(event, Future):
                    if not isinstance(event.exception(), Stopped):  # the original exception follows
                        event.result()
                    left -= 1
                else:
                    on_report(event[0])
                    event[1].set()
        except BaseException:
            stopped.set()
            threads.shutdown(wait=False, cancel_futures=True)
            stop()
            raise
    return [future.result() for future in futures]
