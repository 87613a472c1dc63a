"""Lets a learner's automaton grow, piece by piece, and watches that its rule is local and the same everywhere."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from discoenv.exams.examiner import Array, Learner, RuleBroken

from . import probes
from .film import Film
from .samples import FloatArray

#: An answer beyond that is refused.
LARGEST_STATE: Final = 1e6
#: Uniform noise on states before every piece, absolute and relative to their size: ten times what twins may differ by,
#: so that nothing forbidden can be told in what is too small to be seen.
NOISE: Final = 10 * probes.TOLERANCE


class Growth:
    """Grows the grids of one exam.

    Every piece, a few steps of all grids, is asked for three times in random order: of the grids themselves, and of two
    kinds of twins (see :mod:`.probes`). A little noise is added before every piece, and inputs are restored after it.

    Args:
        learner: is asked ``grow(states, noise)``.
        preserve: the number of last channels that are inputs.
        generator: draws the lengths of the pieces, the noise and the twins.
        film: is shown every state.
    """

    def __init__(self, learner: Learner, preserve: int, generator: np.random.Generator, film: Film) -> None:
        self._learner = learner
        self._preserve = preserve
        self._generator = generator
        self._film = film
        self._strays = dict.fromkeys(probes.KINDS, 0)

    def __call__(self, states: FloatArray, steps: int) -> FloatArray:
        """States float32[N, H, W, C] after ``steps`` steps.

        Raises:
            RuleBroken: too many grids differ from their twins.
            ExamEnded: the answers are not states.
        """
        self._film.add(states, 0)
        longest = probes.longest(states.shape[1])
        while steps:
            count = min(steps, int(self._generator.integers(1, longest, endpoint=True)))
            steps -= count
            grown = self._piece(self._disturbed(states), count)
            inputs = slice(states.shape[-1] - self._preserve, None)
            grown[..., inputs] = states[..., inputs]
            states = grown
            self._film.add(states, count)
        return states

    def _piece(self, states: FloatArray, steps: int) -> FloatArray:
        generator = self._generator
        noise = generator.integers(256, size=(steps, *states.shape[:3]), dtype=np.uint8)
        twins = {kind: make(states, noise, generator) for kind, make in probes.KINDS.items()}
        questions = [("itself", states, noise), *((kind, each.states, each.noise) for kind, each in twins.items())]
        grown = {}
        for number in generator.permutation(len(questions)):
            kind, *question = questions[number]
            grown[kind] = self._ask(*question)
        for kind, each in twins.items():
            self._strays[kind] += int(each.differing(grown["itself"], grown[kind]).sum())
            if self._strays[kind] > probes.strays(len(states)):
                raise RuleBroken(f"the rule is not {kind}: {_MEANINGS[kind]} (seen within {steps} steps)")
        return grown["itself"]

    def _ask(self, states: FloatArray, noise: np.ndarray[Any, Any]) -> FloatArray:
        returns = Array(states.shape, low=-LARGEST_STATE, high=LARGEST_STATE)
        grown: FloatArray = self._learner.ask("grow", states, noise, returns=returns).astype(np.float32)
        return grown

    def _disturbed(self, states: FloatArray) -> FloatArray:
        channels = states.shape[-1] - self._preserve
        disturbed = states.copy()
        noise = self._generator.uniform(-NOISE, NOISE, (*states.shape[:3], channels)).astype(np.float32)
        disturbed[..., :channels] += noise * (1.0 + np.abs(states[..., :channels]))
        return disturbed


_MEANINGS: Final = {
    "local": f"cells depend on others that are more than {probes.REACH} cells per step away",
    "the same everywhere": "grids that are moved by whole cells, with their noise, become something else",
}
