"""A grammar of platformer levels that can be solved: a row of pieces, none of which asks for more than one jump.

It is what the generator of :mod:`.generator` has learned from. Each piece begins and ends on ground of a height that
the next one can be reached from: steps are at most 3 rows up, gaps at most 4 columns wide, with nothing above them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from .platformer import BRICK, COIN, EMPTY, GROUND, PIPE, WALKER

HEIGHT, WIDTH = 16, 56
#: Rows of ground: least and most.
_LOW, _HIGH = 1, 6

Level = npt.NDArray[np.int8]


class _Writer:
    """Appends columns to a level.

    Attributes:
        ground: rows of ground at the end.
    """

    def __init__(self, height: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.ground = int(rng.integers(_LOW + 1, _HIGH - 1))
        self._height = height
        self._columns: list[Level] = []

    def __len__(self) -> int:
        return len(self._columns)

    def flat(self, n: int) -> list[Level]:
        """Append ``n`` columns of ground; they can be written to."""
        return [self._column(self.ground) for _ in range(n)]

    def gap(self, n: int) -> None:
        """Append ``n`` columns without ground."""
        for _ in range(n):
            self._column(0)

    def above(self, rows: int) -> int:
        """The row that is so many rows above the ground's surface; 1 is where the runner stands."""
        return self._height - self.ground - rows

    def level(self, width: int) -> Level:
        """The first ``width`` columns, int8[height, width]."""
        return np.stack(self._columns[:width], axis=1)

    def _column(self, ground: int) -> Level:
        column = np.full(self._height, EMPTY, np.int8)
        if ground:
            column[-ground:] = GROUND
        self._columns.append(column)
        return column


def _plain(w: _Writer) -> None:
    w.flat(int(w.rng.integers(3, 7)))


def _gap(w: _Writer) -> None:
    w.flat(3)
    w.gap(int(w.rng.integers(1, 5)))
    w.flat(3)


def _step(w: _Writer) -> None:
    w.flat(2)
    w.ground = int(np.clip(w.ground + w.rng.integers(-3, 4), _LOW, _HIGH))
    w.flat(3)


def _pipe(w: _Writer) -> None:
    w.flat(2)
    tall = int(w.rng.integers(1, 4))
    for column in w.flat(2):
        column[w.above(tall) : w.above(0)] = PIPE
    w.flat(2)


def _bricks(w: _Writer) -> None:
    columns = w.flat(int(w.rng.integers(4, 8)))
    row = w.above(4 + int(w.rng.integers(0, 2)))
    for column in columns[1:-1]:
        column[row] = BRICK
        if w.rng.random() < 0.4:
            column[row - 1] = COIN
    w.flat(1)


def _coins(w: _Writer) -> None:
    row = w.above(int(w.rng.integers(3, 7)))
    for column in w.flat(int(w.rng.integers(3, 7))):
        column[row] = COIN


def _clouds(w: _Writer) -> None:
    top = int(w.rng.integers(0, 4))
    thick = int(w.rng.integers(1, 4))
    for column in w.flat(int(w.rng.integers(4, 8))):
        free = min(top + thick, w.above(6))
        column[top : max(free, top)] = BRICK


def _walker(w: _Writer) -> None:
    columns = w.flat(7)
    columns[int(w.rng.integers(3, 6))][w.above(1)] = WALKER
    w.flat(1)


_PIECES: Final[tuple[Callable[[_Writer], None], ...]] = (
    _plain, _gap, _step, _pipe, _bricks, _coins, _clouds, _walker,
)  # fmt: skip


def sample(rng: np.random.Generator, height: int = HEIGHT, width: int = WIDTH) -> Level:
    """A random level int8[height, width] that A* can solve.

    Levels differ in how often each piece occurs, so that they cover many values of each measure.
    """
    writer = _Writer(height, rng)
    writer.flat(4)
    weights = rng.dirichlet(np.full(len(_PIECES), 0.6))
    while len(writer) < width - 3:
        _PIECES[int(rng.choice(len(_PIECES), p=weights))](writer)
    # The last columns are ground, whichever piece was cut there.
    level = writer.level(width) if len(writer) >= width else _filled(writer, width)
    level[:, -2:] = EMPTY
    level[-writer.ground :, -2:] = GROUND
    return level


def _filled(writer: _Writer, width: int) -> Level:
    writer.flat(width - len(writer))
    return writer.level(width)
