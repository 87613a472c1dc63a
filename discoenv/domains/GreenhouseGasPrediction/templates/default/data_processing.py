"""From times to features, and from mixing ratios to what the model is fitted to and back."""

import numpy as np


def make_features(times, history):
    """Features of the given times.

    Called with the times of all of ``history`` before the model is fitted, and with future times before it predicts;
    both calls must give the same number of columns.

    Args:
        times: float64[M, 3]: decimal year, month (1 to 12), day of the year (1 to 366).
        history: float64[N, 4], everything observed so far, in order of time: the same three columns and the value,
            a mixing ratio in the gas's own unit. Rows may be missing for weeks. No value of a future time is in it.

    Returns:
        float64[M, K], finite.
    """
    # <solution>
    return np.column_stack([np.floor(times[:, 0]), times[:, 1], times[:, 2]])
    # </solution>


def transform(values, times, history):
    """What the model is fitted to.

    Args:
        values: float64[M], mixing ratios at ``times``, in the gas's unit.
        times, history: as for :func:`make_features`.

    Returns:
        float64[M], finite.
    """
    # <solution>
    return values
    # </solution>


def inverse_transform(values, times, history):
    """Inverse of :func:`transform` for the same ``times`` and ``history``; the forecast is what this returns.

    Args:
        values: float64[M], as the model predicts them for ``times``.
        times, history: as for :func:`make_features`; here all times are after the last row of ``history``.

    Returns:
        float64[M], mixing ratios in the gas's unit, finite.
    """
    # <solution>
    return values
    # </solution>
