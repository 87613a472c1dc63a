"""Which datasets the sampler offers: those on which a better module can be told from luck.

A normalised score divides by the distance between floor and baseline. Where the two are hardly different, the score is
noise divided by noise, and where the baseline is below the floor, a worse module scores higher. Such a dataset can be
played by those who name it, and is not sampled.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from discoenv.errors import NoBaseline
from discoenv.scoring import baselines
from discoenv.scoring.baselines import Baseline
from discoenv.tasks.domain import Domain
from discoenv.tasks.sampling import Usable
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Setting

#: The least distance of a baseline from its floor, in standard errors of that distance.
LEAST_STANDARD_ERRORS: Final = 5.0
#: The same in standard deviations of the base modules' metric over seeds: what a single exam is worth.
LEAST_DEVIATIONS: Final = 2.0


def doubt(entry: Baseline, sign: float) -> str:
    """Why scores by this floor and baseline mean too little to be sampled; empty if they mean something.

    Args:
        entry: what was measured. A baseline that a pack publishes has no spread, and is not doubted.
        sign: the metric's, 1 to maximise and −1 to minimise.
    """
    span = sign * (entry.baseline.mean - entry.floor.mean)
    if not entry.seeds:
        return ""
    if span <= 0:
        return f"the baseline ({entry.baseline.mean:.4g}) is no better than the floor ({entry.floor.mean:.4g})"
    variances = [of.std**2 / max(1, len(of.values)) for of in (entry.floor, entry.baseline)]
    error = math.sqrt(sum(variances))
    if span < LEAST_STANDARD_ERRORS * error:
        return (
            f"the baseline is {span / error:.1f} standard errors above the floor; {LEAST_STANDARD_ERRORS:g} are needed"
        )
    if span < LEAST_DEVIATIONS * entry.baseline.std:
        return (
            f"the baseline is {span / entry.baseline.std:.1f} of its standard deviations above the floor; "
            f"{LEAST_DEVIATIONS:g} are needed"
        )
    return ""


def setting_doubt(setting: Setting, device: str = "cpu") -> str:
    """Why a setting is not sampled on a device: it has no baseline there, or :func:`doubt`; empty if it is."""
    shipped = _shipped(setting.domain).get(setting.key)
    if shipped is not None:
        return shipped
    try:
        return doubt(baselines.entry(setting, device), setting.metric.sign)
    except NoBaseline:
        return "it has no baseline"


def usable(scale: Scale | None, device: Callable[[Setting], str] = lambda setting: "cpu") -> Usable:
    """What the sampler is to ask at a scale: whether a dataset has a baseline that can be told from its floor.

    Args:
        scale: of the tasks; None: each domain's :attr:`Domain.default_scale`.
        device: the name of what a setting would be trained on here.
    """

    def ask(domain: Domain, backend: str, dataset: str) -> bool:
        setting = Setting(domain, backend, dataset, scale or domain.default_scale)
        return not setting_doubt(setting, device(setting))

    return ask


def undoubted(scale: Scale | None) -> Usable:
    """What the sampler is to ask where no exam may ever be run: datasets without a baseline are offered, too."""

    shipped: dict[Domain, Mapping[str, str]] = {}

    def ask(domain: Domain, backend: str, dataset: str) -> bool:
        if domain not in shipped:
            shipped[domain] = _shipped(domain)
        return not shipped[domain].get(f"{backend}:{dataset}:{scale or domain.default_scale}")

    return ask


def doubted(domain: Domain, scale: Scale) -> dict[tuple[str, str], str]:
    """Why settings whose baseline the domain ships are not sampled, by backend and dataset."""
    shipped = _shipped(domain)
    keys = {
        (backend, name): Setting(domain, backend, name, scale).key
        for backend in domain.backends
        for name in domain.datasets
    }
    return {which: shipped[key] for which, key in keys.items() if shipped.get(key)}


def _shipped(domain: Domain) -> Mapping[str, str]:
    """:func:`doubt` of each entry that a domain ships for its present version, by the settings' keys."""
    path = domain.directory / "baselines.json"
    return _doubts(domain, path, baselines.stamp(path))


@functools.lru_cache(maxsize=64)
def _doubts(domain: Domain, path: Path, stamp: tuple[int, ...]) -> Mapping[str, str]:
    signs = {name: domain.metric(name).sign for name in domain.datasets}
    return {
        key: doubt(entry, signs[key.split(":")[1]])
        for key, entry in baselines.entries(path).items()
        if entry.domain_version == domain.version and key.split(":")[1] in signs
    }
