"""Levels that policies are examined in: of other kinds than random ones, solvable, and not trivial. NumPy alone."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from discoenv.kits.worlds.jumping import SPEEDS, TOP

Array = np.ndarray[Any, Any]
FREE, WALL, LAVA = 0, 1, 2
_MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
#: Tries for one level; each kind succeeds in a few.
_TRIES = 2000


def make(config: Mapping[str, Any], generator: np.random.Generator, count: int) -> dict[str, Array]:
    """``count`` levels of a dataset's world, by the names of a level's fields, and "kind": which layout each has.

    Every kind has about as many levels as the others, and no two levels are the same.
    """
    if config["WORLD"] == "kinetix":
        return _published(config, generator, count)
    grid = config["WORLD"] == "grid"
    kinds: tuple[Callable[..., Any], ...] = _LAYOUTS if grid else (_course,)
    levels: list[dict[str, Any]] = []
    seen: set[bytes] = set()
    for number in range(count):
        for _ in range(_TRIES):
            layout = kinds[number % len(kinds)]
            level = _grid_level(config, layout, generator) if grid else _jumping_level(config, generator)
            key = b"".join(np.asarray(value).tobytes() for value in level.values()) if level else b""
            if level and key not in seen:
                seen.add(key)
                levels.append({**level, "kind": number % len(kinds)})
                break
        else:
            raise RuntimeError(f"no level of kind {number % len(kinds)} with SIZE {config['SIZE']} was found")
    return {name: np.stack([level[name] for level in levels]) for name in levels[0]}


# --- grids ------------------------------------------------------------------------------------------------------------


def _corridors(size: int, generator: np.random.Generator) -> Array:
    """A perfect maze by depth-first search, of which some walls are opened."""
    cells = np.full((size, size), WALL)
    shift = generator.integers(0, 2, 2) if size % 2 == 0 else np.zeros(2, int)
    stack, known = [(0, 0)], {(0, 0)}
    number = (size + 1) // 2
    cells[tuple(shift)] = FREE
    while stack:
        row, column = stack[-1]
        ways = [(row + r, column + c) for r, c in _MOVES]
        ways = [(r, c) for r, c in ways if 0 <= r < number and 0 <= c < number and (r, c) not in known]
        ways = [(r, c) for r, c in ways if 2 * r + shift[0] < size and 2 * c + shift[1] < size]
        if not ways:
            stack.pop()
            continue
        way = ways[generator.integers(len(ways))]
        cells[row + way[0] + shift[0], column + way[1] + shift[1]] = FREE
        cells[2 * way[0] + shift[0], 2 * way[1] + shift[1]] = FREE
        known.add(way)
        stack.append(way)
    opened = generator.random((size, size)) < 0.1
    return np.where(opened, FREE, cells)


def _rooms(size: int, generator: np.random.Generator) -> Array:
    """Rooms by recursive division: each wall has one door."""
    cells = np.zeros((size, size), int)

    def divide(top: int, left: int, height: int, width: int) -> None:
        if min(height, width) < 3 or max(height, width) < 4:
            return
        across = height > width or (height == width and generator.random() < 0.5)
        if across:
            wall = top + int(generator.integers(1, height - 1))
            cells[wall, left : left + width] = WALL
            cells[wall, left + generator.integers(width)] = FREE
            divide(top, left, wall - top, width)
            divide(wall + 1, left, top + height - wall - 1, width)
        else:
            wall = left + int(generator.integers(1, width - 1))
            cells[top : top + height, wall] = WALL
            cells[top + generator.integers(height), wall] = FREE
            divide(top, left, height, wall - left)
            divide(top, wall + 1, height, left + width - wall - 1)

    divide(0, 0, size, size)
    return cells


def _barriers(size: int, generator: np.random.Generator) -> Array:
    """Barriers from side to side with one gap each, which has to be found; in some levels across, in others along."""
    cells = np.zeros((size, size), int)
    for row in range(int(generator.integers(1, 3)), size - 1, 2 + int(generator.random() < 0.4)):
        cells[row] = WALL
        cells[row, generator.integers(size)] = FREE
    return cells if generator.random() < 0.5 else cells.T.copy()


def _scattered(size: int, generator: np.random.Generator) -> Array:
    """Scattered walls, many of them."""
    return (generator.random((size, size)) < generator.uniform(0.25, 0.45)).astype(int)


_LAYOUTS = (_corridors, _rooms, _barriers, _scattered)


def steps_to(cells: Array, goal: int) -> Array:
    """int[S, S]: steps to a cell over free cells, by breadth-first search; -1 where there is no way."""
    size = len(cells)
    found = np.full((size, size), -1)
    queue = collections.deque([divmod(goal, size)])
    found[divmod(goal, size)] = 0
    while queue:
        row, column = queue.popleft()
        for r, c in ((row + a, column + b) for a, b in _MOVES):
            if 0 <= r < size and 0 <= c < size and cells[r, c] == FREE and found[r, c] < 0:
                found[r, c] = found[row, column] + 1
                queue.append((r, c))
    return found


def steps_to_push(cells: Array, start: int, box: int, goal: int, most: int) -> int:
    """Fewest steps that push the box from its cell to the goal; -1 if more than ``most`` are needed."""
    size = len(cells)

    def free(cell: tuple[int, int]) -> bool:
        return 0 <= cell[0] < size and 0 <= cell[1] < size and cells[cell] == FREE

    begin = divmod(start, size), divmod(box, size)
    known, layer = {begin}, [begin]
    for steps in range(1, most + 1):
        further = []
        for agent, at in layer:
            for r, c in _MOVES:
                to, then = (agent[0] + r, agent[1] + c), at
                if to == at:
                    then = (at[0] + r, at[1] + c)
                if not free(to) or not free(then) or (to, then) in known:
                    continue
                if then == divmod(goal, size):
                    return steps
                known.add((to, then))
                further.append((to, then))
        layer = further
    return -1


def _grid_level(
    config: Mapping[str, Any], layout: Callable[..., Array], generator: np.random.Generator
) -> dict[str, Any] | None:
    """A level of that layout, or None if this one is unsolvable or too easy."""
    size, item = int(config["SIZE"]), config["ITEM"]
    cells = layout(size, generator)
    if config["LAVA"]:
        lava = generator.random((size, size)) < generator.uniform(0.3, 1.0)
        cells = np.where((cells == WALL) & lava, LAVA, cells)
    if item == "box":  # narrow levels are unsolvable; some walls go
        cells = np.where(generator.random((size, size)) < 0.5, FREE, cells)
    free = np.flatnonzero(cells == FREE)
    if len(free) < size:
        return None
    start, goal, thing = (int(x) for x in generator.choice(free, 3, replace=False))
    level = {"cells": cells.astype(np.int8), "start": start, "goal": goal, "item": thing}
    apart = sum(abs(a - b) for a, b in zip(divmod(start, size), divmod(goal, size), strict=True))
    if item == "box":
        steps = steps_to_push(cells, start, thing, goal, config["MAX_STEPS"] // 2)
        return level if steps >= size else None
    to_goal = steps_to(cells, goal)
    steps = int(to_goal[divmod(start, size)])
    if item == "key":
        first = int(steps_to(cells, thing)[divmod(start, size)])
        second = int(to_goal[divmod(thing, size)])
        return level if min(first, second) > 0 and first + second >= 2 * size - 2 else None
    # The way is long, and not the one as the crow flies.
    return level if steps >= size - 1 and steps >= apart + 2 else None


# --- jumping ----------------------------------------------------------------------------------------------------------


def _course(size: int, generator: np.random.Generator) -> tuple[Array, Array]:
    """Floor and ceiling of a course: obstacles of a grammar, with ground between them."""
    floor, ceiling, height = [], [], int(generator.integers(2, 5))

    def ground(columns: int, low: int = TOP) -> None:
        floor.extend([height] * columns)
        ceiling.extend([min(low, TOP)] * columns)

    ground(2)
    while len(floor) < size:
        match generator.integers(5):
            case 0:  # a pit
                width = int(generator.integers(1, 5))
                floor.extend([0] * width)
                ceiling.extend([TOP] * width)
            case 1:  # a step up, of a height to hop or to leap onto
                height = min(height + int(generator.integers(1, 4)), 8)
            case 2:  # a drop
                height = max(height - int(generator.integers(1, 4)), 1)
            case 3:  # a tunnel that is too low to leap in
                ground(int(generator.integers(2, 5)), height + int(generator.integers(2, 4)))
            case 4:  # a pit under a low ceiling: hop
                floor.extend([0] * 2)
                ceiling.extend([height + int(generator.integers(2, 4))] * 2)
        ground(int(generator.integers(1, 4)))
    return np.array(floor[:size]), np.array(ceiling[:size])


def _after(floor: Array, ceiling: Array, column: int, state: tuple[int, int, bool], action: int) -> Any:
    """(height, speed, stands) in the next column, or None if the run is lost; the rules of worlds/jumping.py."""
    height, speed, stands = state
    speed = SPEEDS[action] if stands else max(speed - 1, -2)
    ground, to = int(floor[column + 1]), height + speed
    meets = to <= ground and ground > 0 and (height >= ground or (stands and speed == 0 and ground == height + 1))
    if meets:
        to, speed = ground, 0
    elif to < ground or (ground == 0 and to <= 0):
        return None
    return None if to >= ceiling[column + 1] else (to, speed, bool(meets))


def can_run(floor: Array, ceiling: Array, actions: tuple[int, ...] = (0, 1, 2)) -> bool:
    """Whether some sequence of these actions comes to the last column. Arrays as they are played (``build``)."""
    states = {(int(floor[0]), 0, True)}
    for column in range(len(floor) - 1):
        after = (_after(floor, ceiling, column, state, action) for state in states for action in actions)
        states = {state for state in after if state is not None}
    return bool(states)


def as_played(floor: Array, ceiling: Array) -> tuple[Array, Array]:
    """What ``Jumping.build`` makes of a course, without the padding."""
    column = np.arange(len(floor))
    ends = (column < 2) | (column >= len(floor) - 1)
    floor = np.clip(floor, 0, TOP - 4)
    floor = np.where(ends, np.maximum(floor, 1), floor)
    return floor, np.where(ends, TOP, np.clip(ceiling, floor + 2, TOP))


def _jumping_level(config: Mapping[str, Any], generator: np.random.Generator) -> dict[str, Any] | None:
    """A course that can be run, but not with one action alone, and not without leaps and hops."""
    floor, ceiling = _course(int(config["SIZE"]), generator)
    played = as_played(floor, ceiling)
    if not can_run(*played) or any(can_run(*played, actions) for actions in ((0, 1), (2,))):
        return None
    return {"floor": floor.astype(np.int8), "ceiling": ceiling.astype(np.int8)}


# --- Kinetix ----------------------------------------------------------------------------------------------------------


def _published(config: Mapping[str, Any], generator: np.random.Generator, count: int) -> dict[str, Array]:
    """Levels that come with Kinetix, each about equally often, with a gravity that is a little different each time."""
    from discoenv.kits.worlds import physics  # its package is an extra of some datasets

    levels = physics.published_levels(str(config["SIZE"]))
    number = len(levels.gravity)
    kinds = np.resize(generator.permutation(number), count)
    chosen = {name: np.asarray(leaf)[kinds] for name, leaf in physics.fields_of(levels).items()}
    gravity = next(name for name, leaf in physics.fields_of(levels).items() if leaf is levels.gravity)
    scale = generator.uniform(0.95, 1.05, (count, *[1] * (chosen[gravity].ndim - 1)))
    return {**chosen, gravity: (chosen[gravity] * scale).astype(chosen[gravity].dtype), "kind": kinds}
