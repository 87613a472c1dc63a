"""The emitter: where new solutions come from."""

import numpy as np


class Emitter:
    """Proposes solutions for an archive, and adapts to what becomes of them.

    Args:
        config: dict, the dataset's config.yaml: BATCH_SIZE, SOLUTION_DIM; MUTATIONS and SIGMA are settings of the
            baseline.
        space: Space (see levels.py).
        seed: int, of everything random.
    """

    def __init__(self, config, space, seed):
        # <solution>
        self._config, self._space, self._rng = config, space, np.random.default_rng(seed)
        # </solution>

    def ask(self, archive):
        """Propose solutions.

        Args:
            archive: Archive (see archive.py) of what was evaluated, empty if nothing was. Do not change it.

        Returns:
            [BATCH_SIZE, SOLUTION_DIM]: bits in mazes, else float64; they are clipped by ``space.clip``.
        """
        # <solution>
        # MAP-Elites (Mouret and Clune 2015). Mazes: elites of which some cells are drawn anew. Platformer: elites plus
        # normal noise in all directions, and some more towards another elite (Vassiliades and Mouret 2018).
        count, size = self._config["BATCH_SIZE"], self._config["SOLUTION_DIM"]
        if not len(archive):
            return self._space.draw(count, self._rng)
        solutions = archive.sample(count, self._rng)
        if self._space.is_maze:
            places = self._rng.random((count, size)).argsort(axis=1)[:, : self._config["MUTATIONS"]]
            np.put_along_axis(solutions, places, self._rng.integers(2, size=places.shape, dtype=np.int8), axis=1)
            return solutions
        line = archive.sample(count, self._rng) - solutions
        solutions = solutions + self._config["SIGMA"] / 2 * self._rng.normal(size=(count, size))
        return solutions + 0.2 * self._rng.normal(size=(count, 1)) * line
        # </solution>

    def tell(self, archive, solutions, status, value):
        """Learn what became of solutions of the last :meth:`ask`; some of them may be missing.

        Args:
            archive: Archive that they were added to.
            solutions: [n, SOLUTION_DIM], clipped, in any order.
            status: int64[n], REJECTED, IMPROVED or NEW (see archive.py).
            value: float64[n], the objective, or by how much it is better than that of the elite that was in the cell.
        """
        # <solution>
        return  # nothing is learned but what the archive holds
        # </solution>
