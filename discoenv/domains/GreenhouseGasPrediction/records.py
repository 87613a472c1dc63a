"""Records as tables: the schema that all gases share, the Mauna Loa record, and the seasonal-naive forecast."""

from __future__ import annotations

from typing import Final

import numpy as np

from .box_model import Days, FloatArray

#: Days between two rows; a month's row is that of its 15th.
SAMPLINGS: Final = {"daily": 1, "weekly": 7, "four-weekly": 28, "monthly": None}


def table(days: Days, values: FloatArray) -> FloatArray:
    """Rows of a record.

    Args:
        days: datetime64[D][N].
        values: float64[N], mixing ratios.

    Returns:
        float64[N, 4]: decimal year (at noon), month (1 to 12), day of the year (1 to 366), value.
    """
    years = days.astype("datetime64[Y]")
    start, end = years.astype("datetime64[D]"), (years + 1).astype("datetime64[D]")
    day_of_year = (days - start).astype(np.int64) + 1
    decimal_year = years.astype(np.int64) + 1970 + (day_of_year - 0.5) / (end - start).astype(np.int64)
    month = days.astype("datetime64[M]").astype(np.int64) % 12 + 1
    return np.column_stack([decimal_year, month, day_of_year, values]).astype(np.float64)


def sample(days: Days, values: FloatArray, sampling: str) -> tuple[Days, FloatArray]:
    """The observations of a daily (or weekly) record that a coarser sampling keeps; see ``SAMPLINGS``.

    Raises:
        ValueError: there is no such sampling.
    """
    if sampling not in SAMPLINGS:
        raise ValueError(f"sampling: {sampling!r} is none of {', '.join(SAMPLINGS)}")
    interval = SAMPLINGS[sampling]
    if interval is None:
        day_of_month = (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1
        kept = day_of_month == 15
    else:
        kept = (days - days[0]).astype(np.int64) % interval == 0
    return days[kept], values[kept]


def mauna_loa() -> tuple[Days, FloatArray]:
    """Weekly CO2 at Mauna Loa, 1958-03-29 to 2001-12-29, ppm, without the 59 weeks that have no value.

    Keeling & Whorf (2004), CDIAC; public domain; bundled with statsmodels.
    """
    from statsmodels.datasets import co2  # takes a second, and box models do not need it

    series = co2.load_pandas().data["co2"].dropna()
    return series.index.to_numpy().astype("datetime64[D]"), series.to_numpy(dtype=np.float64)


def disguised(days: Days, values: FloatArray, generator: np.random.Generator) -> tuple[Days, FloatArray, float]:
    """A published record as no table of it would have it: elsewhere in time, on another scale, with gaps and noise.

    Args:
        days: datetime64[D][N].
        values: float64[N].
        generator: draws the number of days by which the record is moved (at most 40 years), the factor (0.5 to 2) and
            the offset of its values, three gaps of 4 to 16 observations, one observation in 20 that is missing, and
            noise of a twentieth of a unit.

    Returns:
        Days and values of what is left, and the factor.
    """
    moved = days + np.timedelta64(int(generator.integers(-14610, 14611)), "D")
    unit, offset = float(np.exp(generator.uniform(-0.7, 0.7))), generator.uniform(-50.0, 50.0)
    noisy = values + generator.normal(0.0, 0.05, len(values))
    kept = generator.random(len(values)) >= 0.05
    for start in generator.integers(len(values), size=3):
        kept[start : start + int(generator.integers(4, 17))] = False
    return moved[kept], (unit * (noisy + offset))[kept], unit


def seasonal_naive(times: FloatArray, history: FloatArray) -> FloatArray:
    """The last observed value of the same season, without drift.

    The forecast for t is the observation that is nearest to t − n, with n the smallest whole number of years for which
    t − n is not after the last observation (Hyndman & Athanasopoulos, Forecasting, section 5.2).

    Args:
        times: float64[M, 3 or 4], rows of a table.
        history: float64[N, 4], ascending.

    Returns:
        float64[M].
    """
    observed = history[:, 0]
    wanted = times[:, 0] - np.ceil(times[:, 0] - observed[-1])
    after = np.searchsorted(observed, wanted).clip(1, len(observed) - 1)
    before = after - 1
    nearest = np.where(wanted - observed[before] <= observed[after] - wanted, before, after)
    forecast: FloatArray = history[nearest, 3]
    return forecast
