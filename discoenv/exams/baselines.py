"""Floors and baselines: what they are on this dataset, backend and scale, and scores normalised by them.

``baselines.json`` in a domain's folder is written by ``discoenv calibrate``, never by hand. A file of the same form in
the user's cache, written by ``discoenv calibrate --local``, takes precedence: it was measured on this machine.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from discoenv import atomic
from discoenv.tasks.domain import Domain, DomainError


class NoBaseline(LookupError):
    """A dataset has not been calibrated at this backend and scale; the message names the command that does it."""


class Sample(BaseModel):
    """Values of one quantity over seeds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: float
    std: float
    values: list[float]


class Entry(BaseModel):
    """What was measured of one backend × dataset × scale.

    Attributes:
        floor, baseline: the domain's metric for the trivial learner and for the base modules.
        seconds: training plus answering time of the base modules, per exam.
        peak_memory_bytes: of the learner's process tree.
        code_bytes: size of each base module, by name.
        seeds: exam seeds, in the order of the values.
        hardware, versions: where and with what it was measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain_version: int
    metric: str
    floor: Sample
    baseline: Sample
    seconds: Sample
    peak_memory_bytes: Sample
    code_bytes: dict[str, int]
    seeds: list[int]
    date: str
    hardware: dict[str, str]
    versions: dict[str, str]

    def normalised(self, value: float, sign: float) -> float:
        """(value − floor) / (baseline − floor): 0 for the trivial learner, 1 for the baseline, more is better.

        ``sign`` is the metric's (1 to maximise, −1 to minimise). The quotient is oriented by itself as long as the
        baseline is better than the floor; if it is not, the floor's distance counts in the metric's direction.
        """
        span = sign * (self.baseline.mean - self.floor.mean)
        scale = span if span > 0 else max(self.floor.std, abs(self.floor.mean) * 1e-6, 1e-12)
        return sign * (value - self.floor.mean) / scale


def entry(domain: Domain, *, backend: str, dataset: str, scale: str) -> Entry:
    """The baseline of a dataset: this machine's if there is one, else the one that the domain ships.

    Raises:
        NoBaseline: neither exists for the domain's present version.
    """
    for path in (local_path(domain), domain.directory / "baselines.json"):
        found = _read(path, _modified(path)).get(key(backend, dataset, scale))
        if found is not None and found.domain_version == domain.version:
            return found
    raise NoBaseline(
        f"{domain.name}: {dataset} has no baseline for backend {backend} at scale {scale}; measure it with "
        f"`discoenv calibrate {domain.name} --dataset {dataset} --backend {backend} --scale {scale} --local`"
    )


def has_entry(domain: Domain, *, backend: str, dataset: str, scale: str) -> bool:
    """Whether :func:`entry` finds one."""
    try:
        entry(domain, backend=backend, dataset=dataset, scale=scale)
    except NoBaseline:
        return False
    return True


def write(path: Path, entries: dict[str, Entry]) -> None:
    """Add entries to a file, atomically, keeping the others that it holds."""
    merged = {**_read(path, _modified(path)), **entries}
    content = {name: merged[name].model_dump(mode="json") for name in sorted(merged)}
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, json.dumps(content, indent=1) + "\n")


def key(backend: str, dataset: str, scale: str) -> str:
    """Name of an entry in the file."""
    return f"{backend}:{dataset}:{scale}"


def local_path(domain: Domain) -> Path:
    """This machine's own baselines of a domain."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "discoenv" / "baselines" / fingerprint() / f"{domain.name}.json"


@functools.cache
def fingerprint() -> str:
    """Twelve hex digits that stand for this machine's hardware."""
    return hashlib.sha256(json.dumps(hardware(), sort_keys=True).encode()).hexdigest()[:12]


@functools.cache
def hardware() -> dict[str, str]:
    """Processor, usable cores and memory of this machine."""
    processor = platform.processor()
    memory = "unknown"
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal:"):
            memory = f"{round(int(line.split()[1]) / 2**20)} GiB"
    return {
        "processor": processor or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": memory,
        "system": platform.system(),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=64)
def _read(path: Path, modified: int) -> dict[str, Entry]:
    if modified == 0:
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {name: Entry.model_validate(value) for name, value in content.items()}
    except (ValueError, ValidationError) as error:
        raise DomainError(f"{path}: not a file that `discoenv calibrate` wrote: {error}") from error
