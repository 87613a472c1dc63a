"""The sampler offers datasets on which a better module can be told from luck, and no others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from discoenv.scoring import baselines, offered
from discoenv.scoring.baselines import Baseline, SeedValues
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.sampling import available_datasets, sample_task
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Setting

SCALES: list[Scale] = ["tiny", "small"]


def entry(toy: Domain, floor: list[float], baseline: list[float]) -> Baseline:
    def over_seeds(values: list[float]) -> SeedValues:
        return SeedValues(mean=float(np.mean(values)), std=float(np.std(values, ddof=1)), values=values)

    shipped = baselines.entry(Setting(toy, "default", "Line", "tiny"))
    return shipped.model_copy(update={"floor": over_seeds(floor), "baseline": over_seeds(baseline), "seeds": [1, 2, 3]})


@pytest.mark.parametrize(
    ("floor", "baseline", "sign", "why"),
    [
        ([0.0, 0.1, 0.2], [1.0, 1.1, 0.9], 1, ""),
        ([0.0, 0.1, 0.2], [1.0, 1.1, 0.9], -1, "the baseline (1) is no better than the floor (0.1)"),
        ([1.0, 1.1, 0.9], [0.0, 0.1, 0.2], -1, ""),
        ([0.0, 0.0, 0.0], [1.0, 1.8, 0.2], 1, "2.2 standard errors above the floor; 5 are needed"),
        ([0.0, 0.0, 0.0], [1.0, 0.3, 1.7] * 12, 1, "1.7 of its standard deviations above the floor; 2 are needed"),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], 1, "no better than the floor"),
    ],
)
def test_doubt(toy: Domain, floor: list[float], baseline: list[float], sign: float, why: str) -> None:
    found = offered.doubt(entry(toy, floor, baseline), sign)
    assert why in found
    assert bool(why) == bool(found)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", get_domains())
def test_what_is_sampled_is_five_standard_errors_above_its_floor(name: str, scale: Scale) -> None:
    domain = get_domain(name)
    for backend in domain.backends:
        for dataset in available_datasets(domain, scale):
            setting = Setting(domain, backend, dataset, scale)
            if not offered.usable(scale)(domain, backend, dataset):
                continue
            found = baselines.entry(setting)
            span = setting.metric.sign * (found.baseline.mean - found.floor.mean)
            error = math.hypot(*(of.std / math.sqrt(len(of.values)) for of in (found.floor, found.baseline)))
            assert span >= 5 * error, setting
            assert span >= 2 * found.baseline.std, setting


@pytest.mark.parametrize("name", get_domains())
def test_four_datasets_are_left_at_small(name: str) -> None:
    domain = get_domain(name)
    offers = [each for each in available_datasets(domain, "small") if offered.usable("small")(domain, "default", each)]
    assert len(offers) >= 4


def test_doubted_datasets_are_not_sampled() -> None:
    doubted = offered.doubted(get_domain("NeuralCellularAutomata"), "tiny")
    assert ("default", "SelfClassifyingDigits") in doubted
    generator = np.random.default_rng(0)
    for _ in range(200):
        task = sample_task(generator, domains=["NeuralCellularAutomata"], scale="tiny", usable=offered.usable("tiny"))
        assert not {(task.backend, name) for name in (*task.meta_train, *task.meta_test)} & set(doubted)


def test_published_baselines_without_a_spread_are_not_doubted(toy: Domain) -> None:
    found = entry(toy, [1.0, 1.0], [0.0, 0.0]).model_copy(update={"seeds": []})
    assert offered.doubt(found, 1) == ""
