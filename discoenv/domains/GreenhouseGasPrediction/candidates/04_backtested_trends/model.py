"""An average of discounted trends, weighted by how well each would have forecast the recent past."""

import itertools

import numpy as np
from sklearn.linear_model import Ridge

#: E-folding times of the weights, in decades (the unit of the first feature).
MEMORIES = (0.2, 0.4, 0.8, 1.6, 10.0)
#: Ridge penalties of the curvature, relative to those of the other coefficients; the last one forbids it.
CURVATURES = (1.0, 30.0, 1e6)
#: Origins of the backtest, in horizons before the end of the record.
ORIGINS = (1.0, 1.25, 1.5, 1.75, 2.0)
#: A member's weight is its mean squared backtest error to the power of minus this.
SHARPNESS = 1.0


class Trend:
    """Ridge regression on (t, t², harmonics) with weights exp((t − t_last) / memory)."""

    def __init__(self, memory, curvature):
        self._memory, self._penalty = memory, curvature

    def fit(self, X, y):
        """Fit to features float64[N, K] and values float64[N]."""
        self._last = X[-1, 0]
        weights = np.exp((X[:, 0] - self._last) / self._memory)
        self._ridge = Ridge(alpha=1e-4 * weights.sum()).fit(self._scaled(X), y, sample_weight=weights)
        return self

    def predict(self, X):
        """Values float64[M]."""
        return self._ridge.predict(self._scaled(X))

    def _scaled(self, X):
        t = X[:, 0] - self._last
        return np.column_stack([t, t**2 / np.sqrt(self._penalty), X[:, 2:]])


class BacktestedTrends:
    """Weighted mean of trends with different memories and penalties of curvature."""

    def __init__(self, horizon):
        self._horizon = horizon

    def fit(self, X, y):
        """Fit to features float64[N, K] and values float64[N], in order of time."""
        members = list(itertools.product(MEMORIES, CURVATURES))
        errors = np.zeros(len(members))
        for origin in X[-1, 0] - self._horizon * np.array(ORIGINS):
            known, asked = X[:, 0] < origin, (X[:, 0] >= origin) & (X[:, 0] < origin + self._horizon)
            if known.sum() < 4 * X.shape[1] or not asked.any():
                continue
            for number, member in enumerate(members):
                forecast = Trend(*member).fit(X[known], y[known]).predict(X[asked])
                errors[number] += np.mean((forecast - y[asked]) ** 2)
        weights = (errors + 1e-12) ** -SHARPNESS
        self._weights = weights / weights.sum()
        self._members = [Trend(*member).fit(X, y) for member in members]
        return self

    def predict(self, X):
        """Values float64[M]."""
        return np.column_stack([member.predict(X) for member in self._members]) @ self._weights


def make_model(config):
    """A model that has tried its own forecasts on the past."""
    return BacktestedTrends(config["horizon_years"] / 10.0)
