"""What the known methods of a domain's ladder reach.

``discoenv calibrate --ladder`` measures it, and ``ladder.json`` in the domain's folder keeps it.

A method replaces one module of the base, and is examined with the seeds of the baseline, so that each of its exams has
an exam of the base with the same data beside it.
"""

from __future__ import annotations

import datetime
import fcntl
import functools
import hashlib
import json
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from discoenv.errors import DomainError
from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.exams.spec import ExamSpec
from discoenv.json_text import loads
from discoenv.machine import atomic, hardware, scratch
from discoenv.scoring import baselines, calibration
from discoenv.tasks.domain import Domain
from discoenv.tasks.ladder import BASE, ladder_of, method_text
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Setting, TaskSide
from discoenv.tasks.workspace import DISCOVERED, lay_out


class Rung(BaseModel):
    """What one method reached on one backend × dataset × scale.

    Attributes:
        domain_version: of the domain that was measured.
        code: first 16 digits of the SHA-256 of the module's text.
        seeds: exam seeds.
        values: the domain's metric per seed; None where the exam failed.
        cpu_s: CPU seconds of the learners, per seed.
        date, hardware: when and where it was measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain_version: int
    code: str
    seeds: list[int]
    values: list[float | None]
    cpu_s: list[float]
    date: str
    hardware: dict[str, str]


@dataclass(frozen=True)
class Standing:
    """A method's normalised scores on one dataset, compared with the base modules in the same exams.

    Attributes:
        module, method: what it is; the method is ``base`` for the base modules, which score 1 everywhere.
        dataset, backend: where.
        each: per seed 1 + (value − base) / (baseline − floor), oriented; 0 where the exam failed.
    """

    module: str
    method: str
    dataset: str
    backend: str
    each: tuple[float, ...]

    @property
    def score(self) -> float:
        """Mean over seeds."""
        return float(np.mean(self.each))

    @property
    def error(self) -> float:
        """Standard error of :attr:`score`; nan with one seed."""
        count = len(self.each)
        return float(np.std(self.each, ddof=1)) / math.sqrt(count) if count > 1 else math.nan


#: What measurements say about two methods: the expected order is found, the difference is within two standard errors,
#: or the other one is better.
Verdict = Literal["found", "not told apart", "reversed"]


@dataclass(frozen=True)
class Order:
    """Two neighbours of a ladder.

    Attributes:
        module, worse, better: as the literature has them.
        difference: mean over datasets and seeds of the scores' difference, better − worse.
        error: its standard error.
        datasets: number of backend × dataset pairs that both were measured on.
    """

    module: str
    worse: str
    better: str
    difference: float
    error: float
    datasets: int

    @property
    def verdict(self) -> Verdict:
        """See :data:`Verdict`."""
        if abs(self.difference) <= 2 * self.error:
            return "not told apart"
        return "found" if self.difference > 0 else "reversed"


def measure(
    host: Host,
    setting: Setting,
    module: str,
    method: str,
    *,
    seeds: Iterable[int],
    gpu: bool = False,
    on_exam: Callable[[ExamResult], None] = lambda result: None,
) -> Rung:
    """Examine the base modules with one of them replaced by a method.

    Args:
        host: where it is trained.
        setting: backend, dataset and scale.
        module, method: of the domain's ladder.
        seeds: exam seeds; those of the baseline, or nothing can be compared.
        gpu: whether to train on a GPU, if the host has one.
        on_exam: called after each exam.

    Raises:
        UnknownName: the ladder has no such method.
        InfraError: the machine failed. A method that fails gets None.
    """
    domain = setting.domain
    text = method_text(domain, module, method)
    side = TaskSide(
        domain=domain.name,
        modules=(module,),
        datasets=(setting.dataset,),
        backend=setting.backend,
        start="base",
        scale=setting.scale,
    )
    seeds = list(seeds)
    directory = scratch.make()
    results: list[ExamResult] = []
    try:
        workspace = lay_out(side, directory / "workspace")
        atomic.write_text(workspace / DISCOVERED / f"{module}.py", text)
        for seed in seeds:
            spec = ExamSpec(setting, seed, calibration.BUDGET_S, gpu=gpu, editable=(module,))
            result = host.run(workspace, spec)
            on_exam(result)
            results.append(result)
    finally:
        scratch.remove(directory)
    metric = setting.metric.name
    return Rung(
        domain_version=domain.version,
        code=_digest(text),
        seeds=seeds,
        values=[_finite(result.metrics[metric]) if result.metrics else None for result in results],
        cpu_s=[round(result.cpu_s, 2) for result in results],
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        hardware={**hardware.hardware(), "sandbox": host.sandbox.name, "device": host.device(gpu).name},
    )


def write(domain: Domain, module: str, method: str, setting: Setting, rung: Rung) -> None:
    """Add what was measured to the domain's ``ladder.json``, keeping what it holds and what others add meanwhile."""
    path = _path(domain)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        merged = {**_read(path, baselines.stamp(path)), _key(module, method, setting): rung}
        content = {name: merged[name].model_dump(mode="json") for name in sorted(merged)}
        atomic.write_text(path, json.dumps(content, indent=1) + "\n")
    finally:
        os.close(folder)


def rung(module: str, method: str, setting: Setting) -> Rung | None:
    """What was measured of a method as it is now; None if it, or the domain, has changed since, or nothing was."""
    path = _path(setting.domain)
    found = _read(path, baselines.stamp(path)).get(_key(module, method, setting))
    if found is None or found.domain_version != setting.domain.version:
        return None
    return found if found.code == _digest(method_text(setting.domain, module, method)) else None


def standing(module: str, method: str, setting: Setting) -> Standing | None:
    """A method's scores on a setting; None if it was not measured with seeds that the baseline was measured with."""
    entry = baselines.entries(setting.domain.directory / "baselines.json").get(setting.key)
    if entry is None or entry.domain_version != setting.domain.version:
        return None
    base = dict(zip(entry.seeds, entry.baseline.values, strict=True))
    values: Mapping[int, float | None] = base
    if method != BASE:
        measured = rung(module, method, setting)
        if measured is None:
            return None
        values = dict(zip(measured.seeds, measured.values, strict=True))
    sign = setting.metric.sign
    common = [seed for seed in base if seed in values]
    each = tuple(
        0.0 if value is None else entry.paired(value, base[seed], sign)
        for seed, value in ((seed, values[seed]) for seed in common)
    )
    return Standing(module, method, setting.dataset, setting.backend, each) if each else None


def standings(domain: Domain, scale: Scale = "small") -> list[Standing]:
    """All that was measured of a domain's ladder at a scale, in the order of its files."""
    return [
        found
        for module, ladder in ladder_of(domain).items()
        for method in ladder.methods
        for setting in _settings(domain, scale)
        if (found := standing(module, method, setting)) is not None
    ]


def best_known(setting: Setting, modules: Collection[str]) -> Standing | None:
    """The method for one of some modules with the best mean score on a setting; None if none beats the base.

    Args:
        setting: backend, dataset and scale.
        modules: those that are looked at, as the editable ones of a task.
    """
    found = [
        one
        for module, ladder in ladder_of(setting.domain).items()
        if module in modules
        for method in ladder.methods
        if (one := standing(module, method, setting)) is not None
    ]
    best = max(found, key=lambda one: one.score, default=None)
    return best if best is not None and best.score > 1 else None


def orders(domain: Domain, scale: Scale = "small") -> list[Order]:
    """What measurements say about the order of each pair of neighbours that were measured on a common dataset."""
    found: list[Order] = []
    for module, ladder in ladder_of(domain).items():
        for worse, better in ladder.pairs():
            means: list[float] = []
            variances: list[float] = []
            for setting in _settings(domain, scale):
                first, second = standing(module, worse, setting), standing(module, better, setting)
                if first is None or second is None:
                    continue
                count = min(len(first.each), len(second.each))
                apart = np.subtract(second.each[:count], first.each[:count])
                means.append(float(apart.mean()))
                variances.append(float(apart.var(ddof=1)) / count if count > 1 else math.nan)
            if means:
                error = math.sqrt(sum(variances)) / len(means)
                found.append(Order(module, worse, better, float(np.mean(means)), error, len(means)))
    return found


def correlations(domain: Domain, scale: Scale = "small") -> dict[tuple[str, str], tuple[float, int]]:
    """Spearman's rank correlation of methods between two datasets, and the number of methods, by the two names.

    Only methods that work count, whose mean score is above 0 on both: that a broken module is worse everywhere tells
    nothing. Pairs with fewer than four methods are left out.
    """
    from scipy import stats  # noqa: PLC0415 - what an extra brings, and slow to import

    scores: dict[str, dict[tuple[str, str, str], float]] = {}
    for one in standings(domain, scale):
        scores.setdefault(one.dataset, {})[one.backend, one.module, one.method] = one.score
    found: dict[tuple[str, str], tuple[float, int]] = {}
    names = list(scores)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            common = [
                key
                for key in scores[first]
                if key in scores[second] and min(scores[first][key], scores[second][key]) > 0
            ]
            if len(common) >= 4:
                ranks = stats.spearmanr([scores[first][key] for key in common], [scores[second][key] for key in common])
                found[first, second] = (float(ranks.statistic), len(common))
    return found


def table(domain: Domain, scale: Scale = "small") -> str:
    """What was measured, as Markdown: a row per method, then the orders, then the correlations between datasets."""
    found = standings(domain, scale)
    columns = list(dict.fromkeys((one.backend, one.dataset) for one in found))
    several = len({backend for backend, _ in columns}) > 1
    names = [f"{dataset}, {backend}" if several else dataset for backend, dataset in columns]
    cells = {(one.module, one.method, one.backend, one.dataset): one for one in found}
    lines = [f"| module | method | {' | '.join(names)} | mean |", f"|---|---|{'---|' * (len(columns) + 1)}"]
    for module, ladder in ladder_of(domain).items():
        for name, method in ladder.methods.items():
            row = [cells.get((module, name, *column)) for column in columns]
            measured = [one.score for one in row if one is not None]
            if measured:
                shown = " | ".join("–" if one is None else f"{one.score:.2f} ± {one.error:.2f}" for one in row)
                lines.append(f"| {module} | {method.title} | {shown} | {np.mean(measured):.2f} |")
    compared = orders(domain, scale)
    if compared:
        lines += ["", "| module | expected | difference | datasets | |", "|---|---|---|---|---|"]
        lines += [
            f"| {one.module} | {_title(domain, one.module, one.worse)} < {_title(domain, one.module, one.better)} "
            f"| {one.difference:+.3f} ± {one.error:.3f} | {one.datasets} | {one.verdict} |"
            for one in compared
        ]
        right = sum(one.difference > 0 for one in compared)
        sure = sum(one.verdict == "found" for one in compared)
        lines += ["", f"{right} of {len(compared)} expected orders have the right sign, {sure} by two standard errors."]
    between = correlations(domain, scale)
    if between:
        values = [value for value, _ in between.values()]
        lines += [
            "",
            f"Rank correlation (Spearman) of working methods between two datasets: median {np.median(values):.2f}, "
            f"from {min(values):.2f} to {max(values):.2f}, over {len(values)} pairs.",
        ]
    return "\n".join(lines) + "\n"


def _title(domain: Domain, module: str, method: str) -> str:
    return "base" if method == BASE else ladder_of(domain)[module].methods[method].title


def _settings(domain: Domain, scale: Scale) -> Sequence[Setting]:
    return [
        Setting(domain, backend, dataset, scale)
        for backend in domain.backends
        for dataset in domain.datasets
        if scale in domain.scales(dataset)
    ]


def _key(module: str, method: str, setting: Setting) -> str:
    return f"{module}/{method}:{setting.key}"


def _path(domain: Domain) -> Path:
    return domain.directory / "ladder.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@functools.lru_cache(maxsize=64)
def _read(path: Path, stamp: tuple[int, ...]) -> dict[str, Rung]:
    if not stamp:
        return {}
    try:
        content: dict[str, Any] = loads(path.read_text(encoding="utf-8"))
        return {name: Rung.model_validate(value) for name, value in content.items()}
    except (ValueError, AttributeError) as error:
        raise DomainError(f"{path}: not a file that `discoenv calibrate --ladder` wrote: {error}") from error
