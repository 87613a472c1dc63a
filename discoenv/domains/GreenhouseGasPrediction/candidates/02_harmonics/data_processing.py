"""Features of a linear trend and of a seasonal cycle with two harmonics."""

import numpy as np


def make_features(times, history):
    """Years since the last observation (in decades), its powers, and harmonics of the year: float64[M, K]."""
    t = (times[:, 0] - history[-1, 0]) / 10.0
    phase = 2 * np.pi * times[:, 0]
    harmonics = [wave(order * phase) for order in (1, 2) for wave in (np.cos, np.sin)]
    return np.column_stack([t, *harmonics])


def transform(values, times, history):
    """Mixing ratios relative to the last year's mean, in standard deviations of the record: float64[M]."""
    centre, scale = _location_and_scale(history)
    return (values - centre) / scale


def inverse_transform(values, times, history):
    """Mixing ratios, float64[M], from standardised ones."""
    centre, scale = _location_and_scale(history)
    return values * scale + centre


def _location_and_scale(history):
    recent = history[history[:, 0] > history[-1, 0] - 1.0, 3]
    return recent.mean(), max(history[:, 3].std(), 1e-12)
