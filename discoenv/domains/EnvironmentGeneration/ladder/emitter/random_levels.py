"""Random solutions, whatever became of those before: domain randomisation. Tobin et al. 2017."""

import numpy as np


class Emitter:
    """Draws solutions independently."""

    def __init__(self, config, space, seed):
        self._count, self._space, self._rng = config["BATCH_SIZE"], space, np.random.default_rng(seed)

    def ask(self, archive):
        """Solutions [BATCH_SIZE, SOLUTION_DIM]."""
        return self._space.draw(self._count, self._rng)

    def tell(self, archive, solutions, status, value):
        """Nothing is learned."""
