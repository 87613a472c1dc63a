"""The platformer: its rules, A* beside an exhaustive search, levels of the grammar, and the generator."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest

from discoenv.kits.quality_diversity import generator as generators
from discoenv.kits.quality_diversity.grammar import HEIGHT, WIDTH, sample
from discoenv.kits.quality_diversity.platformer import (
    _MOVES,
    RISE,
    SOLID,
    TILES,
    WALKER,
    World,
    phases_of,
    plan,
    step,
)
from discoenv.kits.quality_diversity.platformer_problem import Platformers, small_platformers

SYMBOLS = " #B|oW"


def level(*rows: str) -> Any:
    return np.array([[SYMBOLS.index(c) for c in row] for row in rows], np.int8)


def ticks_by_breadth(world: World, most: int = 60) -> int | None:
    """The fewest ticks to the last column, by trying everything."""
    queue = deque([(*world.start, 0, 0, (1 << len(world.walkers)) - 1)])
    seen = set(queue)
    while queue:
        state = queue.popleft()
        if state[1] == world.width - 1:
            return state[3]
        for move in _MOVES if state[3] < most else ():
            result = step(world, state, move)
            if result is not None and result[0] not in seen:
                seen.add(result[0])
                queue.append(result[0])
    return None


def test_on_flat_ground_it_runs_without_jumping() -> None:
    found = plan(World(level("      ", "      ", "######")))
    assert (found.completed, found.jumps, found.kills) == (1.0, 0, 0)
    assert found.path == [(1, column) for column in range(6)]


@pytest.mark.parametrize(("high", "solved"), [(1, True), (RISE, True), (RISE + 1, False)])
def test_a_jump_is_so_many_rows_high(high: int, solved: bool) -> None:
    rows = 8
    world = np.zeros((rows, 8), np.int8)
    world[-1] = 1
    world[rows - 1 - high :, 4:] = 1
    found = plan(World(world))
    assert (found.completed == 1.0) == solved
    assert (found.jumps == 1) == solved
    if not solved:
        assert found.completed == pytest.approx(3 / 7)


@pytest.mark.parametrize(("wide", "solved"), [(1, True), (7, True), (8, False)])
def test_a_jump_is_so_many_columns_wide(wide: int, solved: bool) -> None:
    """Up for RISE ticks, down for as many, the first tick above the last ground: 2 · RISE − 1 columns between."""
    world = np.zeros((12, wide + 6), np.int8)
    world[-2:, :3] = world[-2:, -3:] = 1
    found = plan(World(world))
    assert (found.completed == 1.0) == solved


def test_a_walker_turns_at_edges_and_walls() -> None:
    world = World(level("         ", "#  W     ", "######   "))
    columns = [world.walkers_at(tick)[0][1] for tick in range(0, 24, 2)]
    assert columns == [3, 2, 1, 2, 3, 4, 5, 4, 3, 2, 1, 2]
    falling = World(level(" W ", "   ", "###"))
    assert {row for row, _ in (falling.walkers_at(t)[0] for t in range(9))} == {1}


def test_to_meet_a_walker_is_the_end_and_to_fall_on_it_is_not() -> None:
    world = World(level("     ", "     ", "  W  ", "#####"))
    world.phases = [0]
    at = world.walkers_at(1)[0]
    assert step(world, (at[0], at[1] - 1, 0, 0, 1), (1, False)) is None
    result = step(world, (at[0] - 1, at[1], 0, 0, 1), (0, False))
    assert result is not None
    state, jumps, removed = result
    assert (state[4], jumps, removed) == (0, False, 1)
    assert step(world, (at[0], at[1] - 1, 0, 0, 0), (1, False)) is not None  # it is gone


def test_to_fall_out_of_the_level_is_the_end() -> None:
    world = World(level("   ", "#  "))
    assert step(world, (1, 1, 0, 0, 0), (0, False)) is None


@pytest.mark.parametrize("seed", range(12))
def test_a_star_is_as_quick_as_an_exhaustive_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tiles = (rng.random((6, 10)) < 0.2).astype(np.int8)
    tiles[-1] = rng.random(10) < 0.8
    tiles[-1, 0] = 1
    tiles[:-1, 0] = 0
    tiles[-2][(tiles[-2] == 0) & (tiles[-1] == 1) & (rng.random(10) < 0.15)] = WALKER
    tiles[-2, 0] = 0
    world = World(tiles, phases_of(seed, 0, 10))
    found, best = plan(world, nodes=10**6, ticks=60), ticks_by_breadth(world)
    assert (found.completed == 1.0) == (best is not None)
    if best is not None:
        assert len(found.path) - 1 == best


def test_a_star_solves_every_level_of_the_grammar() -> None:
    rng = np.random.default_rng(0)
    for number in range(500):
        tiles = sample(rng)
        assert tiles.shape == (HEIGHT, WIDTH)
        world = World(tiles)
        world.phases = phases_of(number, 0, len(world.walkers))
        found = plan(world, nodes=Platformers().nodes)
        assert found.completed == 1.0, f"level {number}"
        assert not any(tiles[row, column] in SOLID for row, column in found.path)


def test_the_generator_in_numpy_equals_the_one_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    from discoenv.kits.quality_diversity.generator_training import Decoder

    torch.manual_seed(0)
    decoder = Decoder(8)
    weights = {name: x.detach().numpy() for name, x in decoder.state_dict().items()}
    assert {name: x.shape for name, x in weights.items()} == generators.layer_shapes(8)
    z = np.random.default_rng(0).normal(size=(3, generators.LATENT))
    theirs = decoder(torch.as_tensor(z, dtype=torch.float32)).detach().numpy()
    ours = generators.Generator(weights).logits(z * generators.SIGMA)
    np.testing.assert_allclose(ours, theirs.reshape(3, HEIGHT, TILES, WIDTH).transpose(0, 1, 3, 2), atol=1e-5)


def test_generated_levels_differ_and_have_all_tiles() -> None:
    problem = Platformers()
    levels = problem.levels(problem.draw(60, np.random.default_rng(0)))
    assert levels.shape == (60, 16, 56)
    assert set(np.unique(levels)) == set(range(TILES))
    assert len({each.tobytes() for each in levels}) > 50


def test_an_evaluation_depends_on_its_level_and_seed_alone() -> None:
    problem, rng = small_platformers("jumps", "kills"), np.random.default_rng(0)
    x, seeds = problem.draw(12, rng), np.arange(12)
    all_, some = problem.evaluate(x, seeds), problem.evaluate(x[[2, 7]], seeds[[2, 7]])
    np.testing.assert_array_equal(all_.measures[[2, 7]], some.measures)
    np.testing.assert_array_equal(all_.occupancy[[2, 7]], some.occupancy)
    assert all_.occupancy.shape == (12, 14, 28)
    assert (all_.objectives >= 0).all()
    assert all_.objectives.max() == 1
