"""Dask clusters to run experiments on: of this machine, one that is there already, or on SLURM."""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from discoenv.errors import ExperimentError
from discoenv.experiment.pools import one_thread_for_children
from discoenv.tasks.yaml_text import load_untrusted

#: Keys of a SLURM file that are ours; the others are arguments of ``dask_jobqueue.SLURMCluster``.
_OURS = ("jobs", "adapt")


@contextlib.contextmanager
def connect(
    where: str,
    *,
    workers: int,
    resources: Mapping[str, float] | None = None,
    folder: Path | None = None,
    timeout_s: float = 20.0,
) -> Iterator[Any]:
    """A ``distributed.Client`` of a cluster, closed at the end together with workers that were started for it.

    Args:
        where: ``local``: worker processes of one thread on this machine; ``slurm:FILE``: jobs that the YAML file
            describes (see :func:`slurm_cluster`); else the address of a scheduler, or the path of its
            ``--scheduler-file``.
        workers: local workers; SLURM jobs, unless the file says how many.
        resources: what one job of the experiment needs; local workers share the machine's GPUs and memory, those of
            SLURM declare just this.
        folder: for logs and temporary files of workers.
        timeout_s: how long to wait for a scheduler that should be there already.

    Raises:
        ExperimentError: Dask is not installed, the file is wrong, or there is no such scheduler.
    """
    distributed = _module("distributed")
    with contextlib.ExitStack() as stack:
        if where == "local":
            stack.enter_context(one_thread_for_children())
            cluster = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=":0",
                    resources=_local_share(resources or {}, workers),
                    local_directory=None if folder is None else str(folder),
                )
            )
            target = cluster
        elif where.startswith("slurm:"):
            target = stack.enter_context(
                slurm_cluster(Path(where.removeprefix("slurm:")), jobs=workers, resources=resources, folder=folder)
            )
        else:
            target = None
        try:
            client = distributed.Client(target) if target is not None else _existing(distributed, where, timeout_s)
        except (OSError, TimeoutError, ValueError) as error:
            raise ExperimentError(
                f"--dask {where}: no scheduler answers there ({error}); known are local, slurm:CONFIG.yaml, and the "
                "address of a scheduler such as tcp://host:8786"
            ) from error
        yield stack.enter_context(client)


@contextlib.contextmanager
def slurm_cluster(
    path: Path, *, jobs: int = 1, resources: Mapping[str, float] | None = None, folder: Path | None = None
) -> Iterator[Any]:
    """A ``dask_jobqueue.SLURMCluster``; its jobs are cancelled at the end.

    Args:
        path: a YAML file with arguments of ``SLURMCluster`` (``cores``, ``memory``, ``account``, ``walltime``,
            ``job_extra_directives``, ``job_script_prologue``, …), and ``jobs: N``, or ``adapt: {minimum: M, maximum:
            N}``, which asks for jobs as they are needed.
        jobs: jobs, if the file does not say.
        resources: declared by each worker.
        folder: for the jobs' logs.

    Raises:
        ExperimentError: dask-jobqueue or SLURM is not installed, or the file is wrong.
    """
    jobqueue = _module("dask_jobqueue")
    ours, arguments = slurm_arguments(path, resources=resources, folder=folder)
    if shutil.which("sbatch") is None:
        raise ExperimentError("there is no sbatch here: start this on a node from which SLURM takes jobs")
    try:
        cluster = jobqueue.SLURMCluster(**arguments)
    except (TypeError, ValueError) as error:
        raise ExperimentError(f"{path}: {error}") from error
    with cluster:
        if "adapt" in ours:
            cluster.adapt(**ours["adapt"])
        else:
            cluster.scale(jobs=int(ours.get("jobs", jobs)))
        yield cluster


def slurm_script(path: Path, *, resources: Mapping[str, float] | None = None, folder: Path | None = None) -> str:
    """The batch script of one worker job, with which nothing has been submitted.

    Raises:
        ExperimentError: dask-jobqueue is not installed, or the file is wrong.
    """
    job = _module("dask_jobqueue.slurm").SLURMJob
    _, arguments = slurm_arguments(path, resources=resources, folder=folder)
    for name in ("scheduler_options", "n_workers"):
        arguments.pop(name, None)
    try:
        return str(job(scheduler="tcp://<scheduler>:8786", name="discoenv", **arguments).job_script())
    except (TypeError, ValueError) as error:
        raise ExperimentError(f"{path}: {error}") from error


def slurm_arguments(
    path: Path, *, resources: Mapping[str, float] | None = None, folder: Path | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a SLURM file says: how many jobs, and the arguments of ``SLURMCluster``.

    One worker process per job and one thread each are the default: a cell uses the cores of its job for its exams.
    """
    try:
        content = load_untrusted(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise ExperimentError(f"{path}: cannot be read as a YAML file: {error}") from error
    if not isinstance(content, dict) or not {"cores", "memory"} <= content.keys():
        raise ExperimentError(f"{path}: must be a mapping with at least cores and memory, such as 'memory: 16GB'")
    ours = {key: content.pop(key) for key in _OURS if key in content}
    arguments: dict[str, Any] = {"processes": 1, **content}
    extra = [str(each) for each in arguments.get("worker_extra_args") or []]
    if "--nthreads" not in extra:
        extra += ["--nthreads", "1"]
    if resources and "--resources" not in extra:
        extra += ["--resources", ",".join(f"{name}={amount:g}" for name, amount in resources.items())]
    arguments["worker_extra_args"] = extra
    if folder is not None:
        arguments.setdefault("log_directory", str(folder))
    return ours, arguments


def _existing(distributed: ModuleType, where: str, timeout_s: float) -> Any:
    if Path(where).is_file():
        try:
            json.loads(Path(where).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ExperimentError(f"--dask {where}: is not a scheduler file") from error
        return distributed.Client(scheduler_file=where, timeout=timeout_s)
    return distributed.Client(where, timeout=timeout_s)


def _local_share(needed: Mapping[str, float], workers: int) -> dict[str, float]:
    """What each local worker declares: its share of the machine, so that all together do not exceed it.

    Raises:
        ExperimentError: one share is less than a job needs.
    """
    share: dict[str, float] = {}
    for name, amount in needed.items():
        if name == "MEMORY":
            total = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
            share[name] = math.floor(total / workers)
        elif name == "GPU":
            from discoenv.errors import SandboxUnavailable  # noqa: PLC0415
            from discoenv.machine.gpus import gpus  # noqa: PLC0415

            try:
                share[name] = len(gpus()) / workers
            except SandboxUnavailable as error:
                raise ExperimentError(f"a cell needs {amount:g} GPU: {error}") from error
        else:
            share[name] = amount
        if share[name] < amount:
            raise ExperimentError(
                f"each of {workers} local workers has {share[name]:g} {name}, but a job needs {amount:g}: take fewer"
            )
    return share


def _module(name: str) -> ModuleType:
    """Import a module, which must not change what Ctrl-C does: dask-jobqueue would make it a successful exit."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExperimentError(f"{error.name} is not installed: pip install 'discoenv[bench]'") from error
    finally:
        if signal.getsignal(signal.SIGINT) is not on_interrupt:
            signal.signal(signal.SIGINT, on_interrupt)
