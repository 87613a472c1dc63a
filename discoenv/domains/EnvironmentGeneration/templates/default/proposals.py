"""Where candidates come from: an archive of predictions."""

from archive import Archive
from emitter import Emitter
from evaluations import checked
from surrogate import Surrogate


class Proposals:
    """Trains the surrogate, and searches on its predictions.

    Args:
        config: dict, the dataset's config.yaml.
        space: Space (see levels.py).
        rng: numpy.random.Generator.
    """

    def __init__(self, config, space, rng):
        self._config, self._space, self._rng = config, space, rng
        self._surrogate = Surrogate(config, int(rng.integers(2**31)))

    def make(self, what, archive, data):
        """The Elites of a new archive, filled by a new emitter with what the surrogate predicts.

        Args:
            what: dict, see schedule.py.
            archive: Archive of evaluated solutions, which is not used here.
            data: Evaluations so far; None before the first.
        """
        if data is not None:
            self._surrogate.fit(data, what["epochs"])
        imagined = Archive(self._config, self._space.dtype)
        emitter = Emitter(self._config, self._space, int(self._rng.integers(2**31)))
        for _ in range(max(1, what["inner_iterations"])):
            solutions = self._space.clip(emitter.ask(imagined))
            objectives, measures = checked(self._surrogate.predict(self._space.levels(solutions)), len(solutions))
            emitter.tell(imagined, solutions, *imagined.add(solutions, objectives, measures))
        return imagined.elites()

    def told(self, archive, solutions, status, value):
        """What became of the chosen candidates in the archive of evaluated solutions; emitters are not told here."""
