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
    decades = (times[:, 0] - history[-1, 0]) / 10.0
    phase = 2 * np.pi * times[:, 0]
    harmonics = [wave(order * phase) for order in (1, 2) for wave in (np.cos, np.sin)]
    return np.column_stack([decades, *harmonics])
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
    recent = history[history[:, 0] > history[-1, 0] - 1.0, 3]
    return (values - recent.mean()) / max(history[:, 3].std(), 1e-12)
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
    recent = history[history[:, 0] > history[-1, 0] - 1.0, 3]
    return values * max(history[:, 3].std(), 1e-12) + recent.mean()
    # </solution>
