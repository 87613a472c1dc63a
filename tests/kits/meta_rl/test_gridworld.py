"""Grid worlds: what a step does, and expected returns."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from discoenv.kits.meta_rl.gridworld import GridWorld, Level, State, move, optimal_return, random_return
from discoenv.kits.meta_rl.modes import mode
from discoenv.kits.meta_rl.rollouts import episode_returns

STEP = jax.jit(GridWorld.step, static_argnums=0)
UP, DOWN, LEFT, RIGHT, STAY = range(5)


def level(**changes: Any) -> Level:
    """3 by 3 cells of at most 4 by 4; start in the upper left; objects of two types in cells 1 and 8."""
    given = {
        "max_steps": 10, "grid_size": 3, "n_objects": 2, "walls": np.zeros(16, bool), "start": 0, "cells": [1, 8],
        "types": [0, 1], "rewards": [1.0, -0.5], "p_terminate": [0.0, 1.0], "p_respawn": [1.0, 0.0],
    } | changes  # fmt: skip
    return Level(**{name: jnp.asarray(x) for name, x in given.items()})


def played(world: GridWorld, of: Level, actions: list[int]) -> list[tuple[State, float, bool]]:
    """State, reward and end after each action of one worker."""
    states, out = world.reset(jax.random.key(0), of, 1), []
    for t, action in enumerate(actions):
        states, reward, done = STEP(world, jax.random.key(t), states, jnp.array([action]), of)
        out.append((jax.tree.map(lambda x: x[0], states), float(reward[0]), bool(done[0])))
    return out


def test_walls_and_borders_stop_the_agent() -> None:
    walls = np.zeros(16, bool)
    walls[4] = True
    of = level(walls=walls)
    assert [int(move(of, jnp.int32(1), jnp.int32(a))) for a in range(5)] == [1, 1, 0, 2, 1]
    assert [int(move(of, jnp.int32(8), jnp.int32(a))) for a in range(5)] == [5, 8, 7, 8, 8]


def test_what_was_collected_is_gone_for_a_step_and_comes_back() -> None:
    steps = played(GridWorld(4, 2, 2), level(), [RIGHT, STAY, STAY])
    assert [reward for _, reward, _ in steps] == [1, 0, 1]
    assert [bool(state.exists[0]) for state, *_ in steps] == [False, True, False]


def test_an_ending_object_ends_the_episode_and_the_next_one_begins() -> None:
    *_, (state, reward, done) = played(GridWorld(4, 2, 2), level(), [DOWN, DOWN, RIGHT, RIGHT])
    assert (reward, done) == (-0.5, True)
    assert (int(state.time), int(state.cell)) == (0, 0)
    assert state.exists.all()


def test_an_episode_ends_after_its_last_step() -> None:
    ended = [done for *_, done in played(GridWorld(4, 2, 2), level(max_steps=3), [STAY] * 6)]
    assert ended == [False, False, True] * 2


def test_objects_beyond_the_number_of_a_level_never_exist() -> None:
    steps = played(GridWorld(4, 2, 2), level(n_objects=1, p_respawn=[1.0, 1.0]), [STAY, STAY])
    assert not any(bool(state.exists[1]) for state, *_ in steps)


def test_moving_objects_appear_only_in_free_cells() -> None:
    walls = np.zeros(16, bool)
    walls[[4, 6]] = True
    of, world = (
        level(walls=walls, p_respawn=[1.0, 1.0], p_terminate=[0.0, 0.0], max_steps=1000),
        GridWorld(4, 2, 2, True),
    )
    states, seen = world.reset(jax.random.key(1), of, 64), set()
    for t in range(30):
        cells, exists = np.asarray(states.cells), np.asarray(states.exists)
        assert (cells < 9).all()
        assert not walls[cells].any()
        assert (cells[:, 0] != cells[:, 1])[exists.all(1)].all()
        seen |= set(cells.ravel().tolist())
        actions = jax.random.randint(jax.random.key(100 + t), (64,), 0, 5)
        states, *_ = STEP(world, jax.random.key(t), states, actions, of)
        appeared = np.asarray(states.exists) & ~exists
        assert (np.asarray(states.cells) != np.asarray(states.cell)[:, None])[appeared].all()
    assert seen == {0, 1, 2, 3, 5, 7, 8}
    planes = world.observe(states, of)
    assert planes.shape == (64, world.observation_size)
    np.testing.assert_array_equal(planes[:, :-1].sum(1), 1 + np.asarray(states.exists).sum(1))


def test_expected_returns_are_those_of_episodes() -> None:
    world, of = GridWorld(4, 2, 2), level(p_respawn=[0.3, 0.1], p_terminate=[0.2, 1.0], rewards=[1.0, 0.5])
    uniform = [{"w": jnp.zeros((world.observation_size, 5))}]
    returns = jax.jit(lambda key: episode_returns(key, world, uniform, of, 4000, 10))(jax.random.key(0))
    expected = float(jax.jit(random_return, static_argnums=0)(world, of))
    assert abs(float(returns.mean()) - expected) < 4 * float(returns.std()) / 4000**0.5
    assert float(jax.jit(optimal_return, static_argnums=0)(world, of)) > expected


def test_moving_objects_have_no_table() -> None:
    with pytest.raises(ValueError, match="compare with an agent"):
        optimal_return(GridWorld(4, 2, 2, True), level())


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("small", 289),
        ("medium", 1025),
        ("large", 3201),
        ("all", 3201),
        ("tabular", 5409),
        ("mazes", 1353),
        ("debug", 65),
    ],
)
def test_observations_are_as_long_as_the_published_ones(name: str, size: int) -> None:
    assert mode(name).world.observation_size == size
