"""Where candidates come from: an emitter that acts on the archive of evaluated solutions."""

import numpy as np
from archive import Elites
from emitter import Emitter
from evaluations import checked
from surrogate import Surrogate


class Proposals:
    """Asks one emitter for solutions, and the surrogate for a word on each.

    Args:
        config: dict, the dataset's config.yaml.
        space: Space (see levels.py).
        rng: numpy.random.Generator.
    """

    def __init__(self, config, space, rng):
        self._space = space
        self._surrogate = Surrogate(config, int(rng.integers(2**31)))
        self._emitter = Emitter(config, space, int(rng.integers(2**31)))

    def make(self, what, archive, data):
        """Proposals of the emitter, with predictions, as Elites.

        Args:
            what: dict, see schedule.py.
            archive: Archive of evaluated solutions.
            data: Evaluations so far; None before the first.
        """
        if data is not None:
            self._surrogate.fit(data, what["epochs"])
        asked = [self._space.clip(self._emitter.ask(archive)) for _ in range(max(1, what["inner_iterations"]))]
        solutions = np.concatenate(asked)
        objectives, measures = checked(self._surrogate.predict(self._space.levels(solutions)), len(solutions))
        return Elites(solutions, objectives, measures, archive.cells_of(measures))

    def told(self, archive, solutions, status, value):
        """What became of the chosen candidates in the archive of evaluated solutions: the emitter hears of it."""
        self._emitter.tell(archive, solutions, status, value)
