"""Recordings and episodes in the worlds of ``worlds.py``."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import recordings, worlds
from .evaluation import Act, Played, play
from .recordings import Recording
from .worlds import Booleans, Floats


class Simulated:
    """What an examiner needs of a dataset; ``published.Published`` has the same methods.

    Args:
        dataset: its id.
        config: its configuration.
    """

    def __init__(self, dataset: str, config: Mapping[str, Any]) -> None:
        self._dataset, self._config = dataset, config
        self.world = worlds.make(config["WORLD"])
        self.observation_dim, self.action_dim = self.world.observation_dim, self.world.action_dim

    @functools.cached_property
    def recording(self) -> Recording:
        """The first TRAJECTORIES of the recorded trajectories; null: all."""
        return Recording(*(part[: self._config["TRAJECTORIES"]] for part in recordings.read(self._dataset)))

    def goal(self, draw: np.random.Generator) -> Floats:
        """The goal of an exam, float64[G]."""
        return self.world.goal(draw)

    def rewards(self, goal: Floats) -> tuple[Floats, Booleans]:
        """For that goal, rewards float32[M, T] of the recorded steps, and whether they ended at it, bool[M, T]."""
        observations, actions = self.recording
        after, shape = observations[:, 1:].reshape(-1, self.observation_dim), actions.shape[:2]
        rewards: Floats = self.world.reward(after, goal).reshape(shape).astype(np.float32)
        return rewards, self.world.reached(after, goal).reshape(shape)

    def episodes(self, act: Act, goal: Floats, starts: np.random.Generator, chance: np.random.Generator) -> Played:
        """EVALUATION_EPISODES episodes towards a goal.

        Args:
            act: gives actions float[N, A] for observations float32[N, D].
            goal: of :meth:`goal`.
            starts: draws where episodes begin.
            chance: draws what is random in the world.
        """
        start = self.world.start(goal, self._config["EVALUATION_EPISODES"], starts)
        return play(self.world, goal, start, act, self._config["EVALUATION_STEPS"], chance)
