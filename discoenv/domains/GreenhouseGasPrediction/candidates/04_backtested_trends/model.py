"""Trends of several memories, weighted by how well each would have forecast the recent past, and one seasonal cycle."""

import itertools

import numpy as np
from sklearn.linear_model import Ridge

#: E-folding times of the weights of trends, in decades (the unit of the first feature).
MEMORIES = (0.1, 0.2, 0.4, 0.8)
#: Ridge penalties of the curvature, relative to those of the other coefficients; the last one forbids it.
CURVATURES = (1.0, 30.0, 1e6)
#: How far they are trusted before anything was tried: straight lines err least where the trend turns.
PRIOR = (1.0, 1.0, 4.0)
#: Origins of the backtest, in horizons before the end of the record.
ORIGINS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
#: A member's weight is its mean squared backtest error to the power of minus this.
SHARPNESS = 1.0
#: E-folding time for the seasonal cycle, which changes more slowly than the trend.
SEASONAL_MEMORY = 1.5


def seasonal_cycle(X, y):
    """Coefficients of the harmonics, beside a cubic trend."""
    t = X[:, 0] - X[-1, 0]
    trend = np.column_stack([t, t**2, t**3])
    weights = np.exp(t / SEASONAL_MEMORY)
    ridge = Ridge(alpha=1e-4 * weights.sum()).fit(np.column_stack([trend, X[:, 2:]]), y, sample_weight=weights)
    return ridge.coef_[3:]


class Trend:
    """Ridge regression on (t, t²) with weights exp((t − t_last) / memory)."""

    def __init__(self, memory, curvature):
        self._memory, self._penalty = memory, curvature

    def fit(self, t, y):
        """Fit to times float64[N] and values float64[N]."""
        self._last = t[-1]
        weights = np.exp((t - self._last) / self._memory)
        self._ridge = Ridge(alpha=1e-4 * weights.sum()).fit(self._scaled(t), y, sample_weight=weights)
        return self

    def predict(self, t):
        """Values float64[M]."""
        return self._ridge.predict(self._scaled(t))

    def _scaled(self, t):
        t = t - self._last
        return np.column_stack([t, t**2 / np.sqrt(self._penalty)])


class BacktestedTrends:
    """Weighted mean of trends with different memories and penalties of curvature, and a seasonal cycle."""

    def __init__(self, horizon):
        self._horizon = horizon

    def fit(self, X, y):
        """Fit to features float64[N, K] and values float64[N], in order of time."""
        members = list(itertools.product(MEMORIES, CURVATURES))
        self._seasonal = seasonal_cycle(X, y)
        t, y = X[:, 0], y - X[:, 2:] @ self._seasonal
        errors = np.zeros(len(members))
        for origin in t[-1] - self._horizon * np.array(ORIGINS):
            known, asked = t < origin, (t >= origin) & (t < origin + self._horizon)
            if known.sum() < 4 * X.shape[1] or not asked.any():
                continue
            for number, member in enumerate(members):
                forecast = Trend(*member).fit(t[known], y[known]).predict(t[asked])
                errors[number] += np.mean((forecast - y[asked]) ** 2)
        weights = (errors + 1e-12) ** -SHARPNESS * np.tile(PRIOR, len(MEMORIES))
        self._weights = weights / weights.sum()
        self._members = [Trend(*member).fit(t, y) for member in members]
        return self

    def predict(self, X):
        """Values float64[M]."""
        trends = np.column_stack([member.predict(X[:, 0]) for member in self._members])
        return trends @ self._weights + X[:, 2:] @ self._seasonal


def make_model(config):
    """A model that has tried its own forecasts on the past."""
    return BacktestedTrends(config["horizon_years"] / 10.0)
