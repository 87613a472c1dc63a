"""Mazes: ends beside scipy's shortest paths, and what the explorer does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import shortest_path

from discoenv.kits.quality_diversity.mazes import HABITS, Mazes, ends, explore, mazes, small_mazes


def scipys(walls: Any) -> tuple[int, int, int, Any]:
    """Longest finite shortest path, its first pair of cells, and what can be reached from the start."""
    height, width = walls.shape
    free = walls == 0
    number = np.arange(height * width).reshape(height, width)
    pairs = [
        np.stack([a[f & g], b[f & g]])
        for a, b, f, g in (
            (number[1:], number[:-1], free[1:], free[:-1]),
            (number[:, 1:], number[:, :-1], free[:, 1:], free[:, :-1]),
        )
    ]
    rows, columns = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(number.size, number.size))
    distance = shortest_path(graph.tocsr(), directed=False, unweighted=True)
    distance[~np.isfinite(distance)] = -1
    start, goal = np.unravel_index(distance.argmax(), distance.shape)
    reachable = (distance[start] >= 0).reshape(height, width) & free
    return int(distance.max()), int(start), int(goal), reachable


@pytest.mark.parametrize("shape", [(16, 16), (8, 8), (5, 9), (1, 3)])
def test_ends_are_those_of_scipys_shortest_paths(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    walls = (rng.random((25, *shape)) < np.linspace(0, 0.8, 25)[:, None, None]).astype(np.int8)
    found = ends(walls)
    for number, each in enumerate(walls):
        distance, start, goal, reachable = scipys(each)
        assert found.distance[number] == distance
        if distance:
            assert (found.start[number], found.goal[number]) == (start, goal)
            np.testing.assert_array_equal(found.reachable[number], reachable)


def test_a_snake_is_as_long_as_it_is() -> None:
    walls = np.zeros((1, 5, 5), np.int8)
    walls[0, 1, :4] = walls[0, 3, 1:] = 1
    found = ends(walls)
    assert (found.distance[0], found.start[0], found.goal[0]) == (16, 0, 24)


@pytest.mark.parametrize("walls", [np.ones((1, 4, 4)), 1 - np.eye(4)[None]])
def test_a_maze_without_two_connected_cells_is_not_solvable(walls: Any) -> None:
    problem = Mazes(side=4)
    evaluation = problem.evaluate(walls.reshape(1, 16).astype(np.int8), np.zeros(1, np.int64))
    assert evaluation.objectives.tolist() == [0.0]
    assert evaluation.measures.tolist() == [[walls.sum(), 0.0]]
    assert not evaluation.occupancy.any()


def test_an_evaluation_depends_on_its_maze_and_seed_alone() -> None:
    problem, rng = small_mazes("repeated", "explored"), np.random.default_rng(0)
    x, seeds = (rng.random((20, 64)) < 0.3).astype(np.int8), np.arange(20)
    all_, some = problem.evaluate(x, seeds), problem.evaluate(x[[3, 11]], seeds[[3, 11]])
    np.testing.assert_array_equal(all_.measures[[3, 11]], some.measures)
    np.testing.assert_array_equal(all_.occupancy[[3, 11]], some.occupancy)
    other = problem.evaluate(x[[3, 11]], np.array([100, 101]))
    assert (other.measures != some.measures).any()


def test_what_is_measured_agrees() -> None:
    problem, rng = small_mazes(), np.random.default_rng(1)
    walls = problem.levels((rng.random((40, 64)) < 0.3).astype(np.int8))
    where = ends(walls)
    walks = explore(walls, where, np.arange(40), episodes=8, max_steps=problem.max_steps)
    np.testing.assert_allclose(walks.occupancy.sum(axis=(1, 2)), walks.steps, rtol=1e-5)
    assert (walks.occupancy[walls == 1] == 0).all()
    assert (walks.occupancy[~where.reachable] == 0).all()
    solvable = where.distance > 0
    assert (walks.steps[solvable] >= where.distance[solvable]).all()
    assert (walks.steps <= problem.max_steps).all()
    assert (walks.repeated < walks.steps + (~solvable)).all()
    assert ((walks.explored > 0) == solvable).all()
    assert walks.explored.max() <= 1
    assert walks.success[solvable].mean() > 0.95


def test_without_noise_a_corridor_is_walked_straight() -> None:
    walls = np.ones((1, 3, 7), np.int8)
    walls[0, 1] = 0
    walks = explore(walls, ends(walls), np.array([5]), episodes=200, max_steps=100, noise=0.0)
    # Six steps, and as many quarter turns as the first direction asks for: 0, 1, 1 or 2, so 1 on average.
    assert 6.85 < walks.steps[0] < 7.15
    assert walks.success[0] == 1
    np.testing.assert_allclose(walks.occupancy[0, 1, 1:], 1)
    np.testing.assert_allclose(walks.repeated, walks.steps - 6)
    assert walks.explored[0] == 1


def test_an_explorer_whose_habit_is_not_to_mind_visits_repeats_more_of_them() -> None:
    solutions = (np.random.default_rng(0).random((60, 64)) < 0.3).astype(np.int8)
    problems = [replace(small_mazes("walls", "repeated"), habits=habits) for habits in (HABITS, (0.25, 1.0, 3.0))]
    usual, careless = (each.evaluate(solutions, np.arange(60)).measures[:, 1].mean() for each in problems)
    assert careless > 1.2 * usual


def test_published_sizes() -> None:
    problem = mazes()
    assert (problem.max_steps, problem.solution_dim, int(np.prod(problem.dims))) == (648, 256, 41_472)
    assert [fine // coarse for fine, coarse in zip(problem.dims, problem.coarse, strict=True)] == [8, 6]
