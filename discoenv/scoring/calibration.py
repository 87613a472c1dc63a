"""Measures floors and baselines: what ``discoenv calibrate`` does."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from discoenv import module_code
from discoenv.errors import CalibrationFailed, InfraError
from discoenv.exams.host import ExamGroup, Host
from discoenv.exams.result import ExamResult
from discoenv.exams.spec import ExamSpec
from discoenv.machine import hardware, packages, scratch
from discoenv.scoring import baselines
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting, TaskSide
from discoenv.tasks.workspace import base_modules, lay_out

#: A base module that needs longer than this is too slow for a baseline at that scale.
BUDGET_S = 4 * 3600.0
#: Exams per dataset when an objective needs this machine's costs and they were never measured.
LOCAL_SEEDS = 3


def calibrate(
    host: Host,
    setting: Setting,
    *,
    seeds: Iterable[int],
    editable: tuple[str, ...] = (),
    gpu: bool = False,
    held: tuple[int, ...] | None = None,
    group: ExamGroup | None = None,
    on_exam: Callable[[ExamResult], None] = lambda result: None,
) -> baselines.Baseline:
    """Measure floor and baseline of one backend × dataset × scale.

    Args:
        host: where the base modules run.
        setting: what is measured.
        seeds: exam seeds; each gives one floor and one exam of the base modules.
        editable: modules of the task whose costs are compared; who answers for a state depends on them.
        gpu: whether the base modules train on a GPU, if the host has one.
        held: cores that the caller holds already, see :meth:`Host.reserve`; None: each exam waits for the machine.
        group: cancelling it ends the exams.
        on_exam: called after each exam.

    Raises:
        CalibrationFailed: the base modules failed.
        InfraError: the machine did.
    """
    domain, dataset, metric = setting.domain, setting.dataset, setting.metric.name
    side = TaskSide(
        domain=domain.name,
        modules=tuple(domain.modules),
        datasets=(dataset,),
        backend=setting.backend,
        start="base",
        scale=setting.scale,
    )
    seeds = list(seeds)
    directory = scratch.make()
    try:
        workspace = lay_out(side, directory / "workspace")
        if domain.self_reported:
            floors = [baselines.entry(setting).floor.mean for _ in seeds]
        else:
            floors = [host.floor(setting, seed)[metric] for seed in seeds]
        results: list[ExamResult] = []
        for seed in seeds:
            spec = ExamSpec(setting, seed, BUDGET_S, gpu=gpu, editable=editable)
            result = host.run(workspace, spec, alone=True, held=held, group=group)
            if result.metrics is None or result.seconds is None:
                raise CalibrationFailed(f"{setting}, seed {seed}: {result.message}\n{result.traceback}")
            on_exam(result)
            results.append(result)
    finally:
        scratch.remove(directory)
    return baselines.Baseline(
        domain_version=domain.version,
        metric=metric,
        floor=_seed_values(floors),
        baseline=_seed_values([result.metrics[metric] for result in results if result.metrics]),
        seconds=_seed_values([result.seconds for result in results if result.seconds is not None]),
        peak_memory_bytes=_seed_values([float(result.total_memory_bytes) for result in results]),
        joules=_seed_values([result.energy.joules for result in results]),
        energy_method=results[0].energy.method,
        code_bytes={name: module_code.size(text) for name, text in base_modules(side).items()},
        seeds=seeds,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        hardware={**hardware.hardware(), "sandbox": host.sandbox.name, "device": host.device(gpu).name},
        versions=versions(domain, dataset),
        cpu_s=_seed_values([result.cpu_s for result in results]),
    )


def _seed_values(values: list[float]) -> baselines.SeedValues:
    """Mean, standard deviation (n − 1; 0 for one value) and the values."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return baselines.SeedValues(mean=float(np.mean(values)), std=std, values=values)


def versions(domain: Domain, dataset: str) -> dict[str, str]:
    """Versions of Python and of what the domain and the dataset require; with JAX's that of jaxlib, its compiler."""
    specification = domain.specification
    names = packages.names(specification.requirements)
    names += [packages.provider(module) for module in specification.datasets[dataset].packages]
    if "jax" in names:
        names.append("jaxlib")
    missing = [] if domain.self_reported or domain.python or domain.image else packages.missing(names)
    if missing:
        raise InfraError(f"{missing[0]} is not installed; {domain.how_to_install}")
    return {"python": platform.python_version(), **packages.versions(["discoenv", *names])}


def destination(domain: Domain, *, local: bool, device: str = "cpu") -> Path:
    """The file that a calibration is written to: this machine's own, or the one that the domain ships."""
    return baselines.local_path(domain, device) if local else domain.directory / "baselines.json"
