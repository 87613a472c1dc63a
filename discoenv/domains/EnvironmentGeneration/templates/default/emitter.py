"""The emitter: where new solutions come from."""

import numpy as np
from archive import REJECTED
from cma_es import CMAES


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
        self._strategy = None
        if not space.is_maze:
            self._strategy = CMAES(np.zeros(config["SOLUTION_DIM"]), config["SIGMA"], config["BATCH_SIZE"])
        # </solution>

    def ask(self, archive):
        """Propose solutions.

        Args:
            archive: Archive (see archive.py), empty at first. Do not change it.

        Returns:
            [BATCH_SIZE, SOLUTION_DIM]: bits in mazes, else float64; they are clipped by ``space.clip``.
        """
        # <solution>
        # Mazes: MAP-Elites (Mouret and Clune 2015), elites of which some cells are drawn anew. Platformer: CMA-ME.
        if self._strategy is not None:
            return self._strategy.ask(self._rng)
        count, cells = self._config["BATCH_SIZE"], self._config["SOLUTION_DIM"]
        if not len(archive):
            return self._space.draw(count, self._rng)
        solutions = archive.sample(count, self._rng)
        places = self._rng.random((count, cells)).argsort(axis=1)[:, : self._config["MUTATIONS"]]
        np.put_along_axis(solutions, places, self._rng.integers(2, size=places.shape, dtype=np.int8), axis=1)
        return solutions
        # </solution>

    def tell(self, archive, solutions, status, value):
        """Learn what became of solutions of the last :meth:`ask`; some of them may be missing.

        Args:
            archive: Archive that they were added to.
            solutions: [n, SOLUTION_DIM], clipped.
            status: int64[n], REJECTED, IMPROVED or NEW (see archive.py).
            value: float64[n], the objective, or by how much it is better than that of the elite that was in the cell.
        """
        # <solution>
        # CMA-ME (Fontaine et al. 2020), improvement ranking: new cells first, then improved ones, each by value.
        if self._strategy is None:
            return
        order = np.lexsort((-value, -status))
        parents = order[status[order] != REJECTED]
        self._strategy.tell(solutions[parents])
        if (not len(parents) or self._strategy.is_degenerate()) and len(archive):
            self._strategy.reset(archive.sample(1, self._rng)[0])
        # </solution>
