"""Held-out levels: solvable, not trivial, others in each exam."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discoenv.domains.UnsupervisedEnvironmentDesign import heldout
from discoenv.domains.UnsupervisedEnvironmentDesign.tests.conftest import DOMAIN, OFFLINE

pytest.importorskip("jax")
sparse = pytest.importorskip("scipy.sparse")
csgraph = pytest.importorskip("scipy.sparse.csgraph")


def drawn(dataset: str, seed: int, count: int = 80) -> dict[str, Any]:
    return heldout.make(DOMAIN.config(dataset, "small"), np.random.default_rng(seed), count)


def length(cells: Any, start: int, goal: int) -> float:
    """Steps of a shortest path by SciPy; inf if there is none."""
    size = len(cells)
    free = np.argwhere(cells == heldout.FREE)
    pairs = [
        (row * size + column, r * size + c)
        for row, column in free
        for r, c in ((row + 1, column), (row, column + 1))
        if r < size and c < size and cells[r, c] == heldout.FREE
    ]
    graph = sparse.coo_matrix((np.ones(len(pairs)), np.array(pairs).T), shape=(size * size,) * 2)
    return float(csgraph.shortest_path(graph.tocsr(), directed=False, unweighted=True, indices=start)[goal])


@pytest.mark.parametrize("dataset", [name for name in OFFLINE if name.startswith(("Mazes", "Grids"))])
def test_grids_can_be_solved_and_are_not_trivial(dataset: str) -> None:
    config, levels = DOMAIN.config(dataset, "small"), drawn(dataset, 0)
    size = config["SIZE"]
    assert sorted(set(levels["kind"])) == [0, 1, 2, 3]
    for number, cells in enumerate(levels["cells"]):
        start, goal, item = (int(levels[name][number]) for name in ("start", "goal", "item"))
        if config["ITEM"] == "box":
            assert size <= heldout.steps_to_push(cells, start, item, goal, 99) <= config["MAX_STEPS"] // 2
        elif config["ITEM"] == "key":
            assert 2 * size - 2 <= length(cells, start, item) + length(cells, item, goal) < config["MAX_STEPS"]
        else:
            apart = abs(start // size - goal // size) + abs(start % size - goal % size)
            assert max(size - 1, apart + 2) <= length(cells, start, goal) <= config["MAX_STEPS"], cells
    assert (levels["cells"] == heldout.LAVA).any() == bool(config["LAVA"])


def test_a_box_in_a_corner_cannot_be_pushed_out() -> None:
    cells = np.zeros((4, 4), int)
    assert heldout.steps_to_push(cells, 15, 0, 5, 60) == -1
    assert heldout.steps_to_push(cells, 4, 5, 7, 60) == 2  # it stands beside the box, two cells from the goal
    assert heldout.steps_to_push(cells, 4, 5, 7, 1) == -1


def test_courses_can_be_run_but_not_by_one_action() -> None:
    levels = drawn("Jumping/Tracks", 0)
    for floor, ceiling in zip(levels["floor"].astype(int), levels["ceiling"].astype(int), strict=True):
        played = heldout.as_played(floor, ceiling)
        assert heldout.can_run(*played)
        assert not any(heldout.can_run(*played, (action,)) for action in range(3))


@pytest.mark.parametrize("dataset", OFFLINE)
def test_levels_are_others_in_each_exam(dataset: str) -> None:
    first, again, other = (drawn(dataset, seed, 40) for seed in (0, 0, 1))
    names = [name for name in first if name != "kind"]
    assert all(np.array_equal(first[name], again[name]) for name in names)

    def texts(levels: dict[str, Any]) -> set[bytes]:
        return {b"".join(levels[name][number].tobytes() for name in names) for number in range(40)}

    assert len(texts(first)) == 40
    assert not texts(first) & texts(other)
