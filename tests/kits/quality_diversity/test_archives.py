"""The array archive: what it holds, that it equals pyribs', and what is chosen from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discoenv.kits.quality_diversity.archives import IMPROVED, NEW, REJECTED, GridArchive
from discoenv.kits.quality_diversity.selection import downsample, new_cells_first, random_sample

DIMS, RANGES = (16, 12), ((0.0, 64.0), (-1.0, 2.0))


def batch(rng: np.random.Generator, n: int, dim: int = 5) -> tuple[Any, Any, Any]:
    """Solutions, few different objectives, and measures, some of them out of range or on a border."""
    measures = rng.uniform([-5, -1.3], [70, 2.3], size=(n, 2))
    measures[::3] = np.round(measures[::3])
    return rng.integers(0, 9, (n, dim)), rng.integers(0, 6, n).astype(float), measures


def filled(rng: np.random.Generator, n: int = 300) -> GridArchive:
    archive = GridArchive(5, DIMS, RANGES)
    archive.add(*batch(rng, n), metadata=np.arange(n))
    return archive


@pytest.mark.parametrize("one_by_one", [False, True])
def test_it_equals_pyribs_on_random_insertions(one_by_one: bool) -> None:
    ribs = pytest.importorskip("ribs.archives")
    rng = np.random.default_rng(0)
    ours = GridArchive(5, DIMS, RANGES)
    theirs = ribs.GridArchive(
        solution_dim=5, dims=DIMS, ranges=RANGES, dtype=np.float64, extra_fields={"number": ((), np.int64)}
    )
    number = 0
    for n in [1, 7, 150, 30, 150, 2, 400] * 4:
        solutions, objectives, measures = batch(rng, n)
        numbers = np.arange(number, number + n)
        number += n
        added = ours.add(solutions, objectives, measures, numbers, one_by_one=one_by_one)
        if one_by_one:
            singles = [
                theirs.add_single(x, y, m, number=k)
                for x, y, m, k in zip(solutions, objectives, measures, numbers, strict=True)
            ]
            status, value = ([each[name] for each in singles] for name in ("status", "value"))
        else:
            info = theirs.add(solutions, objectives, measures, number=numbers)
            status, value = info["status"], info["value"]
        np.testing.assert_array_equal(added.status, status)
        np.testing.assert_array_equal(added.value, value)
    elites, data = ours.elites(), theirs.data()
    mine, its = np.argsort(elites.cells), np.argsort(data["index"])
    for ribs_name, array in {
        "index": elites.cells,
        "solution": elites.solutions,
        "objective": elites.objectives,
        "measures": elites.measures,
        "number": elites.metadata,
    }.items():
        np.testing.assert_array_equal(array[mine], data[ribs_name][its], err_msg=ribs_name)
    assert len(ours) == theirs.stats.num_elites
    assert ours.coverage == theirs.stats.coverage
    assert ours.qd_score() == theirs.stats.qd_score


def test_status_and_value_in_a_batch_and_in_turn() -> None:
    same = ([[1], [2], [3]], [1.0, 3.0, 2.0], [[0.5, 0.5]] * 3)
    together = GridArchive(1, (2, 2), ((0, 2), (0, 2))).add(*same)
    assert together.status.tolist() == [NEW, NEW, NEW]
    archive = GridArchive(1, (2, 2), ((0, 2), (0, 2)))
    in_turn = archive.add(*same, one_by_one=True)
    assert in_turn.status.tolist() == [NEW, IMPROVED, REJECTED]
    assert in_turn.value.tolist() == [1.0, 2.0, -1.0]
    assert archive.elites().solutions.tolist() == [[2]]


def test_of_equal_solutions_the_earliest_stays() -> None:
    archive = GridArchive(1, (1, 1), ((0, 1), (0, 1)))
    archive.add([[1], [2]], [1.0, 1.0], [[0, 0]] * 2)
    archive.add([[3]], [1.0], [[0, 0]])
    assert archive.elites().solutions.tolist() == [[1]]
    assert archive.elites().metadata.tolist() == [-1]


def test_a_restored_archive_draws_the_same_elites() -> None:
    archive = filled(np.random.default_rng(1))
    other = filled(np.random.default_rng(2))
    other.restore(archive.state())
    for each in (archive, other):
        each.add(*batch(np.random.default_rng(3), 50))
    np.testing.assert_array_equal(
        archive.sample(20, np.random.default_rng(4)).cells, other.sample(20, np.random.default_rng(4)).cells
    )
    np.testing.assert_array_equal(archive.objectives, other.objectives)


@pytest.mark.parametrize(
    ("solutions", "objectives", "measures", "message"),
    [
        ([[1, 2]], [1.0], [[0.0, 0.0]], "do not agree"),
        ([[1]], [float("nan")], [[0.0, 0.0]], "objectives must be finite"),
        ([[1]], [1.0], [[0.0, float("inf")]], "measures must be finite"),
        ([[1]], [1.0], [[0.0]], r"expected \(n, 2\)"),
    ],
)
def test_wrong_batches_are_refused(solutions: Any, objectives: Any, measures: Any, message: str) -> None:
    archive = GridArchive(1, (2, 2), ((0, 1), (0, 1)))
    with pytest.raises(ValueError, match=message):
        archive.add(solutions, objectives, measures)
    assert len(archive) == 0


def test_downsampling_takes_one_elite_of_each_block_uniformly() -> None:
    archive = filled(np.random.default_rng(0), 100)
    rng = np.random.default_rng(1)
    cells = archive.elites().cells
    rows, columns = np.unravel_index(cells, DIMS)
    blocks = rows // 4 * 4 + columns // 3
    counts = np.zeros(archive.cells)
    for _ in range(2000):
        chosen = downsample(archive, (4, 4), rng)
        assert sorted(blocks[np.isin(cells, chosen.cells)]) == sorted(set(blocks))
        counts[chosen.cells] += 1
    for block in set(blocks):
        members = cells[blocks == block]
        expected = 2000 / len(members)
        assert np.abs(counts[members] - expected).max() < 5 * np.sqrt(expected) + 1


def test_downsampling_needs_blocks_of_equal_size() -> None:
    with pytest.raises(ValueError, match="blocks of equal size"):
        downsample(filled(np.random.default_rng(0)), (5, 4), np.random.default_rng(0))


def test_random_samples_are_different_elites_and_those_of_new_cells_come_first() -> None:
    archive, real = filled(np.random.default_rng(0)), GridArchive(5, DIMS, RANGES)
    half = random_sample(archive, len(archive) // 2, np.random.default_rng(1))
    assert len(set(half.cells.tolist())) == len(archive) // 2
    real.add(half.solutions, half.objectives, half.measures)
    new = len(archive) - len(half)
    first = new_cells_first(archive, real, new, np.random.default_rng(2))
    assert not real.is_occupied(first.cells).any()
    assert real.is_occupied(new_cells_first(archive, real, new + 3, np.random.default_rng(2)).cells).sum() == 3
    assert len(random_sample(archive, 10_000, np.random.default_rng(1))) == len(archive)
