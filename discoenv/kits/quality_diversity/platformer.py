"""A side-scrolling platformer with simple physics of its own tiles, and an A* agent that runs to the right.

The runner takes one cell. In each tick it moves one column left or right or stays, and, if it stands, may jump: it then
rises by a row per tick as long as it likes, at most ``RISE`` ticks, and falls by a row per tick. Walkers go to and fro
on the ground they stand on. To fall on a walker removes it and lets the runner bounce; to meet one otherwise, or to
fall out of the level, is the end.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .problems import hashed

#: Tiles. Walkers are where they start; to stand in a coin does nothing.
EMPTY, GROUND, BRICK, PIPE, COIN, WALKER = range(6)
TILES: Final = 6
SOLID: Final = frozenset((GROUND, BRICK, PIPE))
#: Ticks that a jump can rise for, and those of the bounce off a walker.
RISE, BOUNCE = 4, 2


@dataclass(frozen=True)
class Plan:
    """The way that A* found.

    Attributes:
        completed: share of the level's columns that it passes, 0 to 1; 1 where it reaches the last one.
        jumps: that it makes.
        kills: walkers that it falls on.
        path: row and column after each tick, the start first.
        nodes: that were expanded.
    """

    completed: float
    jumps: int
    kills: int
    path: list[tuple[int, int]]
    nodes: int


class World:
    """A level with its walkers, in which the rules can be asked for.

    Args:
        level: tiles [height, width].
        phases: how many ticks each walker has walked when the level begins; missing ones are 0.
    """

    def __init__(self, level: npt.ArrayLike, phases: Sequence[int] = ()) -> None:
        tiles = np.asarray(level)
        self.height, self.width = tiles.shape
        self.solid: list[list[bool]] = np.isin(tiles, list(SOLID)).tolist()
        places = np.argwhere(tiles == WALKER).tolist()
        self.walkers = [self._round_trip(row, column) for row, column in places]
        self.phases = [*phases, *[0] * len(places)][: len(places)]

    @cached_property
    def start(self) -> tuple[int, int]:
        """Where the runner begins: on the lowest ground of the first column; without ground, at its top, falling."""
        for row in range(self.height - 2, -1, -1):
            if not self.solid[row][0] and self.solid[row + 1][0]:
                return row, 0
        return 0, 0

    def walkers_at(self, tick: int) -> list[tuple[int, int]]:
        """Row and column of each walker."""
        return [way[(tick + phase) % len(way)] for way, phase in zip(self.walkers, self.phases, strict=True)]

    def is_solid(self, row: int, column: int) -> bool:
        """Whether a cell cannot be entered: solid tiles, and what is left and right of the level."""
        if not 0 <= column < self.width:
            return True
        return 0 <= row < self.height and self.solid[row][column]

    def _round_trip(self, row: int, column: int) -> list[tuple[int, int]]:
        """A walker's cells for one round trip: it falls to the ground first, and turns at walls and edges."""
        while row + 1 < self.height and not self.solid[row + 1][column]:
            row += 1

        def can_walk(to: int) -> bool:
            has_ground = row + 1 < self.height and self.is_solid(row + 1, to)
            return not self.is_solid(row, to) and has_ground

        left = right = column
        while can_walk(left - 1):
            left -= 1
        while can_walk(right + 1):
            right += 1
        columns = [*range(column, left, -1), *range(left, right), *range(right, column, -1)] or [column]
        # At half of the runner's speed, so that it can be overtaken.
        return [(row, each) for each in columns for _ in range(2)]


#: Position, ticks that the jump may still rise, tick, and a bit for each walker that is there.
_State = tuple[int, int, int, int, int]
_MOVES: Final = tuple((step, up) for step in (1, 0, -1) for up in (False, True))


def step(world: World, state: _State, move: tuple[int, bool]) -> tuple[_State, bool, int] | None:
    """One tick.

    Args:
        world: the level.
        state: row, column, ticks that the jump may still rise, tick, and a bit per walker that is still there.
        move: column step, -1, 0 or 1; whether to jump, or to go on rising.

    Returns:
        The next state, whether a jump began, and how many walkers were removed; None where it is the runner's end.
    """
    row, column, rise, tick, alive = state
    sideways, up = move
    stands = world.is_solid(row + 1, column)
    jumps = up and stands and rise == 0
    if jumps:
        rise = RISE
    to_row, left = row, 0
    if up and rise > 0:
        if row > 0 and not world.is_solid(row - 1, column):
            to_row, left = row - 1, rise - 1
    elif not stands:
        to_row = row + 1
    to_column = column + sideways
    if world.is_solid(to_row, to_column):
        to_column = column
    if to_row >= world.height:
        return None
    removed = 0
    if alive:
        before, after = world.walkers_at(tick), world.walkers_at(tick + 1)
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            if not alive >> number & 1:
                continue
            meets = new == (to_row, to_column)
            passes = old == (to_row, to_column) and new == (row, column)
            if (meets or passes) and to_row > row:
                alive &= ~(1 << number)
                removed += 1
                left = BOUNCE
            elif meets or passes:
                return None
    return (to_row, to_column, left, tick + 1, alive), jumps, removed


def plan(world: World, *, nodes: int = 3000, ticks: int = 400) -> Plan:
    """The quickest way to the last column, by A*; the way to the furthest column where there is none.

    The heuristic is the number of columns that are left, which is never more than the ticks that are needed. Of states
    that seem equally good, those with fewer jumps come first, and of these the later ones.

    Args:
        world: the level.
        nodes: states that are expanded at most.
        ticks: of the longest way.
    """
    last = world.width - 1
    first: _State = (*world.start, 0, 0, (1 << len(world.walkers)) - 1)
    parents: dict[_State, tuple[_State, bool, int] | None] = {first: None}
    queue: list[tuple[int, int, int, int, _State]] = [(last, 0, 0, 0, first)]
    best, expanded, order = first, 0, 0
    while queue and expanded < nodes:
        _, leaps, _, _, state = heapq.heappop(queue)
        expanded += 1
        if state[1] > best[1]:
            best = state
        if state[1] == last:
            break
        if state[3] >= ticks:
            continue
        for move in _MOVES:
            if move[1] and state[2] == 0 and not world.is_solid(state[0] + 1, state[1]):
                continue  # in the air without a jump to go on with, up is the same as not
            result = step(world, state, move)
            if result is None or result[0] in parents:
                continue
            following, jumps, removed = result
            parents[following] = (state, jumps, removed)
            order -= 1
            bound = following[3] + last - following[1]
            heapq.heappush(queue, (bound, leaps + jumps, -following[3], order, following))
    jumps_made, kills, path = 0, 0, [best[:2]]
    at: Any = parents[best]
    while at is not None:
        state, jumps, removed = at
        jumps_made, kills = jumps_made + jumps, kills + removed
        path.append(state[:2])
        at = parents[state]
    return Plan(best[1] / last, jumps_made, kills, path[::-1], expanded)


def phases_of(seed: int, episode: int, walkers: int) -> list[int]:
    """How far walkers have walked when an episode begins, 0 to 63 ticks."""
    return [int(x) % 64 for x in hashed(seed, episode, np.arange(walkers))]
