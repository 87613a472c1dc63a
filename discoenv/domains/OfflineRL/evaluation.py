"""Evaluation episodes, and what they come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .worlds import Booleans, Floats, World

Act = Callable[[np.ndarray[Any, np.dtype[np.float32]]], np.ndarray[Any, Any]]


class Played(NamedTuple):
    """What N episodes of H steps came to.

    Attributes:
        scores: float64[N], percent. Where there is a goal: the share of the steps that were left when it was reached,
            0 if it was not. Else the mean of one plus the reward.
        success: bool[N], whether the goal was reached; where there is none, whether the mean reward of the last quarter
            was above -0.2.
        lengths: int64[N], steps until the goal was reached, H if it was not.
        observations: float32[N, H + 1, D].
    """

    scores: Floats
    success: Booleans
    lengths: np.ndarray[Any, np.dtype[np.int64]]
    observations: np.ndarray[Any, np.dtype[np.float32]]


def play(world: World, goal: Floats, start: Floats, act: Act, steps: int, draw: np.random.Generator) -> Played:
    """Play episodes side by side; one that has reached its goal goes on, unmeasured.

    Args:
        world, goal: where, and what for.
        start: float64[N, S], the first states.
        act: gives actions float[N, A] for observations float32[N, D]; called ``steps`` times.
        steps: their number H.
        draw: the chance that the world has.
    """
    state, observations, rewards, reached = start, [], [], []
    for _ in range(steps):
        observations.append(world.observe(state).astype(np.float32))
        state = world.step(state, np.asarray(act(observations[-1]), np.float64), draw)
        obs = world.observe(state)
        rewards.append(world.reward(obs, goal))
        reached.append(world.reached(obs, goal))
    observations.append(world.observe(state).astype(np.float32))
    scores, success, lengths = measure(world, np.stack(rewards, axis=1), np.stack(reached, axis=1))
    return Played(scores, success, lengths, np.stack(observations, axis=1))


def measure(world: World, rewards: Floats, reached: Booleans) -> tuple[Floats, Booleans, Any]:
    """Scores, successes and lengths, as in :class:`Played`, of rewards and of whether the goal was reached, [N, H]."""
    steps = rewards.shape[1]
    if world.dense:
        success: Booleans = np.asarray(rewards[:, -(steps // 4) :].mean(axis=1) > -0.2)
        return 100.0 * (1.0 + rewards.mean(axis=1)), success, np.full(len(rewards), steps)
    success = np.asarray(reached.any(axis=1))
    lengths = np.where(success, reached.argmax(axis=1) + 1, steps)
    return 100.0 * (1.0 - lengths / steps), success, lengths
