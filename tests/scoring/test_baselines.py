"""Baselines are found, kept and merged; scores are normalised so that more is better, whatever the metric."""

from __future__ import annotations

import importlib.metadata
import json
import math
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discoenv.episodes.record import ScoreRecord
from discoenv.errors import CalibrationFailed, DomainError, InfraError, NoBaseline
from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.machine import atomic, hardware
from discoenv.machine.energy import Energy
from discoenv.scoring import baselines, calibration
from discoenv.scoring.baselines import Baseline, SeedValues
from discoenv.scoring.scores import score
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain
from discoenv.tasks.specification import Metric
from discoenv.tasks.task import Setting
from tests.conftest import TOY, MakeVariant


def sample(mean: float, std: float = 0.0) -> SeedValues:
    return SeedValues(mean=mean, std=std, values=[mean])


@pytest.fixture
def make_entry(toy: Domain) -> Callable[..., Baseline]:
    """The shipped entry of the toy domain's dataset Line, with other values."""
    shipped = baselines.entry(Setting(toy, "default", "Line", "tiny"))

    def make(floor: float = 0.0, baseline: float = 1.0, *, std: float = 0.0, **changes: Any) -> Baseline:
        return shipped.model_copy(update={"floor": sample(floor, std), "baseline": sample(baseline), **changes})

    return make


# ---- normalised scores


@pytest.mark.parametrize(
    ("direction", "floor", "baseline", "value", "normalised"),
    [
        ("max", 0.0, 1.0, 0.0, 0.0),
        ("max", 0.0, 1.0, 1.0, 1.0),
        ("max", 0.0, 1.0, 2.0, 2.0),
        ("max", 0.0, 1.0, -1.0, -1.0),
        ("max", -300.0, -100.0, -50.0, 1.25),
        ("max", -300.0, -100.0, -400.0, -0.5),
        ("min", 10.0, 2.0, 10.0, 0.0),
        ("min", 10.0, 2.0, 2.0, 1.0),
        ("min", 10.0, 2.0, 0.0, 1.25),
        ("min", 10.0, 2.0, 14.0, -0.5),
        ("min", -1.0, -3.0, -4.0, 1.5),
        ("min", 1.0, -1.0, -3.0, 2.0),
    ],
)
def test_zero_is_the_floor_one_the_baseline_and_more_is_better(
    make_entry: Callable[..., Baseline], direction: Any, floor: float, baseline: float, value: float, normalised: float
) -> None:
    metric = Metric(name="m", unit="u", direction=direction)
    assert make_entry(floor, baseline).normalised(value, metric.sign) == pytest.approx(normalised)


@pytest.mark.parametrize(("direction", "sign"), [("max", 1.0), ("min", -1.0)])
@pytest.mark.parametrize("std", [0.0, 0.5])
def test_a_floor_that_is_not_worse_than_the_baseline_still_gives_finite_scores_in_the_right_direction(
    make_entry: Callable[..., Baseline], direction: Any, sign: float, std: float
) -> None:
    assert Metric(name="m", unit="u", direction=direction).sign == sign
    for baseline in (5.0, 5.0 - sign):
        entry = make_entry(5.0, baseline, std=std)
        assert entry.normalised(5.0, sign) == 0
        assert entry.normalised(5.0 + sign, sign) > 0 > entry.normalised(5.0 - sign, sign)
        assert math.isfinite(entry.normalised(1e6, sign))
    assert make_entry(5.0, 5.0, std=0.5).normalised(5.0 + sign, sign) == 2


FINITE = st.floats(-1e6, 1e6)


SHIPPED: Any = next(iter(json.loads((TOY / "Toy" / "baselines.json").read_text()).values()))


@given(FINITE, FINITE, FINITE, FINITE, st.sampled_from([1.0, -1.0]))
def test_a_better_value_never_has_a_smaller_score(
    floor: float, baseline: float, one: float, other: float, sign: float
) -> None:
    entry = Baseline.model_validate({**SHIPPED, "floor": sample(floor), "baseline": sample(baseline)})
    if sign * one <= sign * other:
        assert entry.normalised(one, sign) <= entry.normalised(other, sign)


def result(value: float | None, seed: int = 0) -> ExamResult:
    """An exam with this metric; None means one that failed."""
    return ExamResult(
        dataset="Line",
        seed=seed,
        number=seed,
        status="error" if value is None else "ok",
        metrics=None if value is None else {"m": value},
        seconds=None if value is None else 1.0,
        training_s=1.0,
        answering_s=0.0,
        wall_s=1.0,
        cpu_s=1.0,
        peak_memory_bytes=1,
        memory_method="sampled",
        energy=Energy(joules=1.0, method="estimate", uncertainty=0.5),
        budget_s=30.0,
        questions=1,
        message="" if value is not None else "it failed",
        traceback="" if value is not None else "Traceback",
        stdout=f"seed {seed}",
    )


def test_a_score_is_the_mean_over_seeds_with_its_standard_error(make_entry: Callable[..., Baseline]) -> None:
    metric = Metric(name="m", unit="u", direction="max")
    scored = score(metric, make_entry(), [result(1.0, 0), result(2.0, 1), result(3.0, 2)])
    assert scored.normalised == 2
    assert scored.standard_error == pytest.approx(1 / math.sqrt(3))
    assert scored.values == (1.0, 2.0, 3.0)
    assert scored.ok
    assert score(metric, make_entry(), [result(1.0)]).standard_error is None


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_failed_exam_or_a_metric_that_is_no_number_counts_as_the_floor(
    make_entry: Callable[..., Baseline], value: float | None
) -> None:
    metric = Metric(name="m", unit="u", direction="min")
    scored = score(metric, make_entry(10.0, 2.0), [result(value), result(2.0)])
    assert scored.values == (10.0, 2.0)
    assert scored.normalised == 0.5
    assert scored.ok == (value is not None)


def test_a_record_is_plain_values(make_entry: Callable[..., Baseline]) -> None:
    metric = Metric(name="m", unit="u", direction="max")
    scored = ScoreRecord.of(score(metric, make_entry(), [result(1.0, 5), result(None, 6)]))
    record = scored.to_json()
    assert json.loads(json.dumps(record)) == record
    assert ScoreRecord.from_json(record) == scored
    passed, failed = scored.exams
    assert (passed.number, failed.number) == (5, 6)
    assert (passed.status, failed.status) == ("ok", "error")
    assert (passed.message, failed.message) == ("", "it failed")
    assert (passed.metrics, failed.metrics) == ({"m": 1.0}, None)
    assert (passed.metric, failed.metric) == (1.0, 0.0)
    assert (scored.normalised, scored.metric, scored.floor, scored.baseline) == (0.5, 0.5, 0.0, 1.0)
    assert scored.metric_name == "r2"
    assert (passed.traceback, failed.traceback) == ("", "Traceback")


# ---- where baselines are kept


def test_the_shipped_baseline_is_found(toy: Domain) -> None:
    entry = baselines.entry(Setting(toy, "default", "Wave", "tiny"))
    assert entry.metric == "r2"
    assert entry.floor.mean < entry.baseline.mean < 1
    assert len(entry.baseline.values) == len(entry.seeds) == 3


def test_a_missing_baseline_names_the_command_that_measures_it(toy: Domain) -> None:
    with pytest.raises(NoBaseline) as caught:
        baselines.entry(Setting(toy, "default", "Line", "full"))
    assert "Toy: Line has no baseline for backend default at scale full" in str(caught.value)
    assert "`discoenv calibrate Toy --dataset Line --backend default --scale full --local`" in str(caught.value)
    assert not baselines.has_entry(Setting(toy, "default", "Line", "full"))
    assert baselines.has_entry(Setting(toy, "default", "Line", "tiny"))


def test_a_baseline_of_another_version_of_the_domain_does_not_count(make_variant: MakeVariant) -> None:
    domain = make_variant("Toy", change=lambda c: c.update(version=2))
    with pytest.raises(NoBaseline):
        baselines.entry(Setting(domain, "default", "Line", "tiny"))


def test_this_machines_baseline_stands_in_where_the_domain_ships_none(
    toy: Domain, make_entry: Callable[..., Baseline]
) -> None:
    assert baselines.local_entry(Setting(toy, "default", "Line", "full")) is None
    mine = make_entry(1.0, 2.0)
    entries = {Setting(toy, "default", "Line", scale).key: mine for scale in ("tiny", "full")}
    baselines.write(baselines.local_path(toy), entries)
    assert baselines.local_entry(Setting(toy, "default", "Line", "tiny")) == mine
    assert baselines.entry(Setting(toy, "default", "Line", "full")) == mine
    assert baselines.entry(Setting(toy, "default", "Line", "tiny")) != mine


def test_this_machines_baseline_is_that_of_a_sandbox(toy: Domain, make_entry: Callable[..., Baseline]) -> None:
    entry = make_entry(hardware={**hardware.hardware(), "sandbox": "docker"})
    baselines.write(baselines.local_path(toy), {"default:Line:tiny": entry})
    setting = Setting(toy, "default", "Line", "tiny")
    assert baselines.local_entry(setting, sandbox="docker") == entry
    assert baselines.local_entry(setting, sandbox="bubblewrap") is None


def test_the_cache_is_that_of_the_user_and_the_machine(toy: Domain, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "discoenv" / "baselines"
    assert baselines.local_path(toy) == folder / hardware.fingerprint() / "Toy.json"


def test_writing_keeps_the_other_entries_however_fast_they_come(
    tmp_path: Path, make_entry: Callable[..., Baseline]
) -> None:
    path = tmp_path / "new" / "baselines.json"
    for number in range(50):
        baselines.write(path, {f"default:D{number}:tiny": make_entry(float(number))})
    content = json.loads(path.read_text())
    assert len(content) == 50
    assert list(content) == sorted(content)
    assert content["default:D7:tiny"]["floor"]["mean"] == 7.0
    assert path.stat().st_mode & 0o777 == 0o644


def _write_some(path: str, first: int, entry: str) -> None:
    for number in range(first, first + 15):
        baselines.write(Path(path), {f"default:D{number}:tiny": Baseline.model_validate_json(entry)})


def test_several_processes_may_write_at_once(tmp_path: Path, make_entry: Callable[..., Baseline]) -> None:
    path = str(tmp_path / "baselines.json")
    context = multiprocessing.get_context("spawn")
    entry = make_entry().model_dump_json()
    writers = [context.Process(target=_write_some, args=(path, first, entry)) for first in (0, 15, 30)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(json.loads(Path(path).read_text())) == 45


@pytest.fixture
def failing_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:

        def fail(self: Path, target: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "replace", fail)
        yield


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, make_entry: Callable[..., Baseline], request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "baselines.json"
    baselines.write(path, {"default:Line:tiny": make_entry()})
    before = path.read_text()
    request.getfixturevalue("failing_disk")
    with pytest.raises(OSError, match="No space left"):
        baselines.write(path, {"default:Wave:tiny": make_entry()})
    assert path.read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == ["baselines.json"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"default:Line:tiny": {"metric": "r2"}}', '{"default:Line:tiny": 5}']
)
def test_a_damaged_file_is_named(toy: Domain, content: str) -> None:
    path = baselines.local_path(toy)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(DomainError, match=r"Toy\.json: not a file that `discoenv calibrate` wrote"):
        baselines.local_entry(Setting(toy, "default", "Line", "tiny"))


def test_text_is_written_whole_with_its_line_ends(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "a", "é\r\n\u2028")
    assert (tmp_path / "a").read_bytes() == "é\r\n\u2028".encode()
    atomic.write_text(tmp_path / "a", "é\ud800")  # which no encoding takes
    assert (tmp_path / "a").read_text(encoding="utf-8") == "é\\ud800"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


# ---- measuring


def test_calibration_measures_floor_baseline_and_costs(toy: Domain, host: Host) -> None:
    seen: list[ExamResult] = []
    setting = Setting(toy, "default", "Line", "tiny")
    entry = calibration.calibrate(host, setting, seeds=[0, 1], on_exam=seen.append)
    shipped = baselines.entry(setting)
    assert entry.floor.values == pytest.approx(shipped.floor.values[:2])
    assert entry.baseline.values == pytest.approx(shipped.baseline.values[:2])
    assert entry.floor.mean < entry.baseline.mean
    assert entry.seconds.mean > 0
    assert entry.peak_memory_bytes.mean > 1 << 20
    assert entry.code_bytes == shipped.code_bytes
    assert (entry.seeds, entry.metric, entry.domain_version) == ([0, 1], "r2", 1)
    assert entry.hardware["sandbox"] == host.sandbox.name
    assert {"python", "discoenv", "numpy"} <= entry.versions.keys()
    assert [one.seed for one in seen] == [0, 1]


@pytest.mark.parametrize(
    ("name", "dataset", "packages"),
    [
        ("OnPolicyRL", "Brax/Ant", {"jax", "jaxlib", "flax", "optax", "numpy", "brax"}),
        ("ContinualLearning", "TinyImageNetSplit", {"torch", "numpy", "pillow"}),
    ],
)
def test_versions_are_those_of_packages_that_scores_depend_on(name: str, dataset: str, packages: set[str]) -> None:
    versions = calibration.versions(get_domain(name), dataset)
    assert {"python", "discoenv", *packages} <= versions.keys()
    assert all(versions[each] == importlib.metadata.version(each) for each in packages)


def test_a_base_that_fails_is_reported_with_its_traceback(make_variant: MakeVariant, host: Host, toy: Domain) -> None:
    source = toy.module_source("model", backend="default").replace("RIDGE * np", "RIDGED * np")
    domain = make_variant("Toy", files={"templates/default/model.py": source})
    with pytest.raises(CalibrationFailed) as caught:
        calibration.calibrate(host, Setting(domain, "default", "Line", "tiny"), seeds=[0])
    assert "Toy, Line, default, tiny, seed 0: NameError: name 'RIDGED' is not defined" in str(caught.value)
    assert 'File "Line/model.py"' in str(caught.value)


def test_a_requirement_that_is_not_installed_is_reported(make_variant: MakeVariant, host: Host) -> None:
    domain = make_variant("Toy", change=lambda c: c["requirements"].append("no-such-package>=1"))
    with pytest.raises(InfraError, match=r"no-such-package is not installed; pip install 'discoenv\[sklearn\]'"):
        calibration.calibrate(host, Setting(domain, "default", "Line", "tiny"), seeds=[0])


def test_a_minimised_metric_is_measured_in_its_own_direction(make_variant: MakeVariant, host: Host) -> None:
    domain = make_variant(
        "Toy", change=lambda c: c.update(metric={"name": "mse", "unit": "y²", "direction": "min", "lower": 0})
    )
    entry = calibration.calibrate(host, Setting(domain, "default", "Line", "tiny"), seeds=[0])
    assert entry.metric == "mse"
    assert 0 < entry.baseline.mean < entry.floor.mean
