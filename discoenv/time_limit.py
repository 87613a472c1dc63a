"""Gymnasium's own limit on steps, seen from the environment inside."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import gymnasium
from gymnasium.wrappers import TimeLimit


def time_limits(env: gymnasium.Env[Any, Any]) -> tuple[int, ...]:
    """Steps that the ``TimeLimit`` wrappers allow which are resetting ``env`` now, innermost first.

    Such a wrapper ends an episode without a word to the environment, which would then never be scored. An environment
    does not know its wrappers, and only the stack of calls leads to them.
    """
    found = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        wrapper = frame.f_locals.get("self") if frame.f_code is TimeLimit.reset.__code__ else None
        if isinstance(wrapper, TimeLimit) and wrapper.unwrapped is env:
            found.append(wrapper._max_episode_steps)
        frame = frame.f_back
    return tuple(found)
