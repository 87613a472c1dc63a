"""MAP-Elites with variation between elites: along lines, or by crossing mazes. Vassiliades and Mouret 2018."""

import numpy as np


class Emitter:
    """Combines pairs of elites."""

    def __init__(self, config, space, seed):
        self._config, self._space, self._rng = config, space, np.random.default_rng(seed)

    def ask(self, archive):
        """Solutions [BATCH_SIZE, SOLUTION_DIM]."""
        count = self._config["BATCH_SIZE"]
        if not len(archive):
            return self._space.draw(count, self._rng)
        one, other = archive.sample(count, self._rng), archive.sample(count, self._rng)
        if not self._space.is_maze:
            noise = self._config["SIGMA"] / 2 * self._rng.normal(size=one.shape)
            return one + noise + 0.2 * self._rng.normal(size=(count, 1)) * (other - one)
        # A rectangle of the other maze, in half of the cases, and some cells anew.
        height, width = self._config["HEIGHT"], self._config["WIDTH"]
        rows, columns = (
            np.sort(self._rng.integers(height + 1, size=(count, 2))),
            np.sort(self._rng.integers(width + 1, size=(count, 2))),
        )
        in_rows = (np.arange(height) >= rows[:, :1]) & (np.arange(height) < rows[:, 1:])
        in_columns = (np.arange(width) >= columns[:, :1]) & (np.arange(width) < columns[:, 1:])
        inside = in_rows[:, :, None] & in_columns[:, None] & (self._rng.random((count, 1, 1)) < 0.5)
        crossed = np.where(inside.reshape(count, -1), other, one)
        return np.where(self._rng.random(crossed.shape) < 0.05, 1 - crossed, crossed)

    def tell(self, archive, solutions, status, value):
        """Nothing is learned but what the archive holds."""
