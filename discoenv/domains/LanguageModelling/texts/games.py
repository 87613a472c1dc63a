"""Games of connect four, move by move."""

from __future__ import annotations

import random

from .words import vocabulary


class ConnectFour:
    """Two players drop stones into columns; who has four in a row wins. They see wins and threats, mostly.

    An exam's language has its own board (6 to 8 columns of 5 or 6), names of columns, players and results. What may
    follow, and how a game ends, follows from all moves before.
    """

    def __init__(self, draw: random.Random) -> None:
        self._width, self._height = draw.randint(6, 8), draw.randint(5, 6)
        self._columns = draw.sample("abcdefghijklmnopqrstuvwxyz", self._width)
        names = [each.capitalize() for each in vocabulary(draw, 34, 1, 2)]
        self._players, self._won, self._drawn = names[:30], names[30].lower(), names[31].lower()
        self._order = sorted(range(self._width), key=lambda column: abs(column - (self._width - 1) / 2))
        self._sees = 0.8 + 0.15 * draw.random()

    def document(self, draw: random.Random) -> str:
        """One game."""
        players = draw.sample(self._players, 2)
        stones, heights = [0, 0], [0] * self._width
        moves: list[str] = []
        ending = self._drawn
        for turn in range(self._width * self._height):
            side = turn % 2
            column = self._move(draw, stones, heights, side)
            stones[side] |= self._stone(column, heights[column])
            heights[column] += 1
            moves.append(f"{turn // 2 + 1}. " * (side == 0) + f"{self._columns[column]}{heights[column]}")
            if self._four(stones[side]):
                ending = f"{players[side]} {self._won}"
                break
        return f"{players[0]} - {players[1]}\n{' '.join(moves)} # {ending}\n"

    def _move(self, draw: random.Random, stones: list[int], heights: list[int], side: int) -> int:
        """A column: one that wins, or else one where the other side would win, or else any, rather in the middle."""
        free = [column for column in self._order if heights[column] < self._height]
        if sum(heights) > 5 and draw.random() < self._sees:
            for owner in (side, 1 - side):
                for column in free:
                    if self._four(stones[owner] | self._stone(column, heights[column])):
                        return column
        return free[min(int(draw.expovariate(0.5)), len(free) - 1)]

    def _stone(self, column: int, row: int) -> int:
        """The bit of a place; each column has one bit more than rows, which stays empty."""
        return 1 << column * (self._height + 1) + row

    def _four(self, stones: int) -> bool:
        """Whether four of the stones are in a row: upwards, across, or along a diagonal."""
        for step in (1, self._height + 1, self._height, self._height + 2):
            pairs = stones & stones >> step
            if pairs & pairs >> 2 * step:
                return True
        return False
