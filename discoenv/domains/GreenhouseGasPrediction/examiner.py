"""Examines forecasters at rolling origins: each forecast is asked for before any later value has been shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from discoenv.exams.examiner import Array, Examiner, Learner

from . import box_model, records
from .box_model import FloatArray

#: One origin at which a forecast explodes shall not outweigh all the others.
LOWEST_SKILL = -10.0
#: Forecasts are cut here (in the record's unit), so that sums of squares stay finite.
LARGEST_FORECAST = 1e9
#: The first origin is drawn from the last so many years in which all horizons still fit into the record.
ORIGIN_SPREAD_YEARS = 2.0


@dataclass(frozen=True)
class Realisation:
    """The record of one exam.

    Attributes:
        rows: float64[N, 4]: decimal year, month, day of the year, value; ascending.
        origins: decimal years. Rows before ``origins[i]`` are known when forecast ``i`` is made.
        unit: factor by which the record's values were multiplied.
    """

    rows: FloatArray
    origins: tuple[float, ...]
    unit: float = 1.0

    def between(self, start: float, end: float) -> FloatArray:
        """Rows with start ≤ decimal year < end."""
        return self.rows[(self.rows[:, 0] >= start) & (self.rows[:, 0] < end)]


class GreenhouseGasExaminer(Examiner):
    """Asks for forecasts of ``horizon_years`` at ``origins`` origins, ``origin_spacing_years`` apart.

    Between two origins the learner is told what has been observed meanwhile. Metrics, each the mean over origins:

    * ``skill``: 1 − RMSE / RMSE of the seasonal-naive forecast (Murphy 1988, in RMSE), not below ``LOWEST_SKILL``.
    * ``rmse``, ``mae``: of the forecast, in the gas's unit.
    """

    def training_data(self, seed: int) -> dict[str, FloatArray]:
        """``history``, float64[N, 4]: the rows before the first origin."""
        realisation = self.realise(seed)
        return {"history": realisation.between(-np.inf, realisation.origins[0])}

    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Ask ``forecast(times)`` at each origin; ``observe(rows)`` in between."""

        def forecast(times: FloatArray, _: FloatArray) -> FloatArray:
            return learner.ask("forecast", times, returns=Array((len(times),)))

        return self._score(self.realise(seed), forecast, lambda rows: learner.tell("observe", rows))

    def floor(self, seed: int) -> dict[str, float]:
        """The seasonal-naive forecast itself: skill 0."""
        return self._score(self.realise(seed), records.seasonal_naive, lambda rows: None)

    def realise(self, seed: int) -> Realisation:
        """The record and the origins of the exam with this seed."""
        config, source = self.config, self.dataset.partition("/")[0]
        generator = self.generator(seed, "record")
        if source == "MaunaLoa":
            days, values, unit = records.disguised(*records.mauna_loa(), generator)
        else:
            days, values = box_model.realise(box_model.GASES[config["gas"]], generator)
            unit = 1.0
        rows = records.table(*records.sample(days, values, config["sampling"]))
        later = config["origin_spacing_years"] * np.arange(config["origins"])
        latest = rows[-1, 0] - config["horizon_years"] - later[-1]
        first = latest - self.generator(seed, "origins").uniform(0.0, ORIGIN_SPREAD_YEARS)
        rows = rows[rows[:, 0] >= first - config["record_years"]]
        return Realisation(rows, tuple(float(origin) for origin in first + later), unit)

    def _score(
        self,
        realisation: Realisation,
        forecast: Callable[[FloatArray, FloatArray], FloatArray],
        observe: Callable[[FloatArray], None],
    ) -> dict[str, float]:
        skills, rmses, maes = [], [], []
        origins = realisation.origins
        for number, origin in enumerate(origins):
            if number:
                observe(realisation.between(origins[number - 1], origin))
            history = realisation.between(-np.inf, origin)
            target = realisation.between(origin, origin + self.config["horizon_years"])
            times, values = target[:, :3], target[:, 3]
            errors = forecast(times, history).clip(-LARGEST_FORECAST, LARGEST_FORECAST) - values
            naive = records.seasonal_naive(times, history) - values
            rmse = float(np.sqrt(np.mean(errors**2)))
            skills.append(max(LOWEST_SKILL, 1.0 - rmse / float(np.sqrt(np.mean(naive**2)))))
            rmses.append(rmse / realisation.unit)
            maes.append(float(np.mean(np.abs(errors))) / realisation.unit)
        return {"skill": float(np.mean(skills)), "rmse": float(np.mean(rmses)), "mae": float(np.mean(maes))}
