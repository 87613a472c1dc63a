"""Mazes: maps of walls, from the furthest of whose free cells an explorer looks for the other end.

Both ends follow from the walls: of all pairs of cells, start and goal are those with the longest shortest path between
them. An explorer that sees 5 × 5 cells and remembers where it was walks from one to the other. All mazes and episodes
of a batch are simulated at the same time, in NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from .archives import Array, FloatArray, IntArray
from .emitters import Emitter, IntegerMutationEmitter
from .problems import Evaluation, hashed, uniform

BoolArray = npt.NDArray[np.bool_]
Measure = Literal["walls", "path", "repeated", "explored"]

#: Actions of the agent.
LEFT, RIGHT, FORWARD = 0, 1, 2
#: Side of the square that the agent sees: it stands in the middle of its last row.
VIEW: Final = 5
#: Rows and columns of one step to the east, south, west and north.
_STEPS: Final = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])
#: The explorer's cost of a cell that it was in once, of a quarter turn, and of leaving a goal in sight behind.
HABITS: Final = (4.0, 1.0, 3.0)


@dataclass(frozen=True)
class Ends:
    """Start and goal of mazes.

    Attributes:
        distance: int64[n], steps of the shortest path between them; 0 where no cell can be reached from another.
        start, goal: int64[n], row · width + column; the first pair, in this order, of all that are equally far apart.
        reachable: bool[n, height, width], cells that can be reached from the start, itself included.
    """

    distance: IntArray
    start: IntArray
    goal: IntArray
    reachable: BoolArray


def ends(walls: Array) -> Ends:
    """Start and goal of mazes, walls [n, height, width] (0 is free): the pair of cells that are furthest apart.

    A breadth-first search from all cells at the same time: each cell has a bit for each source that has reached it, and
    in each step takes the bits of its four neighbours.
    """
    n, height, width = walls.shape
    words = -(-height * width // 64)
    source = np.arange(height * width)
    bits = np.zeros((height * width, words), np.uint64)
    bits[source, source // 64] = np.uint64(1) << (source % 64).astype(np.uint64)
    free = (walls == 0)[..., None]
    mask = np.where(free, ~np.uint64(0), np.uint64(0))
    reached = np.zeros((n, height + 2, width + 2, words), np.uint64)
    inner = reached[:, 1:-1, 1:-1]
    inner[:] = bits.reshape(height, width, words) & mask
    newest = inner.copy()
    distance = np.zeros(n, np.int64)
    active, level_reached = np.arange(n), reached
    while len(active):
        new = level_reached[:, :-2, 1:-1] | level_reached[:, 2:, 1:-1]
        new |= level_reached[:, 1:-1, :-2]
        new |= level_reached[:, 1:-1, 2:]
        new &= mask
        new &= ~level_reached[:, 1:-1, 1:-1]
        grew = new.any(axis=(1, 2, 3))
        if not grew.all():
            reached[active] = level_reached
            active, level_reached, new, mask = active[grew], level_reached[grew], new[grew], mask[grew]
        level_reached[:, 1:-1, 1:-1] |= new
        newest[active] = new
        distance[active] += 1
    return _pair(reached[:, 1:-1, 1:-1], newest, distance)


def _pair(reached: Array, newest: Array, distance: IntArray) -> Ends:
    """The ends from the final bits of all cells, and from those that came last."""
    n, height, width, words = reached.shape
    newest = newest.reshape(n, height * width, words)
    sources = np.unpackbits(
        np.bitwise_or.reduce(newest, axis=1).view(np.uint8).reshape(n, words * 8), axis=1, bitorder="little"
    )
    start = sources.argmax(axis=1)
    word, bit = start // 64, np.uint64(1) << (start % 64).astype(np.uint64)
    rows = np.arange(n)
    goal = ((newest[rows, :, word] & bit[:, None]) != 0).argmax(axis=1)
    reachable = (reached.reshape(n, height * width, words)[rows, :, word] & bit[:, None]) != 0
    return Ends(distance, start, goal, reachable.reshape(n, height, width))


@dataclass(frozen=True)
class Walks:
    """What the explorer did in mazes, means over episodes.

    Attributes:
        steps: float64[n], actions of an episode.
        repeated: float64[n], of them, those after which it was in a cell where it had been before.
        explored: float64[n], share of the cells it could reach that it entered in any episode.
        success: float64[n], share of episodes in which it reached the goal.
        occupancy: float32[n, height, width], actions after which it was in each cell.
    """

    steps: FloatArray
    repeated: FloatArray
    explored: FloatArray
    success: FloatArray
    occupancy: npt.NDArray[np.float32]


def explore(
    walls: Array,
    where: Ends,
    seeds: IntArray,
    *,
    episodes: int,
    max_steps: int,
    noise: float = 0.05,
    habits: tuple[float, float, float] = HABITS,
) -> Walks:
    """Let the explorer play each maze.

    In each step it knows which of the four cells around it are free, how often it was in each of them, and, where the
    goal is among the 5 × 5 cells in front of it, where that is; walls do not block its view. It wants to go to the cell
    where it was least often, prefers not to turn, and to come nearer to a goal in sight; ties are broken at random. It
    turns left or right, or goes forward. With probability ``noise`` it does one of the three at random.

    Args:
        walls: [n, height, width], 0 is free.
        where: their ends.
        seeds: int64[n], of everything that is random in a maze's episodes, the first direction included.
        episodes: per maze.
        max_steps: actions after which an episode ends.
        noise: probability of a random action.
        habits: the explorer's costs of a cell for each time that it was there, of a quarter turn, and of leaving a goal
            in sight behind.

    Returns:
        Zeros for mazes without a goal.
    """
    n, height, width = walls.shape
    padded = np.ones((n, height + 2, width + 2), np.bool_)
    padded[:, 1:-1, 1:-1] = walls != 0
    pitch, cells = width + 2, (height + 2) * (width + 2)
    offsets = _STEPS @ (pitch, 1)
    solvable = np.flatnonzero(where.distance > 0)
    maze = np.repeat(solvable, episodes)
    blocked = padded.reshape(n, cells)[maze].reshape(-1)
    visits = np.zeros((len(maze), cells), np.int32)
    flat_visits = visits.reshape(-1)
    base = np.arange(len(maze)) * cells
    start, goal = ((each // width + 1) * pitch + each % width + 1 for each in (where.start, where.goal))
    noise_seed = hashed(seeds[maze], np.tile(np.arange(episodes), len(solvable)))
    position, target = start[maze], goal[maze]
    direction = (hashed(noise_seed, max_steps) % np.uint64(4)).astype(np.int64)
    flat_visits[base + position] = 1
    steps = np.zeros(len(maze), np.int64)
    repeated = np.zeros(len(maze), np.int64)
    success = np.zeros(len(maze), np.bool_)
    active = np.arange(len(maze))
    for step in range(max_steps):
        if not len(active):
            break
        bits = hashed(noise_seed, step)
        action = _act(position, direction, target, base, blocked, flat_visits, offsets, pitch, bits, noise, habits)
        ahead = position + offsets[direction]
        moves = (action == FORWARD) & ~blocked[base + ahead]
        position = np.where(moves, ahead, position)
        direction = (direction + np.where(action == RIGHT, 1, np.where(action == LEFT, 3, 0))) % 4
        here = base + position
        repeated[active] += flat_visits[here] > 0
        flat_visits[here] += 1
        steps[active] += 1
        done = position == target
        if done.any():
            success[active[done]] = True
            left = ~done
            active, position, direction, target = active[left], position[left], direction[left], target[left]
            base, noise_seed = base[left], noise_seed[left]
    visits[np.arange(len(maze)), start[maze]] -= 1  # being there at first is no action
    shape = (len(solvable), episodes)
    grids = visits.reshape(*shape, height + 2, width + 2)[:, :, 1:-1, 1:-1]
    occupancy = np.zeros((n, height, width), np.float32)
    occupancy[solvable] = grids.mean(axis=1)
    entered = occupancy > 0
    entered.reshape(n, -1)[solvable, where.start[solvable]] = True
    result = {name: np.zeros(n) for name in ("steps", "repeated", "success")}
    for name, values in (("steps", steps), ("repeated", repeated), ("success", success)):
        result[name][solvable] = values.reshape(shape).mean(axis=1)
    reachable = np.maximum(where.reachable.sum(axis=(1, 2)), 1)
    explored = np.where(where.distance > 0, (entered & where.reachable).sum(axis=(1, 2)) / reachable, 0.0)
    return Walks(result["steps"], result["repeated"], explored, result["success"], occupancy)


def _act(
    position: IntArray,
    direction: IntArray,
    target: IntArray,
    base: IntArray,
    blocked: BoolArray,
    visits: npt.NDArray[np.int32],
    offsets: IntArray,
    pitch: int,
    bits: npt.NDArray[np.uint64],
    noise: float,
    habits: tuple[float, float, float],
) -> IntArray:
    """The explorer's action int64[k] in each episode; see :func:`explore`."""
    ways = (direction[:, None] + np.array([0, 3, 1, 2])) % 4  # ahead, left, right, back
    cells = base[:, None] + position[:, None] + offsets[ways]
    visit, turn, away = habits
    cost = visit * visits[cells] + turn * np.array([0, 1, 1, 2])
    cost = cost + ((bits[:, None] >> np.array([0, 8, 16, 24], np.uint64)) & np.uint64(255)) / 512  # breaks ties
    rows, columns = target // pitch - position // pitch, target % pitch - position % pitch
    along, across = _STEPS[direction][:, 0], _STEPS[direction][:, 1]
    depth, side = rows * along + columns * across, columns * along - rows * across
    seen = (depth >= 0) & (depth < VIEW) & (np.abs(side) <= VIEW // 2)
    nearer = rows[:, None] * _STEPS[ways][..., 0] + columns[:, None] * _STEPS[ways][..., 1] > 0
    cost += away * (seen[:, None] & ~nearer)
    way = np.where(blocked[cells], np.inf, cost).argmin(axis=1)
    action = np.array([FORWARD, LEFT, RIGHT, LEFT])[way]
    chance = hashed(bits)
    by_chance = uniform(chance) < noise
    return np.where(by_chance, ((chance >> np.uint64(3)) % np.uint64(3)).astype(np.int64), action)


@dataclass(frozen=True)
class Mazes:
    """The maze problem: solutions are walls, and the objective is 1 where start and goal are connected, else 0.

    The defaults are the published sizes; :func:`small_mazes` has fewer cells and episodes.

    Attributes:
        side: free and wall cells along each side; a wall surrounds them.
        episodes: per evaluation.
        measures: ``walls``: number of them; ``path``: actions of an episode; ``repeated``: those after which the agent
            is where it was before; ``explored``: share of reachable cells that it entered.
        dims, ranges, coarse: the archive, and the grid for downsampling.
        noise: probability that the explorer acts at random.
        habits: of the explorer, see :func:`explore`.
        batch_size, emitter_count: of the emitters.
        mutations: cells that a mutation draws anew.
    """

    side: int = 16
    episodes: int = 50
    measures: tuple[Measure, Measure] = ("walls", "path")
    dims: tuple[int, int] = (256, 162)
    ranges: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 256.0), (0.0, 648.0))
    coarse: tuple[int, int] = (32, 27)
    noise: float = 0.05
    habits: tuple[float, float, float] = HABITS
    batch_size: int = 30
    emitter_count: int = 5
    mutations: int = 10

    tiles = 2
    dtype = np.int8

    @property
    def solution_dim(self) -> int:
        """Cells of a maze."""
        return self.side**2

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.side, self.side

    @property
    def max_steps(self) -> int:
        """Actions after which an episode ends: twice the cells, surrounding walls included."""
        return 2 * (self.side + 2) ** 2

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """As described by :class:`Problem`: each cell is a wall with probability 1/2."""
        return rng.integers(2, size=(n, self.solution_dim), dtype=np.int8)

    def levels(self, solutions: Array) -> npt.NDArray[np.int8]:
        """As described by :class:`Problem`: 0 is free, 1 a wall."""
        return np.asarray(solutions, np.int8).reshape(-1, self.side, self.side)

    def evaluate(self, solutions: Array, seeds: IntArray) -> Evaluation:
        """As described by :class:`Problem`."""
        walls = self.levels(solutions)
        where = ends(walls)
        walks = explore(
            walls,
            where,
            np.asarray(seeds),
            episodes=self.episodes,
            max_steps=self.max_steps,
            noise=self.noise,
            habits=self.habits,
        )
        known = {
            "walls": walls.sum(axis=(1, 2)).astype(np.float64),
            "path": walks.steps,
            "repeated": walks.repeated,
            "explored": walks.explored,
        }
        return Evaluation(
            (where.distance > 0).astype(np.float64),
            np.stack([known[name] for name in self.measures], axis=1),
            walks.occupancy,
            np.zeros(len(walls), np.bool_),
        )

    def emitters(self, seeds: Sequence[int]) -> list[Emitter]:
        """As described by :class:`Problem`: MAP-Elites."""
        return [
            IntegerMutationEmitter(self.solution_dim, 2, self.batch_size, seed, mutations=self.mutations)
            for seed in seeds
        ]


#: Cells of the published archives along each measure, for 16 × 16 cells; and of the grids for downsampling.
_MAZE_MEASURES: Final[dict[str, tuple[int, tuple[float, float], int]]] = {
    "walls": (256, (0.0, 256.0), 32),
    "path": (162, (0.0, 648.0), 27),
    "repeated": (162, (0.0, 648.0), 27),
    "explored": (100, (0.0, 1.0), 25),
}
#: The same for 8 × 8 cells, whose episodes have at most 200 actions.
_SMALL_MEASURES: Final[dict[str, tuple[int, tuple[float, float], int]]] = {
    "walls": (64, (0.0, 64.0), 16),
    "path": (40, (0.0, 200.0), 10),
    "repeated": (40, (0.0, 200.0), 10),
    "explored": (40, (0.0, 1.0), 10),
}


def mazes(first: Measure = "walls", second: Measure = "path") -> Mazes:
    """Mazes of 16 × 16 cells in the published sizes, with two of the measures."""
    chosen = [_MAZE_MEASURES[name] for name in (first, second)]
    return Mazes(
        measures=(first, second),
        dims=(chosen[0][0], chosen[1][0]),
        ranges=(chosen[0][1], chosen[1][1]),
        coarse=(chosen[0][2], chosen[1][2]),
    )


def small_mazes(first: Measure = "walls", second: Measure = "path") -> Mazes:
    """Mazes of 8 × 8 cells and 8 episodes, for two cores of a CPU."""
    chosen = [_SMALL_MEASURES[name] for name in (first, second)]
    return Mazes(
        side=8,
        episodes=8,
        measures=(first, second),
        dims=(chosen[0][0], chosen[1][0]),
        ranges=(chosen[0][1], chosen[1][1]),
        coarse=(chosen[0][2], chosen[1][2]),
        batch_size=30,
        emitter_count=2,
        mutations=5,
    )
