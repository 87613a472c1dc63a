"""Floors and baselines: what they are on this dataset, backend and scale, and scores normalised by them.

``baselines.json`` in a domain's folder is written by ``discoenv calibrate``, never by hand. A file of the same form in
the user's cache holds what was measured on this machine: it is what costs are compared with and what compute budgets
are made from, and it stands in where a domain ships no baseline. Scores are normalised by what the domain ships, so
that they mean the same on every machine.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from discoenv import module_code
from discoenv.errors import DomainError, NoBaseline, UnknownName
from discoenv.json_text import loads
from discoenv.machine import atomic, cache
from discoenv.machine.hardware import fingerprint
from discoenv.tasks.domain import Domain
from discoenv.tasks.specification import Metric
from discoenv.tasks.task import Setting


class SeedValues(BaseModel):
    """Values of one quantity over seeds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: float
    std: float
    values: list[float]


class Baseline(BaseModel):
    """What was measured of one backend × dataset × scale.

    Attributes:
        floor, baseline: the domain's metric for the trivial learner and for the base modules.
        seconds: training plus answering time of the base modules, per exam.
        peak_memory_bytes: of the learner's process tree, its memory on a GPU included.
        joules: energy per exam, by ``energy_method``.
        code_bytes: size of each base module (:func:`module_code.size`), by file name, as it is now.
        seeds: exam seeds, in the order of the values.
        hardware, versions: where and with what it was measured.
        cpu_s: CPU seconds of the learners, per exam; None in entries that are older than this field.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain_version: int
    metric: str
    floor: SeedValues
    baseline: SeedValues
    seconds: SeedValues
    peak_memory_bytes: SeedValues
    joules: SeedValues
    energy_method: str
    code_bytes: dict[str, int]
    seeds: list[int]
    date: str
    hardware: dict[str, str]
    versions: dict[str, str]
    cpu_s: SeedValues | None = None

    @property
    def work_s(self) -> float:
        """Mean of what an exam of the base modules spends of its compute budget, in seconds."""
        on_cpu = self.hardware.get("device", "cpu") == "cpu"
        return self.cpu_s.mean if self.cpu_s is not None and on_cpu else self.seconds.mean

    def normalised(self, value: float, sign: float) -> float:
        """(value − floor) / (baseline − floor): 0 for the trivial learner, 1 for the baseline, more is better.

        ``sign`` is the metric's (1 to maximise, −1 to minimise). If the baseline is no better than the floor, the
        difference is divided by the floor's standard deviation instead, and more is still better.
        """
        return sign * (value - self.floor.mean) / self.scale(sign)

    def paired(self, value: float, base: float, sign: float) -> float:
        """1 + (value − base) / (baseline − floor), oriented: exactly 1 where both are the same number.

        Args:
            value: the metric of an exam.
            base: that of the base modules in the same exam, with its seed and data.
            sign: the metric's.
        """
        return 1 + sign * (value - base) / self.scale(sign)

    def scale(self, sign: float) -> float:
        """What 1 is on the normalised scale, in the metric's unit; positive. See :meth:`normalised`."""
        span = sign * (self.baseline.mean - self.floor.mean)
        return span if span > 0 else max(self.floor.std, abs(self.floor.mean) * 1e-6, 1e-12)


def entry(setting: Setting, device: str = "cpu") -> Baseline:
    """The baseline of a setting: the one that the domain ships, else this machine's on that device.

    Raises:
        NoBaseline: neither exists for the domain's present version.
    """
    domain = setting.domain
    try:
        published = domain.published(setting.dataset, backend=setting.backend)
    except UnknownName as error:
        raise NoBaseline(str(error)) from None
    if published is not None:
        return _published(setting, *published)
    for path in (domain.directory / "baselines.json", local_path(domain, device)):
        found = entries(path).get(setting.key)
        if found is not None and found.domain_version == domain.version:
            return found.model_copy(update={"code_bytes": _code_bytes(domain, setting.backend)})
    raise NoBaseline(
        f"{domain.name}: {setting.dataset} has no baseline for backend {setting.backend} at scale {setting.scale}; "
        f"measure it with `discoenv calibrate {domain.name} --dataset {setting.dataset} --backend {setting.backend} "
        f"--scale {setting.scale} --local`"
    )


def local_key(setting: Setting, editable: Collection[str] = ()) -> str:
    """What this machine's baseline of a setting is called.

    Costs depend on who answers for a state: our own code, or a learner where a module is editable that it takes.
    """
    exam = setting.domain.specification.exam
    learner = exam.hands_over and not setting.domain.own_code_answers(editable)
    return f"{setting.key}:learner answers" if learner else setting.key


def local_entry(
    setting: Setting, device: str = "cpu", *, sandbox: str | None = None, editable: Collection[str] = ()
) -> Baseline | None:
    """This machine's baseline of a setting on a device (``cpu``, or a GPU's product name).

    None if it was not measured (in that sandbox, with who answers where these modules are editable) for the domain's
    present version.
    """
    path = local_path(setting.domain, device)
    found = entries(path).get(local_key(setting, editable))
    if found is None or found.domain_version != setting.domain.version:
        return None
    return found if sandbox is None or found.hardware.get("sandbox") == sandbox else None


def _published(setting: Setting, floor: float, value: float) -> Baseline:
    """The floor and the baseline that a pack in DiscoGen's format publishes; they have no costs and no spread."""
    domain, metric = setting.domain, setting.metric
    unknown = SeedValues(mean=0.0, std=0.0, values=[])
    return Baseline(
        domain_version=domain.version,
        metric=metric.name,
        floor=SeedValues(mean=floor, std=0.0, values=[]),
        baseline=SeedValues(mean=value, std=0.0, values=[value]),
        seconds=unknown,
        peak_memory_bytes=unknown,
        joules=unknown,
        energy_method="unknown",
        code_bytes=_code_bytes(domain, setting.backend),
        seeds=[],
        date="",
        hardware={},
        versions={},
    )


def bounds(setting: Setting, device: str = "cpu") -> dict[Metric, tuple[float, float]]:
    """Floor and baseline of each metric of a setting that has a threshold, in the metric's unit.

    Raises:
        NoBaseline: as :func:`entry`.
    """
    found = entry(setting, device)
    published = setting.domain.published_bounds(setting.dataset, backend=setting.backend)
    return published or {setting.metric: (found.floor.mean, found.baseline.mean)}


@functools.cache
def _code_bytes(domain: Domain, backend: str) -> dict[str, int]:
    """Size of each base module as it is now, by file name: a size that was stored may be outdated."""
    texts = {f"{module}.py": domain.module_text(module, backend=backend, start="base") for module in domain.modules}
    return {name: module_code.size(text) for name, text in texts.items()}


def has_entry(setting: Setting, device: str = "cpu") -> bool:
    """Whether :func:`entry` finds one."""
    try:
        entry(setting, device)
    except NoBaseline:
        return False
    return True


def entries(path: Path) -> dict[str, Baseline]:
    """All entries of a file, by :attr:`Setting.key`; none if there is no such file.

    Raises:
        DomainError: it is not a file that ``discoenv calibrate`` wrote.
    """
    return _read(path, stamp(path))


def write(path: Path, new: dict[str, Baseline]) -> None:
    """Add entries to a file, atomically, keeping the others that it holds and that other processes add meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        merged = {**entries(path), **new}
        content = {name: merged[name].model_dump(mode="json", exclude_none=True) for name in sorted(merged)}
        atomic.write_text(path, json.dumps(content, indent=1) + "\n")
    finally:
        os.close(folder)


def local_path(domain: Domain, device: str = "cpu") -> Path:
    """This machine's own baselines of a domain, on its processor or on GPUs of one product."""
    suffix = "" if device == "cpu" else "@" + re.sub(r"[^A-Za-z0-9]+", "-", device)
    return cache.folder("baselines", fingerprint()) / f"{domain.name}{suffix}.json"


def stamp(path: Path) -> tuple[int, ...]:
    """What changes whenever the file is replaced; empty if there is none. Times alone are too coarse for that."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return (status.st_mtime_ns, status.st_ino, status.st_size)


@functools.lru_cache(maxsize=64)
def _read(path: Path, stamp: tuple[int, ...]) -> dict[str, Baseline]:
    if not stamp:
        return {}
    try:
        content: dict[str, Any] = loads(path.read_text(encoding="utf-8"))
        return {name: Baseline.model_validate(value) for name, value in content.items()}
    except (ValueError, AttributeError) as error:
        raise DomainError(f"{path}: not a file that `discoenv calibrate` wrote: {error}") from error
