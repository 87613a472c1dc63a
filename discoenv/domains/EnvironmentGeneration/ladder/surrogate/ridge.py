"""Ridge regression on the tiles. Hoerl and Kennard 1970."""

import numpy as np


class Surrogate:
    """A linear model, fitted anew in each round."""

    def __init__(self, config, seed):
        self._tiles, self._penalty = config["TILES"], 10.0

    def fit(self, data, epochs):
        """Solve the normal equations."""
        features = self._features(data.levels)
        outcomes = np.concatenate([data.objectives[:, None], data.measures], axis=1)
        self._mean = outcomes.mean(axis=0)
        squares = features.T @ features + self._penalty * np.eye(features.shape[1])
        self._weights = np.linalg.solve(squares, features.T @ (outcomes - self._mean))

    def predict(self, levels):
        """Objectives float64[n] and measures float64[n, 2]."""
        outcomes = self._features(levels) @ self._weights + self._mean
        return outcomes[:, 0], outcomes[:, 1:]

    def _features(self, levels):
        """Each tile but the first has a column per cell."""
        flat = levels.reshape(len(levels), -1)
        return (flat[..., None] == np.arange(1, self._tiles)).reshape(len(flat), -1).astype(np.float64)
