"""Grid worlds: an agent walks over cells and collects objects, which give reward, may end the episode, and come back.

A level fixes everything but the draws of respawns and endings. Cells are numbered ``row * grid_size + column`` with
the size of the level, in arrays for the largest level of a mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

#: Rows and columns that the actions go: up, down, left, right, stay.
MOVES: Final = np.array([[-1, 0], [1, 0], [0, -1], [0, 1], [0, 0]])
#: The time that observations contain, per step.
TIME_UNIT: Final = 1e-3


class Level(NamedTuple):
    """One level: C cells at most, M objects at most, K types of objects.

    Attributes:
        max_steps: length of an episode that does not end earlier, ``[]``.
        grid_size: rows and columns, ``[]``.
        n_objects: the first so many objects are used, ``[]``.
        walls: ``[C]``, bool.
        start: cell in which episodes begin, ``[]``.
        cells: of the objects, ``[M]``; not read in worlds whose objects move.
        types: of the objects, ``[M]``.
        rewards, p_terminate, p_respawn: of each type, ``[K]``.
    """

    max_steps: jax.Array
    grid_size: jax.Array
    n_objects: jax.Array
    walls: jax.Array
    start: jax.Array
    cells: jax.Array
    types: jax.Array
    rewards: jax.Array
    p_terminate: jax.Array
    p_respawn: jax.Array


class State(NamedTuple):
    """Of an episode: steps made, cell of the agent, and which objects exist in which cells, ``[M]``."""

    time: jax.Array
    cell: jax.Array
    exists: jax.Array
    cells: jax.Array


class Indexed(NamedTuple):
    """A one-hot observation and a number: the index of the one, and the number that follows the last element."""

    index: jax.Array
    time: jax.Array

    def dense(self, size: int) -> jax.Array:
        """The observation as a vector, ``[..., size]``."""
        return jnp.concatenate([jax.nn.one_hot(self.index, size - 1), self.time[..., None]], -1)


def move(level: Level, cell: jax.Array, action: jax.Array) -> jax.Array:
    """The cell in which an action ends; a wall or the border leaves the agent where it is. Broadcasts."""
    size = level.grid_size
    step = jnp.asarray(MOVES)[action]
    row, column = cell // size + step[..., 0], cell % size + step[..., 1]
    inside = (row >= 0) & (row < size) & (column >= 0) & (column < size)
    ahead = jnp.where(inside, row * size + column, cell)
    return jnp.where(level.walls[ahead], cell, ahead)


def free_cells(level: Level) -> jax.Array:
    """Cells of the level that are no walls, ``[C]``, bool."""
    return ~level.walls & (jnp.arange(level.walls.size) < level.grid_size**2)


@dataclass(frozen=True)
class GridWorld:
    """The rules of all levels of a mode, for W workers at a time.

    Attributes:
        size: rows and columns of the largest level.
        objects: number of objects of the level with most.
        types: number of types of objects.
        moving: objects are in random free cells whenever they appear; otherwise always in those of the level.
    """

    size: int
    objects: int
    types: int
    moving: bool = False

    num_actions = len(MOVES)

    @property
    def observation_size(self) -> int:
        """Length of an observation as a vector."""
        return self.size**2 * ((self.types + 1) if self.moving else 2**self.objects) + 1

    def reset(self, key: jax.Array, level: Level, workers: int) -> State:
        """States at the start of an episode, ``[W]``."""
        noise = jax.random.uniform(key, (workers, self.objects if self.moving else 0))
        states: State = jax.vmap(self._first, (0, None))(noise, level)
        return states

    def step(
        self, key: jax.Array, states: State, actions: jax.Array, level: Level
    ) -> tuple[State, jax.Array, jax.Array]:
        """One step of each worker.

        Move; collect the object in the new cell; objects that do not exist come back with their probabilities, and
        what was collected is gone; the episode ends with the probability of what was collected, or after
        ``max_steps``. The state after the end is the first of the next episode.

        Args:
            key: of all draws.
            states: ``[W]``.
            actions: ``[W]``, see :data:`MOVES`.
            level: one level for all workers.

        Returns:
            States, rewards and whether an episode ended, ``[W]`` each.
        """
        draws = 1 + self.objects * (3 if self.moving else 1)
        noise = jax.random.uniform(key, (len(actions), draws))
        states, rewards, done = jax.vmap(self._step, (0, 0, 0, None))(noise, states, actions, level)
        return states, rewards, done

    def observe(self, states: State, level: Level) -> Any:
        """What agents see, ``[...]``: an :class:`Indexed`, or where objects move, planes ``[..., observation_size]``.

        Without moving objects, the index is the cell plus the number of cells times the set of existing objects, as a
        number with object i as bit i.
        """
        time = TIME_UNIT * states.time.astype(float)
        if not self.moving:
            bits = (states.exists * 2 ** jnp.arange(self.objects)).sum(-1)
            return Indexed(states.cell + self.size**2 * bits, time)
        objects = jax.nn.one_hot(states.cells, self.size**2) * states.exists[..., None]
        planes = jnp.einsum("...mc,mk->...kc", objects, jax.nn.one_hot(level.types, self.types)).clip(max=1)
        flat = planes.reshape(*planes.shape[:-2], -1)
        return jnp.concatenate([jax.nn.one_hot(states.cell, self.size**2), flat, time[..., None]], -1)

    def _used(self, level: Level) -> jax.Array:
        return jnp.arange(self.objects) < level.n_objects

    def _first(self, noise: jax.Array, level: Level) -> State:
        cells = level.cells
        if self.moving:
            everything = jnp.ones(self.objects, bool)
            cells = self._placed(noise, level, level.start, ~everything, everything, cells)
        return State(jnp.int32(0), level.start, self._used(level), cells)

    def _placed(
        self,
        noise: jax.Array,
        level: Level,
        agent: jax.Array,
        present: jax.Array,
        appearing: jax.Array,
        cells: jax.Array,
    ) -> jax.Array:
        """Cells of the objects, after those that appear were put into free cells where nothing else is."""
        free = free_cells(level).at[agent].set(False)
        free = free & ~(jax.nn.one_hot(cells, free.size, dtype=bool) & present[:, None]).any(0)
        for i in range(self.objects):
            chosen = jnp.argmax(jnp.cumsum(free) > jnp.floor(noise[i] * free.sum()))
            cells = cells.at[i].set(jnp.where(appearing[i], chosen, cells[i]))
            free = free & ~(appearing[i] & (jnp.arange(free.size) == chosen))
        return cells

    def _step(
        self, noise: jax.Array, state: State, action: jax.Array, level: Level
    ) -> tuple[State, jax.Array, jax.Array]:
        end, respawn, rest = noise[0], noise[1 : self.objects + 1], noise[self.objects + 1 :]
        cell = move(level, state.cell, action)
        collected = state.exists & (state.cells == cell)
        reward = (collected * level.rewards[level.types]).sum()
        ended = end < (collected * level.p_terminate[level.types]).sum()
        appears = ~state.exists & (respawn < level.p_respawn[level.types]) & self._used(level)
        stays = state.exists & ~collected
        cells = state.cells
        if self.moving:
            cells = self._placed(rest[: self.objects], level, cell, stays, appears, cells)
        time = state.time + 1
        done = ended | (time >= level.max_steps)
        first = self._first(rest[self.objects :], level)
        after = State(time, cell, stays | appears, cells)
        return jax.tree.map(lambda new, old: jnp.where(done, new, old), first, after), reward, done


def optimal_return(world: GridWorld, level: Level) -> jax.Array:
    """Expected return of the best policy from the start of the level, without discount, ``[]``.

    Exact: backward induction over time on all pairs of cell and set of existing objects.

    Raises:
        ValueError: objects move; then there is no table.
    """
    return _expected_return(world, level, jnp.max)


def random_return(world: GridWorld, level: Level) -> jax.Array:
    """The same for the policy that takes each action equally often."""
    return _expected_return(world, level, jnp.mean)


def _expected_return(world: GridWorld, level: Level, over_actions: Any) -> jax.Array:
    if world.moving:
        raise ValueError("objects of this mode move, so there is no table of its states: compare with an agent instead")
    sets = np.arange(2**world.objects)
    has = jnp.asarray(sets[:, None] >> np.arange(world.objects) & 1, bool)  # [sets, objects]
    used = jnp.arange(world.objects) < level.n_objects
    p_respawn = jnp.where(used, level.p_respawn[level.types], 0)
    p_exists = jnp.where(has & used, 1, p_respawn)  # [sets, objects]: after a step in which nothing was collected

    def transition(p: jax.Array) -> jax.Array:
        """Probabilities ``[sets, next sets]`` from those of each object."""
        return jnp.where(has, p[:, None], 1 - p[:, None]).prod(-1)

    nothing = transition(p_exists)
    gone = jax.vmap(lambda i: transition(p_exists.at[:, i].set(0)))(jnp.arange(world.objects))
    cells = jnp.arange(world.size**2)
    ahead = move(level, cells[:, None], jnp.arange(world.num_actions))  # [cells, actions]
    reward, stays = level.rewards[level.types], 1 - level.p_terminate[level.types].clip(max=1)

    def earlier(_: Any, value: jax.Array) -> jax.Array:
        """Values ``[cells, sets]`` one step earlier."""
        entered = value @ nothing.T
        for i in range(world.objects):
            after = reward[i] + stays[i] * (gone[i] @ value[level.cells[i]])
            old = entered[level.cells[i]]
            entered = entered.at[level.cells[i]].set(jnp.where(has[:, i] & used[i], after, old))
        return over_actions(entered[ahead], axis=1)

    values = jax.lax.fori_loop(0, level.max_steps, earlier, jnp.zeros((cells.size, sets.size)))
    return values[level.start, (used * 2 ** jnp.arange(world.objects)).sum()]
