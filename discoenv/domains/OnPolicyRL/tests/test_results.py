"""The table of results.md says what the shipped baselines say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from discoenv.scoring import baselines
from discoenv.tasks.registry import get_domain
from discoenv.tasks.sampling import available_datasets
from discoenv.tasks.task import Setting

PAGE = Path(__file__).resolve().parents[1] / "results.md"
BACKENDS = ("default", "recurrent", "transformer")
DOMAIN = get_domain("OnPolicyRL")
DATASETS = available_datasets(DOMAIN, "small")


def test_the_table_has_all_datasets_that_a_cpu_can_train() -> None:
    assert re.findall(r"^\| ([A-Z]\w+/\S+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE) == DATASETS


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_table_shows_the_shipped_baselines(dataset: str) -> None:
    entries = [baselines.entry(Setting(DOMAIN, backend, dataset, "small")) for backend in BACKENDS]
    cells = [f"{entries[0].floor.mean:.2f}"]
    cells += [f"{entry.baseline.mean:.2f} ± {entry.baseline.std:.2f}" for entry in entries]
    (row,) = re.findall(rf"^\| {dataset} \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert row.split(" | ") == cells


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_baselines_of_all_backends_are_above_the_floor(backend: str, dataset: str) -> None:
    """By more than three standard errors of the baseline's mean."""
    entry = baselines.entry(Setting(DOMAIN, backend, dataset, "small"))
    count = len(entry.seeds)
    assert count >= 3
    assert entry.baseline.mean - entry.floor.mean > 3 * (entry.baseline.std / count**0.5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dataset", [name for name in available_datasets(DOMAIN, "tiny") if "Brax" in name])
def test_robots_learn_at_tiny_scale_too(backend: str, dataset: str) -> None:
    entry = baselines.entry(Setting(DOMAIN, backend, dataset, "tiny"))
    assert entry.baseline.mean > entry.floor.mean
