"""Policies in this process, for tests of examiners of reinforcement learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from discoenv.testing.exams import InProcessLearner

Act = Callable[[Any, Any], Any]


class Policy:
    """A policy without memory, as such an examiner questions it.

    Args:
        act: actions of N environments, for observations float32[N, D] and bool[N], whether they begin an episode.
    """

    def __init__(self, act: Act) -> None:
        self._act = act

    def start(self, n: int) -> dict[str, Any]:
        """No memory."""
        return {}

    def act(self, memory: Any, obs: Any, first: Any, key: Any) -> tuple[Any, Any]:
        """Actions for observations float32[S, n, D] of S agents."""
        action = np.asarray(self._act(obs.reshape(-1, obs.shape[-1]), first.reshape(-1)))
        return action.reshape(*first.shape, *action.shape[1:]) if len(action) == first.size else action, memory


def acting(act: Act, *, env_steps: int = 0) -> InProcessLearner:
    """A learner whose trained policy is ``act``, of :class:`Policy`, after so many environment steps."""
    return InProcessLearner(Policy(act), state={"env_steps": env_steps})
