"""The worker's side of an experiment: runs jobs one after another, and writes the outcome of each to its folder.

It loads nothing heavy before the jobs do, so that the limits on threads come first.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from pathlib import Path
from types import FrameType
from typing import Any, Final, TextIO

from discoenv.errors import ExperimentError
from discoenv.exams import learner_environment
from discoenv.exams.secrets import Secret
from discoenv.experiment import sealed
from discoenv.experiment.layout import JobStatus, forget_result, plain, write_result
from discoenv.machine import atomic
from discoenv.machine.gpus import Broker, Gpu, gpus
from discoenv.machine.locks import machine_folder
from discoenv.machine.owner import owner_tag
from discoenv.text import guard_streams, printable

#: A worker whose parent is gone may tidy up for so long, seconds.
GRACE_S: Final = 5.0
_streams = threading.Lock()


class Failed(Exception):
    """Raised by a run that failed, and yet has a result to keep.

    Args:
        message: why it failed.
        result: for ``result.json``.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.result)


class Terminated(BaseException):
    """The worker was asked to stop."""


@dataclass(frozen=True)
class Job:
    """One configuration and seed.

    Attributes:
        index: among all jobs of the experiment.
        config: the configuration.
        seed: the seed.
        logdir: its folder.
        digest: of the configuration.
    """

    index: int
    config: dict[str, Any]
    seed: int
    logdir: Path
    digest: str


@dataclass(frozen=True)
class WorkerSettings:
    """What all jobs of an experiment have in common.

    Attributes:
        run: ``run(config, seed, device, logdir)``.
        configs: how many configurations there are.
        infra_errors: exceptions that are the machine's fault.
        use_gpu, gpu_ids, gpu_slots: see :func:`discoenv.experiment.run_experiment`.
        verbose: whether to print a line per job.
        path: entries of ``sys.path`` that the function may need.
        key: seals the pickles of jobs; None: the user's own.
    """

    run: Callable[[dict[str, Any], int, str, Path], Any]
    configs: int
    infra_errors: tuple[type[BaseException], ...] = ()
    use_gpu: bool = False
    gpu_ids: tuple[int, ...] | None = None
    gpu_slots: int = 1
    verbose: bool = True
    path: tuple[str, ...] = ()
    key: Secret | None = None


def one_thread() -> dict[str, str]:
    """Environment variables that keep numerical libraries from starting a thread per core."""
    names = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
    xla = {key: value for key, value in learner_environment.on_cpu(os.environ).items() if key != "JAX_PLATFORMS"}
    return {f"{name}_NUM_THREADS".replace("MAXIMUM_NUM", "MAXIMUM"): "1" for name in names} | xla


def initialise() -> None:
    """Set a worker process up: it ends with its parent, leaves Ctrl-C to it, and prints any text."""
    guard_streams()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminate)
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()


def perform(payload: bytes) -> list[int]:
    """Run the jobs in ``payload``, a pickle of path entries and of a pickled (terms, jobs); returns their indices."""
    import cloudpickle  # noqa: PLC0415 - an extra

    path, work = cloudpickle.loads(payload)
    sys.path.extend(entry for entry in path if entry not in sys.path)
    os.environ.update(one_thread())
    terms, jobs = cloudpickle.loads(work)
    with sealed.under(terms.key):
        for job in jobs:
            perform_one(terms, job)
    return [job.index for job in jobs]


def perform_one(terms: WorkerSettings, job: Job) -> None:
    """Run a job, unless it was done meanwhile. Its outcome is in its folder."""
    if not job.logdir.is_dir():
        raise ExperimentError(
            f"{job.logdir} is not on {socket.gethostname()}: workers need the experiment's folder on a shared disk"
        )
    before = JobStatus.read(job.logdir)
    if before.state == "done" and before.config == job.digest:
        return
    forget_result(job.logdir)
    status = JobStatus(
        "running",
        job.digest,
        before.attempts + 1,
        started=time.time(),
        host=socket.gethostname(),
        process=owner_tag(),
        pid=os.getpid(),
    )
    status.write(job.logdir)
    ended = _attempt(terms, job, status)
    ended.but(ended=time.time()).write(job.logdir)
    _free_gpu_memory()


def _attempt(terms: WorkerSettings, job: Job, status: JobStatus) -> JobStatus:
    """Run the function once; the new status."""
    try:
        with _output(job.logdir / "stdout.txt", echo=terms.verbose), _device(terms) as device:
            _announce(terms, job, device)
            _limit_torch()
            value = terms.run(dict(job.config), job.seed, device, job.logdir)
    except (KeyboardInterrupt, Terminated):
        status.but(state="interrupted", ended=time.time()).write(job.logdir)
        raise
    except Failed as error:
        _explain(job.logdir)
        write_result(job.logdir, error.result)
        return status.but(state="failed", message=_line(error.__cause__ or error))
    except BaseException as error:
        if isinstance(error, GeneratorExit):
            raise
        _explain(job.logdir)
        state = "infra" if isinstance(error, terms.infra_errors) else "failed"
        return status.but(state=state, message=_line(error))
    write_result(job.logdir, value)
    (job.logdir / "error.txt").unlink(missing_ok=True)
    return status.but(state="done")


@contextlib.contextmanager
def _device(terms: WorkerSettings) -> Iterator[str]:
    """``cpu``, or ``cuda:<n>``: a slot of a GPU that no other job of this machine has for as long."""
    if not terms.use_gpu:
        yield "cpu"
        return
    visible = gpus() if terms.gpu_ids is None else []
    if terms.gpu_ids is None and not visible:
        raise ExperimentError("use_gpu: this machine has no GPU that may be used (see CUDA_VISIBLE_DEVICES)")
    numbers = range(len(visible)) if terms.gpu_ids is None else terms.gpu_ids
    devices = [Gpu(f"cuda-{number}", "", 0, number) for number in numbers]
    broker = Broker(devices, machine_folder("discoenv-experiment-gpus"))
    with broker.lease(timeout_s=float("inf"), sharers=terms.gpu_slots) as lease:
        yield f"cuda:{lease.gpu.minor}"


def _announce(terms: WorkerSettings, job: Job, device: str) -> None:
    if terms.verbose:
        items = ", ".join(f"{key}: {plain(value)}" for key, value in job.config.items() if key != "ID")
        print(
            f"[ID {job.config['ID']} of {terms.configs} | seed {job.seed} | {device} | job {job.index} | "
            f"PID {os.getpid()}] {items}",
            flush=True,
        )


@contextlib.contextmanager
def _output(path: Path, *, echo: bool) -> Iterator[None]:
    """Keep what this process prints in ``path``; where several threads run jobs, that of the first alone."""
    if not _streams.acquire(blocking=False):
        yield
        return
    try:
        with (
            path.open("w", encoding="utf-8", errors="backslashreplace", buffering=1) as file,
            contextlib.redirect_stdout(_Tee(sys.stdout, file) if echo else file),
            contextlib.redirect_stderr(_Tee(sys.stderr, file) if echo else file),
        ):
            yield
    finally:
        _streams.release()


class _Tee:
    """A text stream that writes to two."""

    def __init__(self, stream: TextIO, file: TextIO) -> None:
        self._stream, self._file = stream, file

    def write(self, text: str) -> int:
        """Write to both."""
        self._stream.write(text)
        return self._file.write(text)

    def flush(self) -> None:
        """Flush both."""
        self._stream.flush()
        self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _explain(logdir: Path) -> None:
    atomic.write_text(logdir / "error.txt", traceback.format_exc())


def _line(error: BaseException) -> str:
    text = printable(f"{type(error).__name__}: {error}".strip())
    return " ".join(text.split())[:500]


def _limit_torch() -> None:
    torch: Any = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(1)


def _free_gpu_memory() -> None:
    torch: Any = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "cuda") and torch.cuda.is_initialized():
        importlib.import_module("gc").collect()
        torch.cuda.empty_cache()


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(f"signal {number}")


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is None:
        return
    connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)
