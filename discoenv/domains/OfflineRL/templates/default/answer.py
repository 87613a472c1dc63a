"""Uses a trained actor: what the examiner asks for."""

import exam
import jax
import numpy as np
from flax.core import FrozenDict
from networks import Actor


class Policy:
    """A policy as the examiner questions it, with the state that training handed over.

    Args:
        config: the run's configuration, and ACTION_DIM.
        state: "actor", the parameters of ``Actor``, and "normalisation", a dict of "mean" and "scale", float32[D].
    """

    def __init__(self, config, state):
        config = FrozenDict(config)
        actor = Actor(config["ACTION_DIM"], config)
        self._params, self._normalisation = state["actor"], state["normalisation"]
        self._apply = jax.jit(actor.apply)

    def act(self, obs):
        """Actions float32[N, A] of observations float32[N, D], as they were recorded."""
        normal = (np.asarray(obs, np.float32) - self._normalisation["mean"]) / self._normalisation["scale"]
        return np.asarray(self._apply(self._params, normal))


make = Policy

if __name__ == "__main__":
    exam.answer(make)
