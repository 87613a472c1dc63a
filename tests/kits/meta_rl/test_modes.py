"""Modes: their levels are valid, and as described."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from discoenv.kits.meta_rl import mazes
from discoenv.kits.meta_rl.gridworld import Level
from discoenv.kits.meta_rl.modes import DRAWN, MODES, MOVING, TABULAR, log_uniform_int, mode, reachable

KINDS = ("tabular", "mazes", "small", "rand_sparse")


@functools.cache
def drawn(name: str) -> tuple[Level, Any]:
    """200 levels of a mode, and lifetimes."""
    chosen, keys = mode(name), jax.random.split(jax.random.key(0), 200)
    levels, lifetimes = jax.jit(jax.vmap(lambda key: (chosen.sample(key), chosen.sample_lifetime(key))))(keys)
    return Level(*map(np.asarray, levels)), np.asarray(lifetimes)


def reached(free: Any, size: int) -> set[int]:
    """Cells that can be reached from the first free one."""
    todo = [int(np.flatnonzero(free)[0])]
    seen = set(todo)
    while todo:
        row, column = divmod(todo.pop(), size)
        for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= r < size and 0 <= c < size and free[r * size + c] and r * size + c not in seen:
                seen.add(r * size + c)
                todo.append(r * size + c)
    return seen


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in KINDS else pytest.mark.slow) for name in MODES]
)
def test_every_level_can_be_played(name: str) -> None:
    chosen = mode(name)
    levels, lifetimes = drawn(name)
    assert lifetimes.min() >= chosen.lifetime[0]
    assert lifetimes.max() <= chosen.lifetime[1]
    for i in range(50):
        level = Level(*(x[i] for x in levels))
        size = int(level.grid_size)
        used = level.cells[: level.n_objects]
        free = ~level.walls[: size**2]
        assert 1 <= level.n_objects <= chosen.world.objects
        assert level.max_steps <= chosen.max_steps
        assert size <= chosen.world.size
        assert len({int(level.start), *used.tolist()}) == 1 + level.n_objects
        assert {int(level.start), *used.tolist()} <= reached(free, size) == set(np.flatnonzero(free).tolist())
        assert ((level.p_respawn >= 0) & (level.p_respawn <= 1)).all()
        if name in DRAWN:
            assert level.rewards[0] >= 0
            assert free.sum() >= size**2 - np.ceil(DRAWN[name][0].walls * size**2) - size


def test_small_levels_have_their_share_of_walls() -> None:
    levels, _ = drawn("small")
    for size in (4, 5, 6):
        of_size = levels.walls[levels.grid_size == size].sum(1)
        assert abs(float(of_size.mean()) - 7 / 36 * size**2) < 1


def test_cells_that_cannot_be_reached_become_walls() -> None:
    walls = np.zeros(16, bool)
    walls[[1, 4]] = True  # the upper left cell is cut off
    level = Level(*map(jnp.asarray, (9, 4, 1, walls, 0, [0], [0], [1.0], [0.0], [0.0])))
    np.testing.assert_array_equal(np.flatnonzero(jax.jit(reachable, static_argnums=1)(level, 2).walls), [0, 1, 4])
    assert not jax.jit(reachable, static_argnums=1)(level, 14).walls.any()


def test_given_levels_are_those_of_the_publication() -> None:
    assert [len(level.types) for level in TABULAR.values()] == [4, 2, 4, 5, 4]
    assert [len(level.walls) for level in TABULAR.values()] == [0, 0, 0, 7, 17]
    assert set(MOVING) == {"rand_dense", "rand_long", "rand_small", "rand_sparse", "rand_very_dense", "rand_tiny"}
    levels, _ = drawn("tabular")
    assert set(levels.max_steps.tolist()) == {500, 50, 1000, 2000}
    assert set(levels.grid_size.tolist()) == {9, 11, 13}


def test_mazes_are_connected_and_differ() -> None:
    drawings = {name: mazes.walls(name) for name in mazes.DRAWINGS}
    assert len({walls.tobytes() for walls in drawings.values()}) == 9
    for walls in drawings.values():
        assert walls.shape == (mazes.SIZE**2,)
        assert len(reached(~walls, mazes.SIZE)) == (~walls).sum()
    flipped = drawings["labyrinth"].reshape(13, 13)[:, ::-1]
    np.testing.assert_array_equal(drawings["labyrinth_flipped"].reshape(13, 13), flipped)


def test_lifetimes_are_log_uniform() -> None:
    drawn = np.asarray(log_uniform_int(jax.random.key(0), 10, 250, (20000,)))
    assert (drawn.min(), drawn.max()) == (10, 250)
    assert abs(np.mean(drawn <= 50) - np.log(51 / 10) / np.log(251 / 10)) < 0.02


def test_unknown_modes_and_lifetimes_are_refused() -> None:
    with pytest.raises(ValueError, match="all_shortlife"):
        mode("all_short")
    with pytest.raises(ValueError, match="at least 1"):
        mode("small").living(0)
