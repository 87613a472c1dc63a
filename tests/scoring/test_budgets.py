"""Compute budgets follow the work of the baseline and the speed of this machine."""

from __future__ import annotations

import time

import pytest

from discoenv.machine import cache, hardware, speed
from discoenv.scoring import baselines, budgets
from discoenv.scoring.baselines import Baseline, SeedValues
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain, get_domains
from discoenv.tasks.task import Setting
from tests.conftest import MakeVariant


@pytest.fixture
def slowness(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """How slow the machine is said to be."""
    said = {"times": 1.0}
    monkeypatch.setattr(speed, "slowness", lambda: said["times"])
    return said


def line(domain: Domain) -> Setting:
    return Setting(domain, "default", "Line", "tiny")


def entry(setting: Setting, seconds: float, cpu_s: float | None = None) -> Baseline:
    """A baseline that took so long."""
    values = [SeedValues(mean=each, std=0.0, values=[each]) if each is not None else None for each in (seconds, cpu_s)]
    return baselines.entry(setting).model_copy(update={"seconds": values[0], "cpu_s": values[1]})


def test_a_budget_is_an_allowance_for_the_start_and_a_multiple_of_the_work(
    toy: Domain, slowness: dict[str, float]
) -> None:
    setting = line(toy)
    assert budgets.budget_s(setting, entry(setting, 10.0), None, scale=2.0) == 22.0
    assert budgets.budget_s(setting, entry(setting, 10.0), None, scale=0.5) == 7.0
    assert budgets.budget_s(setting, entry(setting, 0.01), None, scale=2.0) == 2.1  # rounded up to two digits


def test_cpu_seconds_count_where_they_are_known(toy: Domain, slowness: dict[str, float]) -> None:
    setting = line(toy)
    assert budgets.budget_s(setting, entry(setting, 30.0, cpu_s=10.0), None, scale=2.0) == 22.0


def test_a_slow_machine_gets_more_and_what_was_measured_on_it_counts(toy: Domain, slowness: dict[str, float]) -> None:
    setting = line(toy)
    slowness["times"] = 3.0
    assert budgets.budget_s(setting, entry(setting, 10.0), None, scale=2.0) == 66.0
    assert budgets.budget_s(setting, entry(setting, 10.0), entry(setting, 25.0), scale=2.0) == 56.0
    slowness["times"] = 0.5
    assert budgets.budget_s(setting, entry(setting, 10.0), None, scale=2.0) == 11.0
    assert budgets.budget_s(setting, entry(setting, 10.0), None, scale=2.0, on_gpu=True) == 21.0


def test_a_domain_may_say_what_a_start_needs_and_the_least(
    make_variant: MakeVariant, slowness: dict[str, float]
) -> None:
    setting = line(make_variant("Toy", change=lambda c: c["limits"].update(start_s=7.0, minimum_budget_s=20.0)))
    assert budgets.budget_s(setting, entry(setting, 1.0), None, scale=2.0) == 20.0
    assert budgets.budget_s(setting, entry(setting, 10.0), None, scale=2.0) == 27.0


def test_no_budget_is_many_times_the_work_that_it_is_for(slowness: dict[str, float]) -> None:
    """Of the datasets that all domains ship: 20 s and ten times the work at most, and more than twice the work."""
    for name in get_domains():
        domain = get_domain(name)
        for key in baselines.entries(domain.directory / "baselines.json"):
            backend, rest = key.split(":", 1)
            dataset, _, scale = rest.rpartition(":")
            setting = Setting(domain, backend, dataset, scale)  # type: ignore[arg-type]
            known = baselines.entry(setting)
            budget_s = budgets.budget_s(setting, known, None, scale=2.0)
            assert 2 * known.work_s < budget_s < 20 + 10 * known.work_s, key


def test_the_speed_of_a_machine_is_measured_once_and_kept(toy: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    speed.probe_s.cache_clear()
    try:
        measured = speed.probe_s()
        assert 0 < measured < 10
        file = cache.folder("speed") / f"{hardware.fingerprint()}.txt"
        assert float(file.read_text()) == pytest.approx(measured, abs=1e-6)
        file.write_text("0.5\n")
        assert speed.probe_s() == measured
        speed.probe_s.cache_clear()
        assert speed.probe_s() == 0.5
        assert speed.slowness() == 0.5 / speed.REFERENCE_S
        file.write_text("nonsense")
        speed.probe_s.cache_clear()
        monkeypatch.setattr(speed, "_timed", lambda: 1e-9)
        assert speed.slowness() == 0.5
    finally:
        speed.probe_s.cache_clear()


def test_the_probe_is_short(toy: Domain) -> None:
    begin = time.process_time()
    speed._timed()
    assert time.process_time() - begin < 5.0
