"""Lets a learner's automaton grow, piece by piece, and watches that its rule is local and the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
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

    In every piece, a few steps, all grids grow beside two kinds of twins (see :mod:`.probes`), in another order at each
    step, so that nothing tells which is which. A little noise is added before every piece, and inputs are restored
    after it.

    Args:
        learner: is asked ``step(states, noise)``.
        own: one step ``own(params, states, noise)``, if the rule is our own and no learner is asked; else None.
        preserve: the number of last channels that are inputs.
        generator: draws the lengths of the pieces, the noise and the twins.
        film: is shown every state.
    """

    def __init__(
        self,
        learner: Learner,
        own: Callable[..., Any] | None,
        preserve: int,
        generator: np.random.Generator,
        film: Film,
    ) -> None:
        self._learner = learner
        self._own = own
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
        generator, count = self._generator, len(states)
        noise = generator.integers(256, size=(steps, *states.shape[:3]), dtype=np.uint8)
        if self._own is not None:  # our own rule is local and the same everywhere, whatever its parameters are
            for each in noise:
                states = self._checked(self._learner.guarded(self._own, self._learner.state.tree, states, each))
            return states
        twins = {kind: make(states, noise, generator) for kind, make in probes.KINDS.items()}
        together = np.concatenate([states, *(each.states for each in twins.values())])
        for now in np.concatenate([noise, *(each.noise for each in twins.values())], axis=1):
            order = generator.permutation(len(together))
            together[order] = self._ask(together[order], now[order])
        grown, *others = np.split(together, range(count, len(together), count))
        for (kind, each), other in zip(twins.items(), others, strict=True):
            self._strays[kind] += int(each.differing(grown, other).sum())
            if self._strays[kind] > probes.strays(count):
                raise RuleBroken(f"the rule is not {kind}: {_MEANINGS[kind]} (seen within {steps} steps)")
        return grown

    def _ask(self, states: FloatArray, noise: np.ndarray[Any, Any]) -> FloatArray:
        returns = Array(states.shape, low=-LARGEST_STATE, high=LARGEST_STATE)
        grown: FloatArray = self._learner.ask("step", states, noise, returns=returns).astype(np.float32)
        return grown

    def _checked(self, states: Any) -> FloatArray:
        returns = Array(states.shape, low=-LARGEST_STATE, high=LARGEST_STATE)
        grown: FloatArray = returns.check(np.asarray(states), "a step of the automaton").astype(np.float32)
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
