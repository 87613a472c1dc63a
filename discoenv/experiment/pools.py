"""Where the jobs of an experiment run: in this process, in worker processes, or on Dask. All take pickled work."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Protocol

from discoenv.experiment import worker
from discoenv.machine import streams

_environment = threading.RLock()


class WorkerPool(Protocol):
    """Runs pieces of work.

    Attributes:
        slots: how many pieces it takes at a time; None: any number.
    """

    slots: int | None

    def submit(self, payload: bytes) -> Future[Any]:
        """Begin a piece of work (see :func:`discoenv.experiment.worker.perform`)."""
        ...

    def close(self) -> None:
        """End the workers; work that still goes on is not waited for."""
        ...


class SerialPool:
    """This process."""

    slots: int | None = 1

    def submit(self, payload: bytes) -> Future[Any]:
        """Do the work now."""
        future: Future[Any] = Future()
        with one_thread_for_children(), _restored_path():
            future.set_result(worker.perform(payload))
        return future

    def close(self) -> None:
        """Nothing to do."""


class ProcessPool:
    """Worker processes, each with its own executor, so that the death of one does not affect the others.

    They are spawned, not forked: forks of processes with CUDA or JAX threads deadlock.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        self.slots: int | None = workers
        self._lanes: list[ProcessPoolExecutor | None] = [None] * workers
        self._busy: dict[int, Future[Any]] = {}

    def submit(self, payload: bytes) -> Future[Any]:
        """Give the work to an idle worker; a dead one is replaced."""
        lane = next(
            number for number in range(len(self._lanes)) if number not in self._busy or self._busy[number].done()
        )
        before = self._busy.get(lane)
        executor = self._lanes[lane]
        if executor is None or (before is not None and (before.cancelled() or before.exception() is not None)):
            self._end(lane)
            streams.fill()
            context = multiprocessing.get_context("spawn")
            executor = ProcessPoolExecutor(1, mp_context=context, initializer=worker.initialise)
            self._lanes[lane] = executor
        with one_thread_for_children():
            self._busy[lane] = executor.submit(worker.perform, payload)
        return self._busy[lane]

    def close(self) -> None:
        """End the workers: the idle ones now, the others when their work is done."""
        for lane in range(len(self._lanes)):
            self._end(lane)

    def _end(self, lane: int) -> None:
        """End a lane's worker; an idle one is waited for.

        Python 3.11 prints a traceback at exit where an executor's own thread is just closing its pipes.
        """
        executor, work = self._lanes[lane], self._busy.get(lane)
        if executor is not None:
            executor.shutdown(wait=work is None or work.done(), cancel_futures=True)


class DaskPool:
    """The workers of a Dask cluster. They may come and go: what a worker leaves behind, another begins anew.

    Args:
        client: a ``distributed.Client``.
        workers: most pieces at a time; None: as many as the cluster takes.
        resources: what a piece needs of a worker (its ``--resources``), such as ``{"GPU": 1}``.
    """

    def __init__(self, client: Any, workers: int | None = None, resources: Mapping[str, float] | None = None) -> None:
        self.slots = workers
        chosen: dict[str, Any] = {"resources": dict(resources)} if resources else {}
        self._executor = client.get_executor(pure=False, **chosen)

    def submit(self, payload: bytes) -> Future[Any]:
        """Give the work to the scheduler."""
        future: Future[Any] = self._executor.submit(worker.perform, payload)
        return future

    def close(self) -> None:
        """Cancel what has not begun."""
        self._executor.shutdown(wait=False)


@contextlib.contextmanager
def one_thread_for_children() -> Iterator[None]:
    """The environment in which workers are started, so that libraries find it before they are first imported."""
    with _environment:
        changes = worker.one_thread()
        before = {name: os.environ.get(name) for name in changes}
        os.environ.update(changes)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextlib.contextmanager
def _restored_path() -> Iterator[None]:
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = before
