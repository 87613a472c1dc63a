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

    In every piece, a few steps, two kinds of twins of all grids (see :mod:`.probes`) grow as well, in another order at
    each step. A learner's witness grows them, which never sees the grids themselves: it cannot know what became of
    those, unless the rule makes the same of both. A little noise is added before every piece, and inputs are restored
    after it.

    Args:
        learner: is asked ``step(states, noise)``.
        own: a piece ``own(params, states, noise, steps)``, as of ``make_grow`` in answer.py, if the rule is our own and
            no learner is asked; else None. Twins are not needed then.
        preserve: the number of last channels that are inputs.
        generator: draws the lengths of the pieces and the noise.
        probing: draws twins, and the order of grids.
        company: from which grids twins are made.
        film: is shown every state.
    """

    def __init__(
        self,
        learner: Learner,
        own: Callable[..., Any] | None,
        preserve: int,
        generator: np.random.Generator,
        probing: np.random.Generator,
        company: probes.Company,
        film: Film,
    ) -> None:
        self._learner = learner
        self._own = own
        self._preserve = preserve
        self._generator = generator
        self._probing = probing
        self._company = company
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
        noise = self._generator.integers(256, size=(steps, *states.shape[:3]), dtype=np.uint8)
        return self._watched(states, noise) if self._own is None else self._by_rule(self._own, states, noise)

    def _by_rule(self, own: Callable[..., Any], states: FloatArray, noise: np.ndarray[Any, Any]) -> FloatArray:
        """What our own rule, which is local and the same everywhere whatever its parameters are, makes of states."""
        padded = np.zeros((probes.longest(states.shape[1]), *noise.shape[1:]), np.uint8)
        padded[: len(noise)] = noise
        grown, largest = self._learner.guarded(own, self._learner.state.tree, states, padded, len(noise))
        Array((), low=0.0, high=LARGEST_STATE).check(np.asarray(largest), "the largest number of a step")
        return np.array(grown, np.float32)

    def _watched(self, states: FloatArray, noise: np.ndarray[Any, Any]) -> FloatArray:
        """What a learner makes of states, which is compared with what it makes of their twins."""
        generator, count = self._probing, len(states)
        twins = {kind: make(states, noise, generator, self._company) for kind, make in probes.KINDS.items()}
        grown = self._asked(self._learner, states, noise)
        every = [np.concatenate([vars(each)[name] for each in twins.values()], axis) for name, axis in _GRIDS.items()]
        others = np.split(self._asked(self._learner.witness or self._learner, *every), len(twins))
        for (kind, each), other in zip(twins.items(), others, strict=True):
            self._strays[kind] += int(each.differing(grown, other).sum())
            if self._strays[kind] > probes.strays(count):
                raise RuleBroken(f"the rule is not {kind}: {_MEANINGS[kind]} (seen within {len(noise)} steps)")
        return grown

    def _asked(self, learner: Learner, states: FloatArray, noise: np.ndarray[Any, Any]) -> FloatArray:
        """What a learner makes of states, asked for one step at a time, in another order each time."""
        states, returns = states.copy(), Array(states.shape, low=-LARGEST_STATE, high=LARGEST_STATE)
        for now in noise:
            order = self._probing.permutation(len(states))
            states[order] = learner.ask("step", states[order], now[order], returns=returns)
        return states

    def _disturbed(self, states: FloatArray) -> FloatArray:
        channels = states.shape[-1] - self._preserve
        disturbed = states.copy()
        noise = self._generator.uniform(-NOISE, NOISE, (*states.shape[:3], channels)).astype(np.float32)
        disturbed[..., :channels] += noise * (1.0 + np.abs(states[..., :channels]))
        return disturbed


#: What a twin is grown from, and the axis of the grids.
_GRIDS: Final = {"states": 0, "noise": 1}
_MEANINGS: Final = {
    "local": f"cells depend on others that are more than {probes.REACH} cells per step away",
    "the same everywhere": "what is moved by whole cells, with its noise, becomes something else",
}
