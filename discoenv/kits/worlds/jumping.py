"""A runner that cannot stop: it has to choose its jumps over pits, up steps, and under ceilings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

#: Heights are whole numbers below this; a floor of height 0 is a pit.
TOP = 12
#: Columns ahead that the runner sees.
AHEAD = 8
#: Upward speed of a hop and of a leap; each step takes 1 off it, down to -2.
SPEEDS = (0, 1, 2)


class JumpingLevel(NamedTuple):
    """A track of L columns.

    Attributes:
        floor: int8[L], heights from 0 (a pit) to TOP - 1.
        ceiling: int8[L], the runner has to stay below it; at least 2 above the floor.
    """

    floor: jax.Array
    ceiling: jax.Array


class JumpingBoard(NamedTuple):
    """A level as it is played: int8[L + AHEAD + 1] both, the end repeated."""

    floor: jax.Array
    ceiling: jax.Array


class JumpingState(NamedTuple):
    """Column, height, upward speed, whether the runner stands on the floor, and the time."""

    column: jax.Array
    height: jax.Array
    speed: jax.Array
    stands: jax.Array
    time: jax.Array


class Jumping:
    """The task of jumping.

    Each step takes the runner one column on. On the floor it walks (action 0), hops (1) or leaps (2); in the air
    actions do nothing. Its height changes by its speed, and lands on the floor that it meets from above; it may walk up
    a step of 1. It loses in a pit, against a wall, and at a ceiling; the last column solves.

    Args:
        size: L.
        max_steps: steps of an episode, at least L.
    """

    num_actions = 3
    obs_dim = 3 * AHEAD + 3

    def __init__(self, size: int, max_steps: int) -> None:
        self.size, self.max_steps = size, max_steps

    def sample(self, key: jax.Array) -> JumpingLevel:
        """Steps, pits and ceilings, each of a frequency of the level."""
        random = jax.random.uniform(key, (3 + 6 * self.size,))
        steps, pits, low = random[:3] ** 2 * jnp.array([0.5, 0.6, 0.6])
        has_step, way, has_pit, has_ceiling, height, gap = random[3:].reshape(6, self.size)
        changes = jnp.where(way < 0.5, -1, 1) * (1 + jnp.floor(3 * height)) * (has_step < steps)
        floor = 1 + jnp.abs((2 + jnp.cumsum(changes)) % 10 - 5)
        ceiling = jnp.where(has_ceiling < low, floor + 2 + jnp.floor(3 * gap), TOP)
        return JumpingLevel(jnp.where(has_pit < pits, 0, floor).astype(jnp.int8), ceiling.astype(jnp.int8))

    def mutate(self, key: jax.Array, level: JumpingLevel) -> JumpingLevel:
        """Changes the floor, to a pit or by one, or the ceiling of one column."""
        what, where, to = jax.random.uniform(key, (3,))
        where = jnp.floor(where * self.size).astype(jnp.int32)
        before = level.floor[jnp.maximum(where - 1, 0)]
        near = jnp.clip(before + jnp.floor(3 * to) - 1, 1, TOP - 4)
        floor = jnp.where(what < 0.3, 0, jnp.where(what < 0.7, near, level.floor[where]))
        low = near + 2 + jnp.floor(4 * to)
        ceiling = jnp.where(what < 0.7, level.ceiling[where], jnp.where(what < 0.85, TOP, low))
        return JumpingLevel(
            level.floor.at[where].set(floor.astype(jnp.int8)), level.ceiling.at[where].set(ceiling.astype(jnp.int8))
        )

    def build(self, level: JumpingLevel) -> JumpingBoard:
        """Clips heights, puts the ceiling at least 2 above the floor, and makes the first and last columns ground."""
        column = jnp.arange(self.size)
        floor = jnp.clip(level.floor, 0, TOP - 4)
        ends = (column < 2) | (column >= self.size - 1)
        floor = jnp.where(ends, jnp.maximum(floor, 1), floor).astype(jnp.int8)
        ceiling = jnp.where(ends, TOP, jnp.clip(level.ceiling, floor + 2, TOP)).astype(jnp.int8)
        return JumpingBoard(jnp.pad(floor, (0, AHEAD + 1), mode="edge"), jnp.pad(ceiling, (0, AHEAD + 1), mode="edge"))

    def start(self, board: JumpingBoard) -> tuple[jax.Array, JumpingState]:
        """The first observation and state."""
        zero = jnp.int32(0)
        state = JumpingState(zero, board.floor[0].astype(jnp.int32), zero, jnp.bool_(True), zero)
        return self._observe(board, state), state

    def step(
        self, board: JumpingBoard, state: JumpingState, action: jax.Array
    ) -> tuple[jax.Array, JumpingState, jax.Array, jax.Array, jax.Array]:
        """(obs, state, reward, ended, solved)."""
        speed = jnp.where(state.stands, jnp.array(SPEEDS)[action], jnp.maximum(state.speed - 1, -2))
        column, time = state.column + 1, state.time + 1
        floor, ceiling = board.floor[column].astype(jnp.int32), board.ceiling[column].astype(jnp.int32)
        height = state.height + speed
        walks = state.stands & (speed == 0)
        # From above, or one step up on foot, the floor is met; a wall is met from the side.
        meets = (height <= floor) & (floor > 0) & ((state.height >= floor) | (walks & (floor == state.height + 1)))
        wall = (height < floor) & ~meets
        pit = (floor == 0) & (height <= 0)
        height = jnp.where(meets, floor, height)
        lost = wall | pit | (height >= ceiling)
        solved = ~lost & (column >= self.size - 1)
        new = JumpingState(column, height, jnp.where(meets, 0, speed), meets, time)
        reward = jnp.where(solved, 1.0 - 0.5 * time / self.max_steps, 0.0)
        return self._observe(board, new), new, reward, solved | lost | (time >= self.max_steps), solved

    def level(self, fields: Mapping[str, Any]) -> JumpingLevel:
        """Levels from their arrays by name."""
        return JumpingLevel(**fields)

    def place(self, state: JumpingState) -> jax.Array:
        """Height and column of the runner, float32[2]."""
        return jnp.stack([state.height, state.column]).astype(jnp.float32)

    def _observe(self, board: JumpingBoard, state: JumpingState) -> jax.Array:
        floor = jax.lax.dynamic_slice(board.floor, (state.column + 1,), (AHEAD,))
        ceiling = jax.lax.dynamic_slice(board.ceiling, (state.column + 1,), (AHEAD,))
        own = jnp.stack([state.speed / 2, state.stands.astype(jnp.float32), state.height / TOP])
        return jnp.concatenate(
            [(floor - state.height) / 4, (floor == 0).astype(jnp.float32), (ceiling - state.height) / 6, own]
        ).astype(jnp.float32)
