"""The surrogate: predicts what the simulator would say of a level."""

import numpy as np


class Surrogate:
    """A model of the simulator.

    Args:
        config: dict, the dataset's config.yaml: HEIGHT, WIDTH, TILES, RANGES of both measures.
        seed: int, of everything random.
    """

    def __init__(self, config, seed):
        # <solution>
        # MAP-Elites has no model: all levels are predicted to be as the mean of those that were evaluated.
        self._objective, self._measures = 0.0, np.array(config["RANGES"], np.float64).mean(axis=1)
        # </solution>

    def fit(self, data, epochs):
        """Learn from all evaluations so far; what was learned before may be kept.

        Args:
            data: Evaluations (see evaluations.py) of N levels.
            epochs: int, what schedule.py asks for: how often to go through the data.
        """
        # <solution>
        self._objective, self._measures = data.objectives.mean(), data.measures.mean(axis=0)
        # </solution>

    def predict(self, levels):
        """Predict evaluations.

        Args:
            levels: int8[n, HEIGHT, WIDTH].

        Returns:
            Objectives float64[n] and measures float64[n, 2], finite, in the units of the evaluations.
        """
        # <solution>
        return np.full(len(levels), self._objective), np.tile(self._measures, (len(levels), 1))
        # </solution>
