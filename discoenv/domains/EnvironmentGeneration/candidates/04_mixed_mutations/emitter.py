"""MAP-Elites with mutations of many sizes, some of them of elites that were filled last, and crossing of elites."""

import numpy as np


class Emitter:
    """Mutates elites, one to thirty cells at a time; in the platformer with noise of many sizes."""

    def __init__(self, config, space, seed):
        self._config, self._space, self._rng = config, space, np.random.default_rng(seed)

    def ask(self, archive):
        """Solutions [BATCH_SIZE, SOLUTION_DIM]."""
        count = self._config["BATCH_SIZE"]
        if not len(archive):
            return self._space.draw(count, self._rng)
        solutions, size = archive.sample(count, self._rng), np.exp(self._rng.uniform(-4, -1, size=(count, 1)))
        if not self._space.is_maze:
            line = archive.sample(count, self._rng) - solutions
            noise = 2 * size * self._config["SIGMA"] * self._rng.normal(size=solutions.shape)
            return solutions + noise + 0.2 * self._rng.normal(size=(count, 1)) * line
        # Walls are put up or taken away, not both, so that both ends of the grid are reached.
        walls = self._rng.integers(2, size=(count, 1), dtype=np.int8)
        return np.where(self._rng.random(solutions.shape) < 2 * size, walls, solutions)

    def tell(self, archive, solutions, status, value):
        """Nothing is learned but what the archive holds."""
