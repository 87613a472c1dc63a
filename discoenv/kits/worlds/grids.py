"""Square grids: mazes, and with lava, a key or a box.

What surrounds the agent is looked up in a table of bits that ``build`` makes once per level, so that a step costs a few
integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

FREE, WALL, LAVA = 0, 1, 2
#: Cells that the agent sees: a square of this width.
VIEW = 5
#: Row and column of a step up, right, down, left.
DIRECTIONS = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
ITEMS = ("none", "key", "box")


class GridLevel(NamedTuple):
    """A level of a grid with S × S cells, which walls surround. Positions are numbers of cells, row * S + column.

    Attributes:
        cells: int8[S, S], 0 free, 1 wall, 2 lava.
        start: int32[], where the agent starts.
        goal: int32[].
        item: int32[], where the key or the box is at the start; of no meaning where there is none.
    """

    cells: jax.Array
    start: jax.Array
    goal: jax.Array
    item: jax.Array


class GridBoard(NamedTuple):
    """A level as it is played: ``walls`` and ``lava`` have the bits of the window, int32[directions, S * S]."""

    walls: jax.Array
    lava: jax.Array
    start: jax.Array
    goal: jax.Array
    item: jax.Array


class GridState(NamedTuple):
    """Position and direction of the agent, position of the item, whether the key is held, visits of cells, time."""

    position: jax.Array
    direction: jax.Array
    item: jax.Array
    holds: jax.Array
    trail: jax.Array
    time: jax.Array


def window(direction: int, turning: bool) -> np.ndarray[Any, Any]:
    """Offsets int[VIEW², 2] (row, column) of the cells in sight, those of a row of the window one after another.

    With ``turning``, the agent is in the middle of the last row and looks up the window; else it is in the centre.
    """
    rows, columns = np.meshgrid(np.arange(VIEW), np.arange(VIEW) - VIEW // 2, indexing="ij")
    if not turning:
        return np.stack([rows - VIEW // 2, columns], axis=-1).reshape(-1, 2)
    ahead, right = DIRECTIONS[direction], DIRECTIONS[(direction + 1) % 4]
    offsets: np.ndarray[Any, Any] = (VIEW - 1 - rows)[..., None] * ahead + columns[..., None] * right
    return offsets.reshape(-1, 2)


class Grid:
    """A grid world.

    The agent moves up, right, down or left (actions 0 to 3), or, with ``turning``, turns left, turns right or goes on
    (0 to 2; it starts with its face up), as in Minigrid. It sees the VIEW × VIEW cells around it (ahead of it), how
    often it has been to the four cells beside it in this episode, where the goal and the item lie, and the time.

    Args:
        size: S.
        max_steps: steps of an episode.
        density: random levels have up to that share of walls and lava; the share is uniform.
        lava: random levels turn up to that share of these into lava; 0: there is none. To step into lava is to lose.
        item: ``none``; ``key``: the goal counts only with the key, which is taken by stepping on it; ``box``: the box
            is pushed by walking against it, and the goal is where it must go.
        turning: see above.
    """

    def __init__(
        self, size: int, max_steps: int, *, density: float, lava: float, item: str, turning: bool = False
    ) -> None:
        if item not in ITEMS or (turning and item == "box"):
            raise ValueError(f"ITEM is {item!r} and TURNING {turning}; it must be none, key or (without turning) box")
        self.size, self.max_steps = size, max_steps
        self.density, self.lava, self.item, self.turning = density, lava, item, turning
        self.num_actions = 3 if turning else 4
        self._windows = np.stack([window(direction, turning) for direction in range(4 if turning else 1)])
        offsets = self._windows[0].tolist()
        ahead = [(-1, 0)] if turning else DIRECTIONS.tolist()
        self._next_bits = np.array([offsets.index(list(step)) for step in ahead])
        self._second_bits = np.array([offsets.index([2 * step[0], 2 * step[1]]) for step in ahead])
        self._around_bits = (
            [offsets.index([r, c]) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c] if not turning else []
        )
        seen = VIEW**2 * (2 if lava else 1)
        self.obs_dim = seen + 4 + 4 + 1 + {"none": 0, "key": 5, "box": 4 + len(self._around_bits)}[item]

    def sample(self, key: jax.Array) -> GridLevel:
        """Walls and lava anywhere, start, goal and item in different cells."""
        number = self.size**2
        # One draw for all: each call of a generator costs a third of a second of compilation.
        random = jax.random.uniform(key, (2 + 3 * number,))
        share, lava = random[0] * self.density, random[1] * self.lava
        blocked, kind, order = random[2:].reshape(3, number)
        cells = jnp.where(blocked < share, jnp.where(kind < lava, LAVA, WALL), FREE)
        return GridLevel(
            cells.astype(jnp.int8).reshape(self.size, self.size), *jax.lax.top_k(order, 3)[1].astype(jnp.int32)
        )

    def mutate(self, key: jax.Array, level: GridLevel) -> GridLevel:
        """Changes one cell, with probability 0.8, or moves start, goal or item to any cell."""
        what, where, kind = jax.random.uniform(key, (3,))
        where = jnp.floor(where * self.size**2).astype(jnp.int32)
        flat = level.cells.reshape(-1)
        other = jnp.where(kind < 0.5 * (self.lava > 0), LAVA, WALL)
        edited = flat.at[where].set(jnp.where(flat[where] == FREE, other, FREE).astype(jnp.int8))
        cells = jnp.where(what < 0.8, edited, flat).reshape(level.cells.shape)
        movable = 2 if self.item == "none" else 3
        moved = jnp.floor((what - 0.8) / 0.2 * movable)
        places = (jnp.where((what >= 0.8) & (moved == i), where, old) for i, old in enumerate(level[1:]))
        return GridLevel(cells, *places)

    def build(self, level: GridLevel) -> GridBoard:
        """Clips positions to the grid, and clears the cells of start, goal and item."""
        size, margin = self.size, VIEW - 1
        start, goal, item = (
            jnp.clip(x.astype(jnp.int32), 0, size**2 - 1) for x in (level.start, level.goal, level.item)
        )
        number = jnp.arange(size**2)
        used = (number == start) | (number == goal)
        if self.item != "none":
            used |= number == item
        cells = jnp.where(used.reshape(size, size), FREE, level.cells)
        walls = jnp.pad(cells == WALL, margin, constant_values=True)
        lava = jnp.pad(cells == LAVA, margin)

        def bits(padded: jax.Array) -> jax.Array:
            def of(offsets: np.ndarray[Any, Any]) -> jax.Array:
                parts = [
                    jax.lax.slice(padded, (margin + r, margin + c), (margin + r + size, margin + c + size)).astype(
                        jnp.int32
                    )
                    << number
                    for number, (r, c) in enumerate(offsets.tolist())
                ]
                return sum(parts[1:], parts[0]).reshape(-1)

            return jnp.stack([of(offsets) for offsets in self._windows])

        return GridBoard(bits(walls), bits(lava), start, goal, item)

    def start(self, board: GridBoard) -> tuple[jax.Array, GridState]:
        """The first observation and state."""
        zero = jnp.int32(0)
        trail = self._visited(jnp.zeros((self.size + 2) ** 2, jnp.int8), board.start)
        state = GridState(board.start, zero, board.item, jnp.bool_(False), trail, zero)
        return self._observe(board, state), state

    def step(
        self, board: GridBoard, state: GridState, action: jax.Array
    ) -> tuple[jax.Array, GridState, jax.Array, jax.Array, jax.Array]:
        """(obs, state, reward, ended, solved)."""
        size = self.size
        if self.turning:
            turn = jnp.array([3, 1, 0])[action]
            direction = (state.direction + turn) % 4
            moves, number = action == 2, 0
        else:
            direction, moves, number = action, jnp.bool_(True), action
        walls = board.walls[direction if self.turning else 0, state.position]
        ways = jnp.array([-size, 1, size, -1])
        way = ways[direction]
        blocked = _bit(walls, jnp.asarray(self._next_bits)[number])
        item, holds = state.item, state.holds
        if self.item == "box":
            pushes = (state.position + way == item) & ~blocked & moves
            stuck = pushes & _bit(walls, jnp.asarray(self._second_bits)[number])
            item = jnp.where(pushes & ~stuck, item + way, item)
            blocked |= stuck
        position = state.position + way * (moves & ~blocked)
        lost = jnp.bool_(False)
        if self.lava:
            lost = (
                moves
                & ~blocked
                & _bit(
                    board.lava[direction if self.turning else 0, state.position], jnp.asarray(self._next_bits)[number]
                )
            )
        if self.item == "key":
            holds |= position == item
        solved = (item if self.item == "box" else position) == board.goal
        if self.item == "key":
            solved &= holds
        time = state.time + 1
        new = GridState(
            position,
            direction if self.turning else state.direction,
            item,
            holds,
            self._visited(state.trail, position),
            time,
        )
        reward = jnp.where(solved, 1.0 - 0.5 * time / self.max_steps, 0.0)
        return self._observe(board, new), new, reward, solved | lost | (time >= self.max_steps), solved

    def level(self, fields: Mapping[str, Any]) -> GridLevel:
        """Levels from their arrays by name."""
        return GridLevel(**fields)

    def place(self, state: GridState) -> jax.Array:
        """Row and column of the agent, float32[2]."""
        return jnp.stack([state.position // self.size, state.position % self.size]).astype(jnp.float32)

    def _padded(self, position: jax.Array) -> jax.Array:
        return (position // self.size + 1) * (self.size + 2) + position % self.size + 1

    def _visited(self, trail: jax.Array, position: jax.Array) -> jax.Array:
        place = self._padded(position)
        return trail.at[place].set(jnp.minimum(trail[place] + 1, 4).astype(jnp.int8))

    def _observe(self, board: GridBoard, state: GridState) -> jax.Array:
        size, direction = self.size, state.direction
        view = direction if self.turning else 0
        seen = jnp.arange(VIEW**2)
        parts = [_bit(board.walls[view, state.position], seen)]
        if self.lava:
            parts.append(_bit(board.lava[view, state.position], seen))
        width = size + 2
        ways = jnp.array([-width, 1, width, -1])
        beside = self._padded(state.position) + (ways[(jnp.arange(4) + direction) % 4] if self.turning else ways)
        parts.append(state.trail[beside] / 4)

        def towards(target: jax.Array, origin: jax.Array) -> jax.Array:
            down = (target // size - origin // size) / size
            right = (target % size - origin % size) / size
            if self.turning:
                both = jnp.stack(
                    [
                        jnp.stack([-down, right]),
                        jnp.stack([right, down]),
                        jnp.stack([down, -right]),
                        jnp.stack([-right, -down]),
                    ]
                )
                ahead, aside = both[direction]
                return jnp.stack([ahead, aside, jnp.sign(ahead), jnp.sign(aside)])
            return jnp.stack([down, right, jnp.sign(down), jnp.sign(right)])

        parts.append(towards(board.goal, state.item if self.item == "box" else state.position))
        parts.append(state.time[None] / self.max_steps)
        if self.item != "none":
            parts.append(towards(state.item, state.position))
        if self.item == "key":
            parts.append(state.holds[None])
        if self.item == "box":
            parts.append(_bit(board.walls[0, state.item], jnp.asarray(self._around_bits)))
        return jnp.concatenate([part.astype(jnp.float32) for part in parts])


def _bit(bits: jax.Array, number: jax.Array) -> jax.Array:
    return ((bits >> number) & 1).astype(bool)
