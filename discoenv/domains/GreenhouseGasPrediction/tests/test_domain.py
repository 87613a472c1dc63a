"""Greenhouse-gas forecasting: realistic atmospheres, forecasts without look-ahead, a baseline that leaves room."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.domains.GreenhouseGasPrediction import box_model, records
from discoenv.domains.GreenhouseGasPrediction.examiner import LOWEST_SKILL, GreenhouseGasExaminer
from discoenv.exams.examiner import ProtocolError
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.testing import InProcessLearner, import_learner

DOMAIN = Domain(BUILTIN / "GreenhouseGasPrediction")
CANDIDATES = Path(__file__).parents[1] / "candidates"
SEEDS = (0, 1, 2)

Table = np.ndarray[Any, Any]


class Noting:
    """Forecasts as another forecaster does, and notes what it was asked and told."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.log: list[tuple[str, Table]] = []

    def forecast(self, times: Table) -> Any:
        self.log.append(("forecast", times))
        return self.model.forecast(times)

    def observe(self, rows: Table) -> None:
        self.log.append(("observe", rows))
        self.model.observe(rows)


class Lambda:
    """A forecaster made of one function of the times."""

    def __init__(self, forecast: Callable[[Table], Any]) -> None:
        self.forecast = forecast

    def observe(self, rows: Table) -> None:
        """Learn nothing."""


def examiner(dataset: str, scale: str = "tiny") -> GreenhouseGasExaminer:
    return GreenhouseGasExaminer(dataset, scale, DOMAIN.config(dataset, scale))


def examine(exam: GreenhouseGasExaminer, model: Any, seed: int) -> dict[str, float]:
    return exam.examine(InProcessLearner(model), seed)


def skills(dataset: str, scale: str, candidate: str | None = None) -> list[float]:
    exam = examiner(dataset, scale)
    with import_learner(DOMAIN, modules=CANDIDATES / candidate if candidate else None) as code:
        return [
            examine(exam, code.main.Forecaster(exam.training_data(seed)["history"], exam.config), seed)["skill"]
            for seed in SEEDS
        ]


# Atmospheres


@pytest.mark.parametrize(
    ("gas", "year", "observed"),
    [("CO2", 2019, 413.4), ("CH4", 2014, 1833.5), ("N2O", 2014, 327.9), ("SF6", 2014, 8.42), ("CFC", 1993, 268.0)],
)
def test_levels_are_the_observed_ones_within_four_per_cent(gas: str, year: int, observed: float) -> None:
    for seed in range(3):
        days, values = box_model.realise(box_model.GASES[gas], np.random.default_rng(seed))
        in_year = days.astype("datetime64[Y]") == np.datetime64(str(year))
        assert values[in_year].mean() == pytest.approx(observed, rel=0.04)


@pytest.mark.parametrize(
    ("gas", "initial", "emissions", "years", "final"),
    [("N2O", 316.0, (13.5, 16.5), 25, 327.0), ("SF6", 4.0, (5.5, 9.4), 28, 12.3)],
)
def test_the_box_turns_known_emissions_into_known_levels(
    gas: str, initial: float, emissions: tuple[float, float], years: int, final: float
) -> None:
    nodes = ((0.0, emissions[0]), (float(years), emissions[1]))
    parameters = box_model.Gas(
        burden=box_model.GASES[gas].burden,
        lifetime=box_model.GASES[gas].lifetime,
        initial=initial,
        emissions=nodes,
        emission_spread=0.0,
        noise=0.0,
    )
    daily = np.linspace(*emissions, round(years * box_model.DAYS_PER_YEAR))
    assert box_model.box(daily, parameters, parameters.lifetime)[-1] == pytest.approx(final, rel=0.02)


def test_a_box_without_emissions_decays_exponentially() -> None:
    gas = box_model.GASES["CFC"]
    values = box_model.box(np.zeros(3653), gas, 52.0)
    assert values[-1] == pytest.approx(gas.initial * np.exp(-3652 / box_model.DAYS_PER_YEAR / 52.0), rel=1e-9)


def test_mauna_loa_is_complete_but_for_its_missing_weeks() -> None:
    days, values = records.mauna_loa()
    assert (len(values), str(days[0]), str(days[-1])) == (2225, "1958-03-29", "2001-12-29")
    assert np.isfinite(values).all()
    assert (values.min(), values.max()) == (313.0, 373.9)


@pytest.mark.parametrize("dataset", DOMAIN.datasets)
def test_an_exam_is_fixed_by_its_seed_and_differs_between_seeds(dataset: str) -> None:
    history = [examiner(dataset).training_data(seed)["history"] for seed in (5, 5, 6)]
    assert np.array_equal(history[0], history[1])
    size = min(len(history[0]), len(history[2]))
    assert not np.allclose(history[0][:size, 3], history[2][:size, 3], rtol=1e-3)


@pytest.mark.parametrize("dataset", DOMAIN.datasets)
@pytest.mark.parametrize("scale", ["tiny", "small", "full"])
def test_rows_follow_the_schema(dataset: str, scale: str) -> None:
    exam = examiner(dataset, scale)
    rows = exam.training_data(0)["history"]
    year, month, day, value = rows.T
    assert rows.dtype == np.float64
    assert np.isfinite(rows).all()
    assert (np.diff(year) > 0).all()
    assert np.isin(month, np.arange(1, 13)).all()
    assert ((day >= 1) & (day <= 366)).all()
    np.testing.assert_allclose(year % 1, (day - 0.5) / 365.25, atol=3e-3)
    np.testing.assert_allclose(month, np.ceil(day / 30.6), atol=1)
    assert (value > 0).all()
    assert len(rows) > 120
    assert year[-1] - year[0] <= exam.config["record_years"]


# Exams


@pytest.mark.parametrize("dataset", DOMAIN.datasets)
def test_no_value_is_shown_before_it_had_to_be_forecast(dataset: str) -> None:
    exam = examiner(dataset)
    config = exam.config
    model = Noting(Lambda(lambda times: np.zeros(len(times))))
    examine(exam, model, 3)
    known = exam.training_data(3)["history"]
    assert [method for method, _ in model.log] == ["forecast", "observe"] * (config["origins"] - 1) + ["forecast"]
    for method, rows in model.log:
        assert rows[0, 0] > known[-1, 0]
        if method == "forecast":
            assert rows.shape[1] == 3
            assert rows[-1, 0] - known[-1, 0] > config["horizon_years"] - 0.5
        else:
            known = np.concatenate([known, rows])
    assert (np.diff(known[:, 0]) > 0).all()


@pytest.mark.parametrize("dataset", DOMAIN.datasets)
def test_the_floor_is_zero_and_a_perfect_forecast_is_one(dataset: str) -> None:
    exam = examiner(dataset)
    truth = exam.realise(4).rows
    floor = exam.floor(4)
    assert floor["skill"] == 0.0
    assert floor["rmse"] >= floor["mae"] > 0.0
    perfect = Lambda(lambda times: truth[np.isin(truth[:, 0], times[:, 0]), 3])
    assert examine(exam, perfect, 4) == {"skill": 1.0, "rmse": 0.0, "mae": 0.0}


def test_the_seasonal_naive_forecast_repeats_the_last_year() -> None:
    history = np.array([[2000 + k / 12, k % 12 + 1, 15.0, float(k)] for k in range(30)])
    times = np.array([[2000 + k / 12, k % 12 + 1, 15.0] for k in range(30, 60)])
    np.testing.assert_array_equal(records.seasonal_naive(times, history), [18 + k % 12 for k in range(30)])


def test_an_explosion_costs_a_bounded_amount() -> None:
    metrics = examine(examiner("BoxModel/SF6"), Lambda(lambda times: np.full(len(times), 1e300)), 0)
    assert metrics["skill"] == LOWEST_SKILL
    assert np.isfinite(list(metrics.values())).all()


@pytest.mark.parametrize("answer", [np.nan, np.inf])
def test_a_forecast_that_is_not_finite_is_refused(answer: float) -> None:
    with pytest.raises(ProtocolError, match=r"forecast\(\) answered .* NaN or infinite"):
        examine(examiner("BoxModel/SF6"), Lambda(lambda times: np.full(len(times), answer)), 0)


def test_mauna_loa_scores_do_not_depend_on_the_unknown_unit() -> None:
    exam = examiner("MaunaLoa/CO2")
    assert len({round(exam.realise(seed).unit, 3) for seed in SEEDS}) == len(SEEDS)
    assert all(2.0 < exam.floor(seed)["rmse"] < 8.0 for seed in SEEDS)  # ppm; growth is about 1.5 ppm a year


# Modules


def test_forecasts_are_printed_with_their_errors_once_these_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    exam = examiner("BoxModel/N2O")
    with import_learner(DOMAIN) as code:
        forecaster = code.main.Forecaster(exam.training_data(0)["history"], exam.config)
        capsys.readouterr()
        examine(exam, forecaster, 0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == exam.config["origins"] - 1
    pattern = r"until \d+\.\d\d: RMSE \S+ ppb of the forecast from the last origin"
    assert all(re.fullmatch(pattern, line) for line in lines)


@pytest.mark.parametrize("module", DOMAIN.modules)
def test_stubs_import_and_name_what_is_missing(module: str) -> None:
    assert "Ridge(" not in DOMAIN.module_text(module, backend="default", start="stub")
    exam = examiner("BoxModel/N2O")
    with (
        import_learner(DOMAIN, stubs=[module]) as code,
        pytest.raises(NotImplementedError, match=rf"{module}\.py: \w+ is not implemented"),
    ):
        code.main.Forecaster(exam.training_data(0)["history"], exam.config)


@pytest.mark.parametrize("scale", ["tiny", "small"])
@pytest.mark.parametrize("dataset", DOMAIN.datasets)
def test_the_baseline_is_better_than_a_trend_of_the_whole_record_and_leaves_room(dataset: str, scale: str) -> None:
    baseline = np.mean(skills(dataset, scale))
    assert 0.25 < baseline < 0.9
    assert np.mean(skills(dataset, scale, "01_calendar")) < baseline - 0.05
    assert np.mean(skills(dataset, scale, "02_harmonics")) < baseline - 0.02


def test_curvature_wins_on_gases_that_accelerate_and_fails_where_the_trend_turns() -> None:
    whole, curved = "02_harmonics", "03_quadratic_harmonics"
    for dataset in ("BoxModel/CO2", "BoxModel/CH4", "BoxModel/N2O", "BoxModel/SF6"):
        assert np.mean(skills(dataset, "tiny", curved)) > np.mean(skills(dataset, "tiny", whole)) + 0.05
    assert np.mean(skills("BoxModel/CFC", "tiny", curved)) < np.mean(skills("BoxModel/CFC", "tiny", whole))
    assert (
        np.mean(skills("BoxModel/SF6", "tiny", "04_backtested_trends")) > np.mean(skills("BoxModel/SF6", "tiny")) + 0.1
    )


# Hidden files


def site_packages() -> Path:
    spec = importlib.util.find_spec("statsmodels")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent.parent


def test_no_copy_of_the_mauna_loa_record_stays_visible() -> None:
    hidden = [site_packages() / name for name in DOMAIN.specification.hidden_packages]
    copies = [path for path in (site_packages() / "statsmodels").rglob("*co2*") if path.suffix != ".pyc"]
    assert copies
    assert all(any(folder == path or folder in path.parents for folder in hidden) for path in copies)


def test_statsmodels_can_be_imported_without_the_hidden_files(tmp_path: Path) -> None:
    package = site_packages() / "statsmodels"
    copy = tmp_path / "statsmodels"
    copy.mkdir()
    hidden = {site_packages() / name for name in DOMAIN.specification.hidden_packages}

    def mirror(source: Path, target: Path) -> None:
        """Link what is visible; of a hidden folder, leave an empty one."""
        for path in source.iterdir():
            if path in hidden:
                (target / path.name).mkdir()
            elif any(path in folder.parents for folder in hidden):
                (target / path.name).mkdir()
                mirror(path, target / path.name)
            else:
                (target / path.name).symlink_to(path)

    mirror(package, copy)
    code = (
        "import statsmodels.api, statsmodels.tsa.api\n"
        "from statsmodels.tsa.seasonal import STL\n"
        "from statsmodels.datasets import co2\n"
        "print(statsmodels.__file__, hasattr(co2, 'load'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert done.stdout.split() == [str(copy / "__init__.py"), "False"]
