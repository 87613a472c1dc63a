"""Modes: which levels agents meet, how long they live, and what agents are made of."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np

from . import mazes
from .gridworld import MOVES, GridWorld, Level, free_cells, move
from .optimisers import Adam, Optimiser, Sgd


@dataclass(frozen=True)
class AgentDesign:
    """What agents of a mode are made of.

    Attributes:
        hidden: widths of the hidden layers of all networks; none: tables.
        actor, critic, value: optimisers; the critic makes the predictions y, and the value function serves the outer
            loss and the A2C agent.
    """

    hidden: tuple[int, ...]
    actor: Optimiser
    critic: Optimiser
    value: Optimiser


#: Tables, and a hidden layer for modes whose objects move.
TABLES: Final = AgentDesign((), Sgd(40), Sgd(4), Sgd(4))
LAYERS: Final = AgentDesign((32,), Adam(1e-3), Adam(1e-3), Adam(1e-3))


@dataclass(frozen=True)
class Mode:
    """A distribution of levels and lifetimes.

    Attributes:
        name: by which :func:`mode` finds it.
        world: the rules, an environment for W workers.
        sample: draws a level; it can be compiled and vectorised.
        lifetime: shortest and longest lifetime, in updates of the agent; drawn log-uniformly.
        max_steps: length of the longest episodes.
        agent: what agents are made of.
    """

    name: str
    world: Any
    sample: Callable[[jax.Array], Any]
    lifetime: tuple[int, int]
    max_steps: int
    agent: AgentDesign

    def sample_lifetime(self, key: jax.Array) -> jax.Array:
        """A lifetime, int32 ``[]``."""
        return log_uniform_int(key, *self.lifetime)

    def living(self, shortest: int, longest: int | None = None) -> Mode:
        """The same mode with other lifetimes.

        Raises:
            ValueError: the longest is shorter than the shortest, or one is less than 1.
        """
        longest = shortest if longest is None else longest
        if not 1 <= shortest <= longest:
            raise ValueError(
                f"lifetimes from {shortest} to {longest}: the first must be at least 1, the second not less"
            )
        return replace(self, lifetime=(shortest, longest))


def log_uniform_int(key: jax.Array, low: int, high: int, shape: Sequence[int] = ()) -> jax.Array:
    """Whole numbers from ``low`` to ``high``, whose logarithm is uniform; int32."""
    drawn = jax.random.uniform(key, shape, minval=jnp.log(low), maxval=jnp.log(high + 1))
    return jnp.floor(jnp.exp(drawn)).astype(jnp.int32).clip(low, high)


def reachable(level: Level, least: int) -> Level:
    """The level with all cells walled up that do not belong to its largest connected part.

    So nothing is ever put where the agent cannot go. If that part has fewer than ``least`` cells, there are no walls.
    """
    free = free_cells(level)
    cells = jnp.arange(free.size)
    neighbours = jnp.where(free[:, None], move(level, cells[:, None], jnp.arange(len(MOVES))), cells[:, None])

    def spread(labels: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return labels[1], labels[1][neighbours].min(1)

    start = (jnp.full_like(cells, -1), cells)
    _, labels = jax.lax.while_loop(lambda labels: (labels[0] != labels[1]).any(), spread, start)
    sizes = jnp.zeros_like(cells).at[labels].add(free)
    part = free & (labels == sizes.argmax())
    inside = cells < level.grid_size**2
    return level._replace(walls=inside & ~part & (sizes.max() >= least))


def place(key: jax.Array, level: Level) -> Level:
    """The level with start and objects in random free cells, all different."""
    noise = jnp.where(free_cells(level), jax.random.uniform(key, level.walls.shape), 2)
    cells = (_rank(noise) == jnp.arange(len(level.types) + 1)[:, None]).argmax(1)
    return level._replace(start=cells[0], cells=cells[1:])


def _rank(x: jax.Array) -> jax.Array:
    """For each number the number of those that come before it in order, ``[C]``; compiles faster than sorting."""
    i = jnp.arange(x.size)
    return ((x < x[:, None]) | ((x == x[:, None]) & (i < i[:, None]))).sum(1)


# --- levels that are given, but for where things are ------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """A level of which only start and cells of objects are drawn; see :class:`~.gridworld.Level`.

    ``walls`` are cells; ``types`` are those of the objects, in their order.
    """

    max_steps: int
    types: tuple[int, ...]
    rewards: tuple[float, ...]
    p_terminate: tuple[float, ...]
    p_respawn: tuple[float, ...]
    size: int
    walls: tuple[int, ...] = ()

    def template(self, size: int, objects: int, types: int) -> Level:
        """Arrays for worlds of this or a larger size; what is added is not used."""
        walls = np.zeros(size**2, bool)
        walls[list(self.walls)] = True

        def padded(values: Sequence[float], length: int) -> jax.Array:
            return jnp.asarray(np.pad(np.asarray(values), (0, length - len(values))))

        return Level(
            max_steps=jnp.int32(self.max_steps),
            grid_size=jnp.int32(self.size),
            n_objects=jnp.int32(len(self.types)),
            walls=jnp.asarray(walls),
            start=jnp.int32(0),
            cells=jnp.zeros(objects, jnp.int32),
            types=padded(self.types, objects),
            rewards=padded(self.rewards, types).astype(float),
            p_terminate=padded(self.p_terminate, types).astype(float),
            p_respawn=padded(self.p_respawn, types).astype(float),
        )


def _column(size: int, column: int, doors: Sequence[int]) -> tuple[int, ...]:
    return tuple(row * size + column for row in range(size) if row not in doors)


def _row(size: int, row: int, doors: Sequence[int]) -> tuple[int, ...]:
    return tuple(row * size + column for column in range(size) if column not in doors)


#: The five levels that LPG was tested on (Oh et al., 2020).
TABULAR: Final[Mapping[str, Given]] = {
    "dense": Given(500, (0, 0, 1, 2), (1, -1, -1), (0, 0.5, 0), (0.05, 0.1, 0.5), 11),
    "sparse": Given(50, (0, 1), (1, -1), (1, 1), (0, 0), 13),
    "long": Given(1000, (0, 0, 1, 1), (1, -1), (0, 0.5), (0.01, 1), 11),
    "longer": Given(2000, (0, 0, 1, 1, 1), (1, -1), (0.1, 0.8), (0.01, 1), 9, _column(9, 4, (1, 7))),
    "long_dense": Given(
        2000, (0, 0, 0, 0), (1,), (0,), (0.005,), 11, tuple({*_column(11, 5, (0, 7)), *_row(11, 4, (2, 8))})
    ),
}
#: Levels whose objects move.
MOVING: Final[Mapping[str, Given]] = {
    "rand_dense": TABULAR["dense"],
    "rand_long": TABULAR["long"],
    "rand_small": Given(500, (0, 0, 1, 1), (1, -1), (0, 0.5), (0.05, 0.1), 7, (9, 25)),
    "rand_sparse": Given(50, (0, 1, 1), (1, -1), (1, 1), (1, 1), 7),
    "rand_very_dense": Given(2000, (0,), (1,), (0,), (1,), 11),
    "rand_tiny": Given(50, (0, 1), (1, -1), (1, 1), (0, 0), 3),
}


def _given(name: str, levels: Sequence[Given], lifetime: int, moving: bool = False) -> Mode:
    """A mode that draws one of several given levels."""
    size, objects = max(level.size for level in levels), max(len(level.types) for level in levels)
    types = max(len(level.rewards) for level in levels)
    templates = [level.template(size, objects, types) for level in levels]

    def sample(key: jax.Array) -> Level:
        which, where = jax.random.split(key)
        i = jax.random.randint(which, (), 0, len(templates))
        return place(where, jax.tree.map(lambda *x: jnp.stack(x)[i], *templates))

    world = GridWorld(size, objects, types, moving)
    longest = max(level.max_steps for level in levels)
    return Mode(name, world, sample, (lifetime, lifetime), longest, LAYERS if moving else TABLES)


# --- levels that are drawn --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """Ranges from which levels are drawn.

    Attributes:
        max_steps: log-uniform.
        objects: number of types and largest number of objects; each object has a type of itself.
        n_objects, size: uniform.
        walls: share of the cells of a level.
    """

    max_steps: tuple[int, int]
    objects: int
    n_objects: tuple[int, int]
    size: tuple[int, int]
    walls: float

    def sample(self, key: jax.Array) -> Level:
        """A level; all of its free cells are connected."""
        keys = jax.random.split(key, 7)
        size = jax.random.randint(keys[0], (), self.size[0], self.size[1] + 1)
        noise = jax.random.uniform(keys[1], (self.size[1] ** 2,))
        noise = jnp.where(jnp.arange(noise.size) < size**2, noise, 2)
        level = Level(
            max_steps=log_uniform_int(keys[2], *self.max_steps),
            grid_size=size,
            n_objects=jax.random.randint(keys[3], (), self.n_objects[0], self.n_objects[1] + 1),
            walls=_rank(noise) < jnp.round(self.walls * size**2),
            start=jnp.int32(0),
            cells=jnp.zeros(self.objects, jnp.int32),
            types=jnp.arange(self.objects),
            **_draw_objects(keys[4], self.objects, positive=1),
        )
        return place(keys[5], reachable(level, self.objects + 1))


def _draw_objects(key: jax.Array, types: int, positive: int) -> dict[str, jax.Array]:
    """Rewards, positive for the first types and of both signs for the others, and probabilities of all types."""
    reward, terminate, respawn = jax.random.split(key, 3)
    lowest = jnp.where(jnp.arange(types) < positive, 0.0, -1.0)
    return {
        "rewards": lowest + (1 - lowest) * jax.random.uniform(reward, (types,)),
        "p_terminate": 10 ** jax.random.uniform(terminate, (types,), minval=-2, maxval=0),
        "p_respawn": 10 ** jax.random.uniform(respawn, (types,), minval=-3, maxval=-1),
    }


SMALL: Final = Drawn((20, 100), 3, (1, 3), (4, 6), 7 / 36)
MEDIUM: Final = Drawn((100, 250), 4, (2, 4), (6, 8), 10 / 64)
LARGE: Final = Drawn((250, 750), 5, (2, 5), (8, 10), 15 / 100)
ALL: Final = Drawn((20, 750), 5, (1, 5), (4, 10), 15 / 100)
DEBUG: Final = Drawn((5, 10), 2, (1, 2), (3, 4), 4 / 16)
#: Ranges, and shortest and longest lifetime, of the modes that draw levels.
DRAWN: Final[Mapping[str, tuple[Drawn, tuple[int, int]]]] = {
    "small": (SMALL, (250, 250)),
    "medium": (MEDIUM, (1000, 1000)),
    "large": (LARGE, (2500, 2500)),
    "all": (ALL, (1000, 1000)),
    "all_shortlife": (ALL, (250, 250)),
    "all_randlife": (ALL, (50, 250)),
    "all_vrandlife": (ALL, (10, 250)),
    "rand_all": (ALL, (25000, 25000)),
    "debug": (DEBUG, (4, 4)),
}


def _drawn(name: str) -> Mode:
    ranges, lifetime = DRAWN[name]
    moving = name.startswith("rand_")
    world = GridWorld(ranges.size[1], ranges.objects, ranges.objects, moving)
    return Mode(name, world, ranges.sample, lifetime, ranges.max_steps[1], LAYERS if moving else TABLES)


def _maze(name: str, drawings: Sequence[str]) -> Mode:
    """A mode that draws one of several mazes, with three objects that are all good."""
    walls = np.stack([mazes.walls(drawing) for drawing in drawings])
    objects = 3

    def sample(key: jax.Array) -> Level:
        keys = jax.random.split(key, 4)
        level = Level(
            max_steps=log_uniform_int(keys[0], 25, 50),
            grid_size=jnp.int32(mazes.SIZE),
            n_objects=jnp.int32(objects),
            walls=jnp.asarray(walls)[jax.random.randint(keys[1], (), 0, len(walls))],
            start=jnp.int32(0),
            cells=jnp.zeros(objects, jnp.int32),
            types=jnp.arange(objects),
            **_draw_objects(keys[2], objects, positive=objects),
        )
        return place(keys[3], level)

    return Mode(name, GridWorld(mazes.SIZE, objects, objects), sample, (2500, 2500), 50, TABLES)


#: Names of all modes of grid worlds.
MODES: Final = ("tabular", *TABULAR, *MOVING, *DRAWN, "mazes", *mazes.DRAWINGS)


def mode(name: str) -> Mode:
    """A mode of grid worlds.

    Raises:
        ValueError: there is none of that name; the message names the nearest.
    """
    if name == "tabular":
        return _given(name, list(TABULAR.values()), 2500)
    if name in TABULAR:
        return _given(name, [TABULAR[name]], 2500)
    if name in MOVING:
        return _given(name, [MOVING[name]], 250 if name == "rand_tiny" else 25000, moving=True)
    if name in DRAWN:
        return _drawn(name)
    if name == "mazes":
        return _maze(name, list(mazes.DRAWINGS))
    if name in mazes.DRAWINGS:
        return _maze(name, [name])
    near = difflib.get_close_matches(name, MODES, 3, 0)
    raise ValueError(f"there is no mode {name!r}: perhaps {', '.join(near)}? All: {', '.join(MODES)}")
