"""Policies by hand, which recorded the trajectories, and the best that is known of each world.

A behaviour draws a target of its own for each copy, goes there, and draws the next; none knows the goal of an exam.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import numpy as np

from .worlds import Floats, Integers, Lights, Maze, Pendulum, Push, World


class Behaviour(ABC):
    """What acts in N copies of a world, towards targets; the learners see neither.

    Attributes:
        targets: float64[N, T], what each copy is after.
    """

    targets: Floats

    @abstractmethod
    def retarget(self, state: Floats, draw: np.random.Generator) -> None:
        """Draw targets anew: of all copies at first, then of those that are at theirs."""

    @abstractmethod
    def act(self, state: Floats) -> Floats:
        """Actions float64[N, A] towards the targets; they may be too large."""


class Walk(Behaviour):
    """Walks along the shortest way to a cell that is at most ``reach`` cells away. Targets are numbers of cells.

    Numbers from the number of cells on mean portals: they are walked into, and what comes out goes elsewhere.
    """

    GAIN: Final = 4.0

    def __init__(self, world: Maze, count: int, reach: int) -> None:
        self._world, self._reach = world, reach
        self.targets = np.full((count, 1), -1.0)
        portals = np.argwhere(world.portal)
        number = world.number.copy()
        number[tuple(portals.T)] = len(world.cells) + np.arange(len(portals))
        doors = [[n for n in _around(world.number, row, column) if n >= 0] for row, column in portals]
        #: Steps to each target, int64[targets, C]; and the places and numbers of all cells, portals last.
        self._lengths = np.concatenate(
            [world.lengths, *((1 + world.lengths[door].min(axis=0))[None] for door in doors)]
        )
        self._middle = np.concatenate([world.cells, portals])[:, ::-1] + 0.5
        #: Number of the next cell on the way, int64[targets, C].
        self._next = np.empty(self._lengths.shape, int)
        for target, lengths in enumerate(self._lengths):
            known = np.append(lengths, np.full(len(portals), len(lengths)))
            known[target] = 0
            for cell, (row, column) in enumerate(world.cells):
                numbers = [n for n in _around(number, row, column) if n >= 0]
                best = min(numbers, key=lambda n: known[n])
                self._next[target, cell] = best if known[best] < known[cell] else cell

    def retarget(self, state: Floats, draw: np.random.Generator) -> None:
        """A target is reached in its cell, a portal where it let out."""
        cells = self._cells(state)
        out = (state[:, None] == np.pad(self._world.exits, ((0, 0), (0, 2)))).all(axis=2).any(axis=1)
        fresh = (self.targets[:, 0] < 0) | (self.targets[:, 0] == cells)
        for row in np.flatnonzero(fresh | (out & (self.targets[:, 0] >= len(self._world.cells)))):
            near = np.flatnonzero(self._lengths[:, cells[row]] <= self._reach)
            self.targets[row] = draw.choice(near)

    def act(self, state: Floats) -> Floats:
        """Towards the middle of the next cell."""
        step = self._next[self.targets[:, 0].astype(int), self._cells(state)]
        actions: Floats = self.GAIN * (self._middle[step] - state[:, :2]) - 2.0 * state[:, 2:]
        return actions

    def _cells(self, state: Floats) -> Integers:
        numbers: Integers = self._world.number[state[:, 1].astype(int), state[:, 0].astype(int)]
        return numbers


def _around(numbers: Integers, row: int, column: int) -> list[int]:
    """What a grid of numbers holds above, below, right and left of a cell."""
    beside = ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1))
    return [int(numbers[each]) for each in beside]


class PushTo(Behaviour):
    """Goes behind a disc and pushes it to a place. Targets are the disc's number and the place."""

    def __init__(self, world: Push, count: int) -> None:
        self._world = world
        self.targets = np.zeros((count, 3))

    def retarget(self, state: Floats, draw: np.random.Generator) -> None:
        """A target is reached within 0.1."""
        at = np.linalg.norm(self._disc(state) - self.targets[:, 1:], axis=1) < 0.1
        fresh = (self.targets[:, 0] == 0) | at
        drawn = draw.integers(1, self._world.discs, len(state), endpoint=True)
        places = draw.uniform(-0.7, 0.7, (len(state), 2))
        self.targets[fresh] = np.concatenate([drawn[:, None], places], axis=1)[fresh]

    def act(self, state: Floats) -> Floats:
        """Around the disc, to behind it, then on."""
        finger, disc = state[:, :2], self._disc(state)
        way = _unit(self.targets[:, 1:] - disc)
        behind = disc - (self._world.TOUCH + 0.02) * way
        toward, gap = _unit(disc - finger), np.linalg.norm(disc - finger, axis=1, keepdims=True)
        aligned = (toward * way).sum(axis=1, keepdims=True)
        # Sideways around the disc where it lies between finger and the place behind it.
        side = np.stack([-toward[:, 1], toward[:, 0]], axis=1)
        side = side * np.where((side * (behind - finger)).sum(axis=1, keepdims=True) < 0.0, -1.0, 1.0)
        around = side - np.clip(6.0 * (self._world.TOUCH + 0.07 - gap), -1.0, 1.0) * toward
        near = (aligned < 0.6) & (gap < self._world.TOUCH + 0.2)
        approach = np.where(near, around, (behind - finger) / self._world.STRIDE)
        return np.where((aligned > 0.9) & (gap < self._world.TOUCH + 0.15), (way + 2.0 * (toward - way)), approach)

    def _disc(self, state: Floats) -> Floats:
        places = state.reshape(len(state), -1, 2)
        disc: Floats = places[np.arange(len(state)), np.maximum(self.targets[:, 0].astype(int), 1)]
        return disc


class Press(Behaviour):
    """Moves the arm to a button and presses it. Targets are numbers of buttons."""

    def __init__(self, world: Lights, count: int) -> None:
        self._world = world
        self.targets = np.full((count, 1), -1.0)

    def retarget(self, state: Floats, draw: np.random.Generator) -> None:
        """After each press."""
        down = state[:, 2] > 0.5
        fresh = (self.targets[:, 0] < 0) | down
        drawn = draw.integers(self._world.rows * self._world.columns, size=len(state))
        self.targets[fresh, 0] = drawn[fresh]

    def act(self, state: Floats) -> Floats:
        """Towards the middle of the button, and down as soon as that is over it."""
        row, column = np.divmod(self.targets[:, 0], self._world.columns)
        away = np.stack([column, row], axis=1) + 0.5 - state[:, :2]
        there = (np.abs(away).max(axis=1) < 0.45 + self._world.STRIDE) & (state[:, 2] < 0.5)
        return np.concatenate([away / self._world.STRIDE, np.where(there, 1.0, -1.0)[:, None]], axis=1)


class SwingUp(Behaviour):
    """Pumps energy into the pendulum and balances it. Targets are each copy's skill, 0 (none) to 1."""

    def __init__(self, world: Pendulum, count: int, skills: tuple[float, ...]) -> None:
        self._world, self._skills = world, skills
        self.targets = np.full((count, 1), -1.0)

    def retarget(self, state: Floats, draw: np.random.Generator) -> None:
        """A skill is for good."""
        fresh = self.targets[:, 0] < 0
        self.targets[fresh, 0] = draw.choice(self._skills, len(state))[fresh]

    def act(self, state: Floats) -> Floats:
        """Adds energy while some is lacking; the skilled hold it near the top."""
        angle, velocity = state.T
        world, skill = self._world, self.targets[:, 0]
        lacking = world.GRAVITY * (1.0 - np.cos(angle)) - 0.5 * velocity**2
        pump = np.sign(velocity) * np.clip(lacking, -1.0, 1.0)
        hold = -(24.0 * np.sin(angle) + 6.0 * velocity) / world.MOTOR
        near = (np.cos(angle) > 0.9) & (np.abs(velocity) < 3.0) & (skill > 0.7)
        actions: Floats = (np.where(near, hold, pump) * np.minimum(1.0, 1.5 * skill))[:, None]
        return actions


def _unit(vector: Floats) -> Floats:
    unit: Floats = vector / np.maximum(np.linalg.norm(vector, axis=1, keepdims=True), 1e-6)
    return unit


def expert(world: World, goal: Floats, state: Floats) -> Floats:
    """Actions float64[N, A] of the best policy by hand towards the goal of an exam, which knows it and the world.

    Raises:
        TypeError: there is none for this world.
    """
    count = len(state)
    match world:
        case Maze():
            walk = Walk(world, count, 0)
            walk.targets[:] = world.number[int(goal[1]), int(goal[0])]
            return walk.act(state)
        case Push():
            push = PushTo(world, count)
            push.targets[:] = (1.0, *goal)
            return push.act(state)
        case Lights():
            press = Press(world, count)
            size = world.rows * world.columns
            lamps = state[:, None, 3:] + world.switches
            left = world.presses[world.binary((lamps - goal) % 2)]
            centre = np.stack(np.divmod(np.arange(size), world.columns)[::-1], axis=1) + 0.5
            distance = np.abs(centre - state[:, None, :2]).max(axis=-1)
            press.targets[:, 0] = (left + 0.1 * distance).argmin(axis=1)
            return press.act(state)
        case Pendulum():
            swing = SwingUp(world, count, (1.0,))
            swing.targets[:] = 1.0
            return swing.act(state)
    raise TypeError(f"no expert for {type(world).__name__}: add it to behaviours.py")
