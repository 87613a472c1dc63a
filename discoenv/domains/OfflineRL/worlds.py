"""The worlds in which trajectories were recorded and policies are examined, in plain NumPy.

Arrays hold N copies of a world; a state is float64[N, S]. In the docstrings D is the length of an observation, which
shows all of the state, and A the length of an action, whose elements are between -1 and 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Any, ClassVar, Final

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
Integers = np.ndarray[Any, np.dtype[np.int64]]
Booleans = np.ndarray[Any, np.dtype[np.bool_]]


class World(ABC):
    """One kind of world.

    A task in it is a ``goal``, a vector. Where ``dense`` is false, the reward is -1 per step and 0 in the step that
    reaches the goal, after which nothing follows; else it is from -1 to 0, and episodes have no end but the exam's.

    Attributes:
        observation_dim, action_dim: D and A.
        dense: see above.
    """

    observation_dim: int
    action_dim: int
    dense: ClassVar[bool] = False

    @abstractmethod
    def goal(self, draw: np.random.Generator) -> Floats:
        """The goal of one exam, float64[G]."""

    @abstractmethod
    def start(self, goal: Floats, count: int, draw: np.random.Generator) -> Floats:
        """States in which episodes towards a goal begin: none is near it."""

    @abstractmethod
    def step(self, state: Floats, action: Floats, draw: np.random.Generator) -> Floats:
        """The states one step later; actions float[N, A] are clipped. ``draw`` is the chance that a world has."""

    @abstractmethod
    def observe(self, state: Floats) -> Floats:
        """Observations float64[N, D], all elements about -1 to 1."""

    @abstractmethod
    def is_start(self, obs: Floats, goal: Floats) -> Booleans:
        """Whether episodes towards ``goal`` can begin about here; bool[N] for observations float[N, D]."""

    def reached(self, obs: Floats, goal: Floats) -> Booleans:
        """Whether observations float[N, D] show the goal reached, bool[N]."""
        return np.zeros(len(obs), bool)

    def reward(self, obs: Floats, goal: Floats) -> Floats:
        """The reward float64[N] of steps that led to ``obs``, float[N, D]."""
        return self.reached(obs, goal) - 1.0


def _path_lengths(free: Booleans, to: tuple[int, int]) -> Integers:
    """Steps from each cell of a grid to one of them, without diagonals; -1 where there is no way."""
    lengths = np.full(free.shape, -1)
    lengths[to] = 0
    queue = deque([to])
    while queue:
        row, column = queue.popleft()
        for other in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            if free[other] and lengths[other] < 0:
                lengths[other] = lengths[row, column] + 1
                queue.append(other)
    return lengths


class Maze(World):
    """A point with a velocity moves among walls. The state is (x, y, vx, vy), in cells; x counts columns.

    In the drawing ``#`` is a wall, ``.`` is free, and ``P`` is a portal: who enters its cell comes out at rest in the
    middle of one of the exits, ``E``, each as likely as the other.

    Args:
        drawing: rows of equal length, with walls all around.
    """

    action_dim, observation_dim = 2, 4
    #: What is left of a velocity after a step, and what an action adds, in cells per step: at most 0.4 in all.
    DRAG: Final = 0.5
    PUSH: Final = 0.2
    #: Cells from the middle of the goal's cell at which it is reached.
    NEAR: Final = 0.5

    def __init__(self, drawing: str) -> None:
        rows = [list(line) for line in drawing.split()]
        cells = np.array(rows)
        self.free: Booleans = cells != "#"
        self.portal: Booleans = cells == "P"
        self.exits = np.argwhere(cells == "E").astype(np.float64)[:, ::-1] + 0.5
        #: Cells that are free and no portals, int64[C, 2], rows and columns; and their numbers by row and column.
        self.cells = np.argwhere(self.free & ~self.portal)
        self.number = np.full(self.free.shape, -1)
        self.number[tuple(self.cells.T)] = np.arange(len(self.cells))
        #: Steps from each cell to each other one, without portals; int64[C, C], first the goal.
        walk = self.free & ~self.portal
        self.lengths = np.array([_path_lengths(walk, (int(r), int(c)))[tuple(self.cells.T)] for r, c in self.cells])
        self._size = np.array(self.free.shape[::-1], np.float64)

    def goal(self, draw: np.random.Generator) -> Floats:
        """The middle of a cell from which another is about as far as any two are."""
        farthest = self.lengths.max(axis=1)
        number = draw.choice(np.flatnonzero(farthest >= 0.8 * farthest.max()))
        middle: Floats = self.cells[number, ::-1] + 0.5
        return middle

    def _far(self, goal: Floats) -> Booleans:
        """Which cells lie at least 0.6 times as far from the goal as the farthest one does; bool[C]."""
        lengths = self.lengths[self.number[int(goal[1]), int(goal[0])]]
        far: Booleans = lengths >= 0.6 * lengths.max()
        return far

    def start(self, goal: Floats, count: int, draw: np.random.Generator) -> Floats:
        """At rest, about the middle of a far cell."""
        numbers = draw.choice(np.flatnonzero(self._far(goal)), count)
        return self.at(numbers, draw)

    def at(self, numbers: Integers, draw: np.random.Generator) -> Floats:
        """At rest, about the middle of cells with those numbers."""
        place = self.cells[numbers, ::-1] + draw.uniform(0.2, 0.8, (len(numbers), 2))
        return np.concatenate([place, np.zeros_like(place)], axis=1)

    def step(self, state: Floats, action: Floats, draw: np.random.Generator) -> Floats:
        """A wall stops the motion across it."""
        place, velocity = state[:, :2].copy(), state[:, 2:]
        velocity = self.DRAG * velocity + self.PUSH * np.clip(action, -1.0, 1.0)
        for axis in range(2):
            moved = place.copy()
            moved[:, axis] += velocity[:, axis]
            passes = self.free[moved[:, 1].astype(int), moved[:, 0].astype(int)]
            place = np.where(passes[:, None], moved, place)
            velocity[:, axis] *= passes
        if self.portal.any():
            chosen = draw.integers(len(self.exits), size=len(place))
            enters = self.portal[place[:, 1].astype(int), place[:, 0].astype(int)][:, None]
            place, velocity = np.where(enters, self.exits[chosen], place), np.where(enters, 0.0, velocity)
        return np.concatenate([place, velocity], axis=1)

    def observe(self, state: Floats) -> Floats:
        """Place, -1 to 1 from edge to edge of the maze, and velocity in units of the highest."""
        highest = self.PUSH / (1.0 - self.DRAG)
        return np.concatenate([2.0 * state[:, :2] / self._size - 1.0, state[:, 2:] / highest], axis=1)

    def place(self, obs: Floats) -> Floats:
        """The place (x, y) in cells that observations show."""
        place: Floats = (obs[:, :2] + 1.0) * self._size / 2.0
        return place

    def numbers(self, obs: Floats) -> Integers:
        """The numbers of the cells that observations show; -1 in a wall, where rounding may put what is beside it."""
        place = np.clip(self.place(obs), 1.0, self._size - 1.001).astype(int)
        numbers: Integers = self.number[place[:, 1], place[:, 0]]
        return numbers

    def is_start(self, obs: Floats, goal: Floats) -> Booleans:
        """In a far cell."""
        numbers = self.numbers(obs)
        far: Booleans = self._far(goal)[numbers] & (numbers >= 0)
        return far

    def reached(self, obs: Floats, goal: Floats) -> Booleans:
        """Within ``NEAR`` cells of the goal."""
        near: Booleans = np.linalg.norm(self.place(obs) - goal, axis=1) < self.NEAR
        return near


class Push(World):
    """A finger pushes discs over a table from -1 to 1. The state is the finger's place, then that of each disc.

    Args:
        discs: their number. All but the first are in the way, or pushed along.
    """

    action_dim = 2
    #: How far the finger moves in a step at most, per axis; sum of both radii; how far discs stay from the edge.
    STRIDE: Final = 0.15
    TOUCH: Final = 0.2
    EDGE: Final = 0.85
    #: Distance of the disc's middle from the goal at which it is reached.
    NEAR: Final = 0.2

    def __init__(self, discs: int) -> None:
        self.discs = discs
        self.observation_dim = 2 + 2 * discs

    def goal(self, draw: np.random.Generator) -> Floats:
        """A place for the first disc."""
        return draw.uniform(-0.45, 0.45, 2)

    def start(self, goal: Floats, count: int, draw: np.random.Generator) -> Floats:
        """Finger and discs anywhere, the first disc at least 0.5 from the goal."""
        found = np.empty((0, self.observation_dim))
        while len(found) < count:
            state = self.anywhere(count, draw)
            found = np.concatenate([found, state[self.is_start(state, goal)]])
        return found[:count]

    def anywhere(self, count: int, draw: np.random.Generator) -> Floats:
        """States in which nothing touches."""
        found = np.empty((0, self.observation_dim))
        while len(found) < count:
            places = draw.uniform(-0.8, 0.8, (count, 1 + self.discs, 2))
            gaps = np.linalg.norm(places[:, :, None] - places[:, None], axis=-1)
            apart = (gaps + 9.0 * np.eye(1 + self.discs) > self.TOUCH + 0.05).all(axis=(1, 2))
            found = np.concatenate([found, places[apart].reshape(-1, self.observation_dim)])
        return found[:count]

    def step(self, state: Floats, action: Floats, draw: np.random.Generator) -> Floats:
        """The finger moves; discs give way to it, then to each other; what is stuck stops the finger."""
        places = state.reshape(len(state), -1, 2).copy()
        finger = np.clip(places[:, 0] + self.STRIDE * np.clip(action, -1.0, 1.0), -1.0, 1.0)
        for disc in range(1, places.shape[1]):
            places[:, disc] = _clear(finger, places[:, disc], self.TOUCH, self.EDGE)
        for disc in range(2, places.shape[1]):
            places[:, disc] = _clear(places[:, 1], places[:, disc], self.TOUCH, self.EDGE)
        for disc in range(1, places.shape[1]):
            finger = _clear(places[:, disc], finger, self.TOUCH, 1.0)
        places[:, 0] = finger
        return places.reshape(len(state), -1)

    def observe(self, state: Floats) -> Floats:
        """The state itself."""
        return state

    def is_start(self, obs: Floats, goal: Floats) -> Booleans:
        """The first disc is at least 0.5 from the goal."""
        far: Booleans = np.linalg.norm(obs[:, 2:4] - goal, axis=1) >= 0.5
        return far

    def reached(self, obs: Floats, goal: Floats) -> Booleans:
        """The first disc is within ``NEAR`` of the goal."""
        near: Booleans = np.linalg.norm(obs[:, 2:4] - goal, axis=1) < self.NEAR
        return near


def _clear(fixed: Floats, moved: Floats, distance: float, edge: float) -> Floats:
    """Places ``moved``, taken away from ``fixed`` to a distance where they are nearer; none beyond the edge."""
    away = moved - fixed
    length = np.sqrt((away**2).sum(axis=1, keepdims=True))
    out = fixed + away / np.maximum(length, 1e-6) * distance
    return np.clip(np.where(length < distance, out, moved), -edge, edge)


class Lights(World):
    """An arm moves over a board of buttons; pressing one switches its lamp and those beside it.

    The state is the arm's place (x, y) in buttons, whether it is down, and each lamp, 0 or 1, row by row.

    Args:
        rows, columns: size of the board.
    """

    action_dim = 3
    #: How far the arm moves in a step at most, per axis, in buttons.
    STRIDE: Final = 0.6

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.observation_dim = 3 + rows * columns
        row, column = np.divmod(np.arange(rows * columns), columns)
        #: Which lamps each button switches, int64[rows * columns, rows * columns].
        self.switches = (np.abs(row[:, None] - row) + np.abs(column[:, None] - column) <= 1).astype(np.int64)
        #: Fewest presses from each pattern of lamps to all off, by the pattern's binary number; -1: never.
        self.presses = np.full(2 ** (rows * columns), -1)
        for chosen in range(len(self.presses)):
            which = np.array([chosen >> k & 1 for k in range(rows * columns)])
            number = self.binary((which @ self.switches % 2)[None])[0]
            if self.presses[number] < 0 or which.sum() < self.presses[number]:
                self.presses[number] = which.sum()

    def binary(self, lamps: Any) -> Integers:
        """The numbers int64[N] of patterns bool[N, rows * columns]."""
        numbers: Integers = np.asarray(lamps).astype(np.int64) @ (1 << np.arange(self.rows * self.columns))
        return numbers

    def goal(self, draw: np.random.Generator) -> Floats:
        """A pattern that can be reached from all lamps off."""
        pattern: Floats = self.patterns(1, draw)[0]
        return pattern

    def patterns(self, count: int, draw: np.random.Generator) -> Floats:
        """Patterns of lamps that some presses make of all off; float64[count, rows * columns]."""
        pressed = draw.integers(2, size=(count, self.rows * self.columns))
        patterns: Floats = (pressed @ self.switches % 2).astype(np.float64)
        return patterns

    def start(self, goal: Floats, count: int, draw: np.random.Generator) -> Floats:
        """The arm up and anywhere, lamps at least three presses from the goal."""
        found = np.empty((0, self.observation_dim))
        while len(found) < count:
            state = self.anywhere(count, draw)
            found = np.concatenate([found, state[self.is_start(self.observe(state), goal)]])
        return found[:count]

    def anywhere(self, count: int, draw: np.random.Generator) -> Floats:
        """The arm up and anywhere, any lamps that can be."""
        place = draw.uniform(0.0, 1.0, (count, 2)) * (self.columns, self.rows)
        return np.concatenate([place, np.zeros((count, 1)), self.patterns(count, draw)], axis=1)

    def step(self, state: Floats, action: Floats, draw: np.random.Generator) -> Floats:
        """The arm moves; it goes down where the third element is positive. What has been down cannot press again."""
        action = np.clip(action, -1.0, 1.0)
        size = np.array([self.columns, self.rows], np.float64)
        place = np.clip(state[:, :2] + self.STRIDE * action[:, :2], 0.0, size - 1e-3)
        down = action[:, 2] > 0.0
        presses = down & (state[:, 2] < 0.5)
        button = place[:, 1].astype(int) * self.columns + place[:, 0].astype(int)
        lamps = (state[:, 3:] + self.switches[button] * presses[:, None]) % 2
        return np.concatenate([place, down[:, None], lamps], axis=1)

    def observe(self, state: Floats) -> Floats:
        """Place, -1 to 1 over the board; whether the arm is down, and the lamps, -1 or 1."""
        size = np.array([self.columns, self.rows], np.float64)
        return np.concatenate([2.0 * state[:, :2] / size - 1.0, 2.0 * state[:, 2:] - 1.0], axis=1)

    def left(self, obs: Floats, goal: Floats) -> Integers:
        """Fewest presses from what observations show to the goal, int64[N]."""
        lamps = (np.asarray(obs)[:, 3:] > 0.0) != (goal > 0.5)
        left: Integers = self.presses[self.binary(lamps)]
        return left

    def is_start(self, obs: Floats, goal: Floats) -> Booleans:
        """At least three presses from the goal."""
        far: Booleans = self.left(obs, goal) >= 3
        return far

    def reached(self, obs: Floats, goal: Floats) -> Booleans:
        """The lamps are those of the goal."""
        there: Booleans = ((np.asarray(obs)[:, 3:] > 0.0) == (goal > 0.5)).all(axis=1)
        return there


class Pendulum(World):
    """A rod on an axis whose motor is too weak to lift it at once. The state: angle from upright, and its velocity."""

    action_dim, observation_dim, dense = 1, 3, True
    STEP_S: Final = 0.1
    #: What gravity and the motor accelerate at most, rad/s²; and the highest speed, rad/s.
    GRAVITY: Final = 15.0
    MOTOR: Final = 5.0
    FASTEST: Final = 8.0

    def goal(self, draw: np.random.Generator) -> Floats:
        """Upright; there is no other."""
        return np.zeros(1)

    def start(self, goal: Floats, count: int, draw: np.random.Generator) -> Floats:
        """Hanging, nearly at rest."""
        return np.stack([np.pi + draw.uniform(-0.5, 0.5, count), draw.uniform(-0.5, 0.5, count)], axis=1)

    def step(self, state: Floats, action: Floats, draw: np.random.Generator) -> Floats:
        """Four steps of Euler's method, the new velocity first."""
        angle, velocity = state[:, 0], state[:, 1]
        torque = self.MOTOR * np.clip(action[:, 0], -1.0, 1.0)
        for _ in range(4):
            velocity = velocity + self.STEP_S / 4 * (self.GRAVITY * np.sin(angle) + torque)
            velocity = np.clip(velocity, -self.FASTEST, self.FASTEST)
            angle = angle + self.STEP_S / 4 * velocity
        return np.stack([(angle + np.pi) % (2.0 * np.pi) - np.pi, velocity], axis=1)

    def observe(self, state: Floats) -> Floats:
        """Cosine and sine of the angle, and velocity in units of the highest."""
        return np.stack([np.cos(state[:, 0]), np.sin(state[:, 0]), state[:, 1] / self.FASTEST], axis=1)

    def is_start(self, obs: Floats, goal: Floats) -> Booleans:
        """Hanging and slow."""
        hanging: Booleans = (obs[:, 0] < -0.85) & (np.abs(obs[:, 2]) * self.FASTEST < 0.6)
        return hanging

    def reward(self, obs: Floats, goal: Floats) -> Floats:
        """Minus one, and the square of how high the end is: 0 hanging, 1 upright."""
        height = (1.0 + np.asarray(obs, np.float64)[:, 0]) / 2.0
        return np.clip(height, 0.0, 1.0) ** 2 - 1.0


MEDIUM: Final = """
########
#..##..#
#..#...#
##...###
#..#...#
#.#..#.#
#...#..#
########
"""
TELEPORT: Final = """
#########
#E..#...#
#.#.#.#.#
#.#...#.#
#.###.#.#
#...P.#.#
#.#####.#
#......E#
#########
"""
#: Worlds by the names that configurations use.
WORLDS: Final = {
    "maze_medium": lambda: Maze(MEDIUM),
    "maze_teleport": lambda: Maze(TELEPORT),
    "push_single": lambda: Push(1),
    "push_double": lambda: Push(2),
    "lights": lambda: Lights(1, 6),
    "pendulum": Pendulum,
}


def make(name: str) -> World:
    """A world by its name in ``WORLDS``."""
    world: World = WORLDS[name]()
    return world
