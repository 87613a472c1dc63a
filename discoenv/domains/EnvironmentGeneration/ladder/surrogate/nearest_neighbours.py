"""Nearest neighbours: the mean of the five evaluated levels that differ in the fewest tiles. Cover and Hart 1967."""

import numpy as np


class Surrogate:
    """Remembers all evaluations."""

    def __init__(self, config, seed):
        self._neighbours = 5

    def fit(self, data, epochs):
        """Keep the levels as one-hot vectors, and what is known of them."""
        self._levels = self._vectors(data.levels)
        self._outcomes = np.concatenate([data.objectives[:, None], data.measures], axis=1)

    def predict(self, levels):
        """Objectives float64[n] and measures float64[n, 2]."""
        shared = self._vectors(levels) @ self._levels.T
        nearest = np.argpartition(-shared, min(self._neighbours, shared.shape[1]) - 1, axis=1)[:, : self._neighbours]
        outcomes = self._outcomes[nearest].mean(axis=1)
        return outcomes[:, 0], outcomes[:, 1:]

    @staticmethod
    def _vectors(levels):
        flat = levels.reshape(len(levels), -1)
        return (flat[..., None] == np.arange(6)).reshape(len(flat), -1).astype(np.float32)
