"""Measures floors and baselines: what ``discoenv calibrate`` does."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from discoenv.errors import CalibrationFailed, InfraError
from discoenv.exams.result import ExamResult
from discoenv.exams.runner import ExamRunner
from discoenv.machine import hardware, scratch
from discoenv.machine.devices import CPU, Device
from discoenv.sandbox.base import Sandbox
from discoenv.scoring import baselines
from discoenv.tasks.domain import Domain
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules, materialise

#: A base module that needs longer than this has no business being a baseline at that scale.
BUDGET_S = 4 * 3600.0
#: Exams per dataset when an objective needs this machine's costs and they were never measured.
LOCAL_SEEDS = 3


def calibrate(
    domain: Domain,
    *,
    dataset: str,
    backend: str,
    scale: Scale,
    seeds: Iterable[int],
    sandbox: Sandbox,
    device: Device = CPU,
    cores: tuple[int, ...] = (),
    on_exam: Callable[[ExamResult], None] = lambda result: None,
) -> baselines.Entry:
    """Measure floor and baseline of one backend × dataset × scale.

    Args:
        domain, dataset, backend, scale: what is measured.
        seeds: exam seeds; each gives one floor and one exam of the base modules.
        sandbox: where the base modules run.
        device: what they train on.
        cores: the only CPU cores that they run on; empty: any.
        on_exam: called after each exam.

    Raises:
        CalibrationFailed: the base modules failed.
        InfraError: the machine did.
    """
    task = Task(
        domain=domain.name,
        modules=tuple(domain.modules),
        meta_train=(dataset,),
        meta_test=tuple(other for other in domain.datasets if other != dataset)[:1],
        backend=backend,
        start="base",
        scale=scale,
    )
    metric = domain.metric(dataset).name
    seeds = list(seeds)
    directory = scratch.make()
    runner = ExamRunner(domain, sandbox, measure_costs=True, device=device, cores=cores)
    try:
        workspace = materialise(task, directory / "workspace")
        if domain.self_reported:
            floors = [baselines.entry(domain, backend=backend, dataset=dataset, scale=scale).floor.mean for _ in seeds]
        else:
            floors = [runner.floor(dataset=dataset, scale=scale, seed=seed)[metric] for seed in seeds]
        results: list[ExamResult] = []
        for seed in seeds:
            result = runner.run(workspace, dataset=dataset, scale=scale, seed=seed, budget_s=BUDGET_S)
            if result.metrics is None or result.seconds is None:
                raise CalibrationFailed(
                    f"{domain.name}, {dataset}, {backend}, {scale}, seed {seed}: {result.message}\n{result.traceback}"
                )
            on_exam(result)
            results.append(result)
    finally:
        runner.close()
        scratch.remove(directory)
    return baselines.Entry(
        domain_version=domain.version,
        metric=metric,
        floor=_sample(floors),
        baseline=_sample([result.metrics[metric] for result in results if result.metrics]),
        seconds=_sample([result.seconds for result in results if result.seconds is not None]),
        peak_memory_bytes=_sample([float(result.total_memory_bytes) for result in results]),
        joules=_sample([result.energy.joules for result in results]),
        energy_method=results[0].energy.method,
        code_bytes={name: len(text.encode()) for name, text in base_modules(task).items()},
        seeds=seeds,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        hardware={**hardware.hardware(), "sandbox": sandbox.name, "device": device.name},
        versions=_versions(domain, dataset),
    )


def _sample(values: list[float]) -> baselines.Sample:
    """Mean, standard deviation (n − 1; 0 for one value) and the values."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return baselines.Sample(mean=float(np.mean(values)), std=std, values=values)


def _versions(domain: Domain, dataset: str) -> dict[str, str]:
    """Versions of Python and of what the domain and the dataset require."""
    versions = {"python": platform.python_version(), "discoenv": importlib.metadata.version("discoenv")}
    specification = domain.specification
    for requirement in (*specification.requirements, *specification.datasets[dataset].packages):
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise InfraError(f"{name} is not installed; pip install 'discoenv[{domain.specification.extra}]'") from None
    return versions


def destination(domain: Domain, *, local: bool, device: Device = CPU) -> Path:
    """The file that a calibration is written to: this machine's own, or the one that the domain ships."""
    return baselines.local_path(domain, device.name) if local else domain.directory / "baselines.json"
