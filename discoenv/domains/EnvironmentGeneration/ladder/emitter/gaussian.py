"""MAP-Elites with one mutation: a tenth of the cells flipped, or normal noise. Mouret and Clune 2015."""

import numpy as np


class Emitter:
    """Mutates elites that are drawn uniformly."""

    def __init__(self, config, space, seed):
        self._config, self._space, self._rng = config, space, np.random.default_rng(seed)

    def ask(self, archive):
        """Solutions [BATCH_SIZE, SOLUTION_DIM]."""
        count = self._config["BATCH_SIZE"]
        if not len(archive):
            return self._space.draw(count, self._rng)
        solutions = archive.sample(count, self._rng)
        if self._space.is_maze:
            return np.where(self._rng.random(solutions.shape) < 0.1, 1 - solutions, solutions)
        return solutions + self._config["SIGMA"] / 2 * self._rng.normal(size=solutions.shape)

    def tell(self, archive, solutions, status, value):
        """Nothing is learned but what the archive holds."""
