"""Catch: a ball falls, and a paddle on the last row must be under it. Copies in lockstep, restarted by themselves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ACTIONS = 3


class Step(NamedTuple):
    """What a step led to: observations ``[B, rows, columns, 1]``, rewards and discounts ``[B]``, all float32.

    A discount of 0 ends an episode; its observation is then the first one of the next.
    """

    observations: npt.NDArray[np.float32]
    rewards: npt.NDArray[np.float32]
    discounts: npt.NDArray[np.float32]


class Catch:
    """Actions 0, 1, 2 move the paddle left, not at all, and right. The reward is 1 for a catch and -1 for a miss.

    The ball starts in a random column of the first row and falls one row a step; an episode has ``rows - 1`` steps. A
    random policy's return is about -0.6 on 5 x 5, the best one's is 1.
    """

    def __init__(self, num_envs: int, rows: int = 5, columns: int = 5, seed: int = 0) -> None:
        self.shape = (rows, columns, 1)
        self.num_envs = num_envs
        self._random = np.random.default_rng(seed)
        self._row = np.zeros(num_envs, int)
        self._ball = np.zeros(num_envs, int)
        self._paddle = np.zeros(num_envs, int)

    def reset(self) -> Step:
        """Begin new episodes."""
        self._restart(np.ones(self.num_envs, bool))
        return Step(self._observe(), np.zeros(self.num_envs, np.float32), np.ones(self.num_envs, np.float32))

    def step(self, actions: npt.NDArray[np.int64]) -> Step:
        """Take actions ``[B]``."""
        rows, columns, _ = self.shape
        self._paddle = np.clip(self._paddle + actions - 1, 0, columns - 1)
        self._row += 1
        ended = self._row == rows - 1
        rewards = np.where(ended, np.where(self._paddle == self._ball, 1, -1), 0).astype(np.float32)
        self._restart(ended)
        return Step(self._observe(), rewards, (~ended).astype(np.float32))

    def _restart(self, which: npt.NDArray[np.bool_]) -> None:
        self._row = np.where(which, 0, self._row)
        self._ball = np.where(which, self._random.integers(self.shape[1], size=self.num_envs), self._ball)
        self._paddle = np.where(which, self.shape[1] // 2, self._paddle)

    def _observe(self) -> npt.NDArray[np.float32]:
        board = np.zeros((self.num_envs, *self.shape), np.float32)
        every = np.arange(self.num_envs)
        board[every, self._row, self._ball] = 1
        board[every, -1, self._paddle] = 1
        return board
