"""Runs a function for every pair of a configuration and a seed, in a pool; nothing is lost, and nothing done twice.

Jobs are ordered by configuration, then seed. Each has a folder, in which its worker writes its state and result, so
that an experiment that was killed goes on where it was. Workers are new Python processes: a script that calls this
needs ``if __name__ == "__main__":``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from discoenv.errors import ExperimentError
from discoenv.experiment import sealed
from discoenv.experiment.configurations import Config
from discoenv.experiment.layout import (
    ExperimentFolder,
    JobState,
    JobStatus,
    OnExists,
    digest,
    dumps,
    forget_result,
    read_result,
)
from discoenv.experiment.pools import DaskPool, ProcessPool, SerialPool, WorkerPool
from discoenv.experiment.worker import GRACE_S, Job, WorkerSettings
from discoenv.machine import atomic

_POLL_S: Final = 0.2
#: How long a killed experiment's workers may take to notice, seconds.
_PATIENCE_S: Final = 30.0

RunFunction = Callable[[dict[str, Any], int, str, Path], Any]


@dataclass(frozen=True)
class Finished:
    """A job whose fate is known.

    Attributes:
        config: its configuration.
        seed: its seed.
        logdir: its folder.
        state: ``done``, ``failed`` or ``infra``.
        message: why it failed, in one line.
    """

    config: dict[str, Any]
    seed: int
    logdir: Path
    state: JobState
    message: str


class ExperimentFailed(ExperimentError):
    """Some jobs failed; all others are done.

    Attributes:
        failures: the jobs.
    """

    def __init__(self, failures: Sequence[Finished], jobs: int) -> None:
        lines = [f"{each.logdir}: {each.state}: {each.message}" for each in failures[:10]]
        more = [f"… and {len(failures) - 10} more"] if len(failures) > 10 else []
        message = "\n".join([f"{len(failures)} of {jobs} jobs failed (see error.txt in each folder):", *lines, *more])
        super().__init__(message)
        self.failures = list(failures)


@dataclass
class _Chunk:
    """Jobs that one worker does in turn."""

    jobs: list[Job]
    submitted: float = field(default_factory=time.time)


def run_experiment(
    run: RunFunction,
    config: Config | Sequence[dict[str, Any]],
    seeds: Sequence[int],
    log_dir: str | Path,
    max_workers: int | None = None,
    chunksize: int = 1,
    use_gpu: bool = False,
    gpu_ids: Sequence[int] | None = None,
    *,
    gpu_slots: int = 1,
    config_seed: int | None = None,
    on_exists: OnExists = "error",
    redo_failed: bool = True,
    raise_on_error: bool = True,
    infra_errors: Sequence[type[BaseException]] = (),
    retries: int = 0,
    job_timeout_s: float | None = None,
    client: Any = None,
    resources: Mapping[str, float] | None = None,
    verbose: bool = True,
    pickles: bool = True,
    on_finished: Callable[[Finished], None] = lambda finished: None,
) -> list[Any]:
    """Call ``run(config, seed, device, logdir)`` for every configuration and seed.

    Args:
        run: any function, a lambda too; ``device`` is ``cpu`` or ``cuda:<n>``, ``logdir`` the job's own folder
            (:class:`discoenv.experiment.Checkpoint` keeps there what it needs to go on).
        config: the configurations, or a list of dicts each with an ``ID``.
        seeds: different integers.
        log_dir: the experiment's folder, see :mod:`discoenv.experiment.layout`.
        max_workers: worker processes, at most one per job; None or 0: all jobs in this process, one after another;
            -1: one per core. With a ``client``: most jobs at a time, None or 0 for as many as there is room for.
        chunksize: jobs that a worker is given at a time.
        use_gpu: whether each job gets a GPU, else the processor.
        gpu_ids: which, as CUDA numbers them; None: all that are visible.
        gpu_slots: jobs that share a GPU. Jobs wait for a free slot, those of other experiments on the machine too.
        config_seed: seed of the configurations' random draws.
        on_exists: if ``log_dir`` is not empty: ``error``; ``resume``: with the recorded draws, run the jobs that are
            not done or whose configuration has changed; ``clean``: remove it; ``backup``: rename it to ``old_…``.
        redo_failed: whether to resume is to run jobs again that failed by themselves (``failed``, not ``infra``).
        raise_on_error: raise when all jobs have ended, if some failed.
        infra_errors: exceptions of ``run`` that are the machine's fault: the job is tried again, then is ``infra``.
        retries: how often a job is tried again after such an exception or the death of its worker.
        job_timeout_s: a job that takes longer is killed, and has failed.
        client: a ``distributed.Client`` whose workers do the jobs; they need ``log_dir`` under the same path.
        resources: what a job needs of a Dask worker, such as ``{"GPU": 1, "MEMORY": 4e9}``.
        verbose: whether workers print a line per job.
        pickles: whether pickles of an earlier run in ``log_dir`` are loaded, those that this user has written. False if
            the folder may be another's: configurations and results have to be plain values then.
        on_finished: called, in this process, when a job has ended for good.

    Returns:
        What ``run`` returned, by configuration, then seed; None for jobs that failed.

    Raises:
        ExperimentError: it cannot be started, and nothing was changed.
        ExperimentFailed: (an ExperimentError) jobs failed, and ``raise_on_error``.
        ValueError: an argument is out of range.
    """
    seeds = [int(seed) for seed in seeds]
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds: {seeds} has one twice, and both would have the same folder")
    if chunksize < 1 or gpu_slots < 1 or retries < 0 or (max_workers is not None and max_workers < -1):
        raise ValueError("chunksize and gpu_slots must be positive, retries not negative, and max_workers at least -1")
    if job_timeout_s is not None and client is not None:
        raise ValueError(
            "job_timeout_s: jobs on Dask cannot be killed one by one; give the cluster's jobs a time limit"
        )
    folder = ExperimentFolder(Path(log_dir), pickles=pickles)
    with contextlib.ExitStack() as stack:
        folder.make_way(on_exists)
        stack.enter_context(folder.locked())
        configs = _configs(config, folder, config_seed)
        jobs = [
            Job(number * len(seeds) + place, each, seed, folder.job(each["ID"], seed), digest(each))
            for number, each in enumerate(configs)
            for place, seed in enumerate(seeds)
        ]
        _wait_for_orphans(jobs)
        folder.write(configs, seeds, config_seed)
        folder.write_sources(run)
        terms = WorkerSettings(
            run,
            len(configs),
            tuple(infra_errors),
            use_gpu,
            None if gpu_ids is None else tuple(gpu_ids),
            gpu_slots,
            verbose,
            tuple(str(Path(entry).absolute()) for entry in sys.path),
            sealed.key() if pickles else None,
        )
        to_do = [job for job in jobs if not _is_settled(job, redo_failed)]
        pool = _pool(max_workers, len(to_do), client, resources, in_process=job_timeout_s is None)
        driver = _Driver(pool, terms, retries, job_timeout_s, on_finished)
        stack.callback(pool.close)
        driver.drive([_Chunk(to_do[start : start + chunksize]) for start in range(0, len(to_do), chunksize)])
    return _results(jobs, raise_on_error, pickles=pickles)


def _configs(
    config: Config | Sequence[dict[str, Any]], folder: ExperimentFolder, seed: int | None
) -> list[dict[str, Any]]:
    if not isinstance(config, Config):
        configs = [dict(each) for each in config]
        if len({each.get("ID") for each in configs}) != len(configs) or any("ID" not in each for each in configs):
            raise ValueError("config: each configuration needs a different ID")
        return configs
    recorded = folder.recorded()
    if seed is not None and folder.recorded_seed() != seed:
        recorded = []  # other draws are wanted
    return config.make_configs(seed, draws=recorded)


def _is_settled(job: Job, redo_failed: bool) -> bool:
    """Whether a job need not be run (again)."""
    status = JobStatus.read(job.logdir)
    if status.config != job.digest:
        return False
    if status.state == "done":
        return (job.logdir / "result.json").is_file()
    return status.state == "failed" and not redo_failed


def _pool(
    max_workers: int | None, jobs: int, client: Any, resources: Mapping[str, float] | None, *, in_process: bool
) -> WorkerPool:
    if client is not None:
        return DaskPool(client, max_workers if max_workers and max_workers > 0 else None, resources)
    if not max_workers and in_process:
        return SerialPool()
    workers = len(os.sched_getaffinity(0)) if max_workers == -1 else max_workers or 1
    return ProcessPool(max(1, min(workers, jobs)))


def _wait_for_orphans(jobs: Sequence[Job]) -> None:
    """Wait until workers of a killed run have ended, so that no job is run twice at the same time."""
    deadline = time.monotonic() + _PATIENCE_S
    for job in jobs:
        while (status := JobStatus.read(job.logdir)).is_run_elsewhere:
            if time.monotonic() > deadline:
                raise ExperimentError(f"{job.logdir} is still being run by process {status.pid}; stop that first")
            time.sleep(_POLL_S)


def _results(jobs: Sequence[Job], raise_on_error: bool, *, pickles: bool) -> list[Any]:
    results, failures = [], []
    for job in jobs:
        status = JobStatus.read(job.logdir)
        results.append(read_result(job.logdir, pickles=pickles) if status.state == "done" else None)
        if status.state != "done":
            failures.append(Finished(job.config, job.seed, job.logdir, status.state, status.message))
    if failures and raise_on_error:
        raise ExperimentFailed(failures, len(jobs))
    return results


class _Driver:
    """Keeps a pool busy until every job has ended."""

    def __init__(
        self,
        pool: WorkerPool,
        terms: WorkerSettings,
        retries: int,
        job_timeout_s: float | None,
        on_finished: Callable[[Finished], None],
    ) -> None:
        self._pool = pool
        self._terms = terms
        self._retries = retries
        self._timeout_s = job_timeout_s
        self._on_finished = on_finished
        self._tries: dict[int, int] = {}
        self._running: dict[Future[Any], _Chunk] = {}

    def drive(self, chunks: Sequence[_Chunk]) -> None:
        """Run all; on Ctrl-C, what runs is asked to stop, and what waits is not begun."""
        waiting = deque(chunks)
        try:
            while waiting or self._running:
                while waiting and (self._pool.slots is None or len(self._running) < self._pool.slots):
                    self._submit(waiting.popleft())
                done = wait(self._running, timeout=_POLL_S, return_when=FIRST_COMPLETED).done
                self._kill_late_jobs()
                for future in done:
                    again = self._collect(self._running.pop(future), _error(future))
                    waiting.extend(again)
        except BaseException:
            self._stop()
            raise

    def _submit(self, chunk: _Chunk) -> None:
        for job in chunk.jobs:  # from now on, what a job's status says is of this attempt
            before = JobStatus.read(job.logdir)
            forget_result(job.logdir)
            JobStatus("pending", job.digest, before.attempts).write(job.logdir)
        payload = dumps((self._terms.path, dumps((self._terms, chunk.jobs))))
        chunk.submitted = time.time()
        self._running[self._pool.submit(payload)] = chunk

    def _collect(self, chunk: _Chunk, error: BaseException | None) -> list[_Chunk]:
        """Note what became of the jobs of a chunk; those that are to be run again."""
        again = []
        for job in chunk.jobs:
            status = JobStatus.read(job.logdir)
            if status.state in ("pending", "running", "interrupted"):
                if error is None or not _worker_died(error):
                    raise error or ExperimentError(f"{job.logdir}: its worker ended, but the job has not")
                victim = status.state != "pending" or len(chunk.jobs) == 1
                if not victim:
                    again.append(_Chunk([job]))
                    continue
                status = status.but(state="infra", message=f"its worker died: {_brief(error)}", ended=time.time())
                status.write(job.logdir)
            if status.state == "infra" and self._may_try_again(job):
                again.append(_Chunk([job]))
            else:
                self._on_finished(Finished(job.config, job.seed, job.logdir, status.state, status.message))
        return again

    def _may_try_again(self, job: Job) -> bool:
        self._tries[job.index] = self._tries.get(job.index, 0) + 1
        return self._tries[job.index] <= self._retries

    def _kill_late_jobs(self) -> None:
        if self._timeout_s is None:
            return
        for chunk in self._running.values():
            for job in chunk.jobs:
                status = JobStatus.read(job.logdir)
                if status.state == "running" and time.time() - (status.started or 0) > self._timeout_s:
                    message = f"it took longer than {self._timeout_s:g} s"
                    _kill(status.pid, signal.SIGKILL)
                    status.but(state="failed", message=message, ended=time.time()).write(job.logdir)
                    atomic.write_text(job.logdir / "error.txt", message + "\n")

    def _stop(self) -> None:
        """Ask the jobs that run to stop, and kill those that do not; Dask's are only cancelled."""
        if not isinstance(self._pool, ProcessPool):
            return
        statuses = [JobStatus.read(job.logdir) for chunk in self._running.values() for job in chunk.jobs]
        pids = [status.pid for status in statuses if status.state == "running" and status.pid != os.getpid()]
        for pid in pids:
            _kill(pid, signal.SIGTERM)
        wait(self._running, timeout=GRACE_S)
        for future, chunk in self._running.items():
            for job in () if future.done() else chunk.jobs:
                status = JobStatus.read(job.logdir)
                if status.state == "running":
                    _kill(status.pid, signal.SIGKILL)


def _error(future: Future[Any]) -> BaseException | None:
    return CancelledError("it was cancelled, with its cluster perhaps") if future.cancelled() else future.exception()


def _worker_died(error: BaseException) -> bool:
    """Whether a piece of work was lost with its worker, in a pool or on Dask."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ in ("KilledWorker", "Terminated")


def _brief(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _kill(pid: int, number: int) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
