"""The regression model that is fitted to the record."""

from typing import Protocol

import numpy as np
from sklearn.linear_model import Ridge


class Model(Protocol):
    """What :func:`make_model` returns."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> object:
        """Fit to features float64[N, K] and transformed values float64[N], in order of time."""

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Prediction float64[M] of the transformed values for features float64[M, K]."""


def make_model(config) -> Model:
    """A new model, not yet fitted; a fresh one is made whenever the record has grown.

    Args:
        config: dict, the dataset's config.yaml: gas, unit, sampling, record_years, origins, origin_spacing_years,
            horizon_years.
    """
    # <solution>
    memory = 0.2  # weights fall by a factor of e over this share of the record

    class DiscountedRidge(Ridge):
        def fit(self, X, y):
            age = np.arange(len(y))[::-1] / len(y)
            return super().fit(X, y, sample_weight=np.exp(-age / memory))

    return DiscountedRidge(alpha=0.01)
    # </solution>
