"""Emitters: what they propose, CMA-ES beside pyribs', and that a restored emitter proposes the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from discoenv.kits.quality_diversity.archives import Added, GridArchive
from discoenv.kits.quality_diversity.cma_es import CMAES, rates
from discoenv.kits.quality_diversity.emitters import (
    Emitter,
    GaussianEmitter,
    ImprovementEmitter,
    IntegerMutationEmitter,
    RandomEmitter,
)

MAKE: dict[str, Callable[[int], Emitter]] = {
    "random": lambda seed: RandomEmitter(lambda n, rng: rng.normal(size=(n, 4)), 6, seed),
    "mutation": lambda seed: IntegerMutationEmitter(4, 3, 6, seed, mutations=2, initial=10),
    "gaussian": lambda seed: GaussianEmitter(4, 0.3, 6, seed, initial=10),
    "improvement": lambda seed: ImprovementEmitter(4, 0.5, 6, seed),
}


def play(emitter: Emitter, archive: GridArchive, rounds: int) -> None:
    """Objective: minus the squared norm; measures: the first two entries."""
    for _ in range(rounds):
        x = emitter.ask(archive)
        assert x.shape == (6, 4)
        emitter.tell(archive, x, archive.add(x, -(x**2.0).sum(1), x[:, :2], one_by_one=True))


def empty() -> GridArchive:
    return GridArchive(4, (10, 10), ((-3, 3), (-3, 3)))


@pytest.mark.parametrize("name", MAKE)
def test_a_restored_emitter_proposes_the_same(name: str) -> None:
    emitter, archive = MAKE[name](0), empty()
    play(emitter, archive, 15)
    other, copy = MAKE[name](99), empty()
    other.restore(emitter.state())
    copy.restore(archive.state())
    for each, place in ((emitter, archive), (other, copy)):
        play(each, place, 15)
    np.testing.assert_array_equal(archive.elites().solutions, copy.elites().solutions)
    np.testing.assert_array_equal(emitter.ask(archive), other.ask(copy))


def test_mutations_overwrite_so_many_different_places_of_an_elite() -> None:
    archive = GridArchive(256, (4, 4), ((0, 4), (0, 4)), np.int8)
    elite = np.full((1, 256), 7, np.int8)
    archive.add(elite, [0.0], [[0.5, 0.5]])
    emitter = IntegerMutationEmitter(256, 2, 500, 0, initial=0)
    x = emitter.ask(archive)
    assert x.dtype == np.int8
    assert ((x != 7).sum(axis=1) == 10).all()
    assert set(np.unique(x)) == {0, 1, 7}
    assert 0.45 < (x == 1).sum() / (x != 7).sum() < 0.55
    assert (archive.elites().solutions == 7).all()  # the elite itself is not changed


def test_the_first_solutions_are_random_until_there_are_enough() -> None:
    archive = GridArchive(256, (1, 1), ((0, 1), (0, 1)), np.int8)
    archive.add(np.zeros((1, 256), np.int8), [0.0], [[0.5, 0.5]])
    emitter = IntegerMutationEmitter(256, 2, 30, 0)
    ones = [int(emitter.ask(archive).sum()) for _ in range(5)]
    assert min(ones[:4]) > 30 * 100
    assert ones[4] <= 30 * 10


@pytest.mark.parametrize("parents", [1, 2, 7, 30])
def test_one_update_of_cma_es_equals_pyribs(parents: int) -> None:
    """All but the rank-one update, in which pyribs multiplies with c1 twice and leaves the step size out."""
    theirs_module = pytest.importorskip("ribs.emitters.opt")
    theirs = theirs_module.CMAEvolutionStrategy(sigma0=0.5, solution_dim=6, batch_size=30, seed=0)
    theirs.reset(np.ones(6))
    x = np.array(theirs.ask())
    theirs.tell(np.arange(30), np.arange(30)[:, None], parents)
    ours = CMAES(np.ones(6), 0.5, 30)
    ours.tell(x[:parents])
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-12)
    np.testing.assert_allclose(ours.path_sigma, theirs.ps, rtol=1e-12)
    np.testing.assert_allclose(ours.sigma, theirs.sigma, rtol=1e-12)
    np.testing.assert_allclose(ours.path_c, theirs.pc / 0.5, rtol=1e-12)
    c1 = rates(parents, 6).c1
    rest = theirs.cov.cov - c1**2 * np.outer(theirs.pc, theirs.pc)
    np.testing.assert_allclose(ours.covariance - c1 * np.outer(ours.path_c, ours.path_c), rest, atol=1e-12)


def test_cma_es_learns_the_shape_of_an_ellipsoid() -> None:
    scales = 10.0 ** np.linspace(0, 3, 6)
    strategy, rng = CMAES(np.full(6, 3.0), 1.0, 12), np.random.default_rng(0)
    for _ in range(300):
        x = strategy.ask(rng)
        strategy.tell(x[np.argsort((scales * x**2).sum(1))[:6]])
    assert (scales * strategy.mean**2).sum() < 1e-10
    assert 10 < strategy.covariance[0, 0] / strategy.covariance[5, 5] < 1e5


def test_the_improvement_emitter_ranks_new_cells_before_improved_ones() -> None:
    emitter, archive = ImprovementEmitter(1, 1.0, 4, 0), GridArchive(1, (4, 4), ((0, 4), (0, 4)))
    seen: list[list[float]] = []
    emitter.strategy.tell = lambda parents: seen.append(parents[:, 0].tolist())  # type: ignore[method-assign]
    added = Added(np.array([1, 2, 0, 2]), np.array([9.0, 0.5, 3.0, 0.7]))
    emitter.tell(archive, np.array([[0.0], [1.0], [2.0], [3.0]]), added)
    assert seen == [[3.0, 1.0, 0.0]]


@pytest.mark.parametrize(("status", "value"), [([0, 0], [-1.0, -2.0]), ([2, 2], [1.0, 1.0])])
def test_the_improvement_emitter_begins_again_where_nothing_can_be_learned(
    status: list[int], value: list[float]
) -> None:
    emitter, archive = ImprovementEmitter(1, 1.0, 2, 0), GridArchive(1, (4, 4), ((0, 4), (0, 4)))
    archive.add([[7.0]], [0.0], [[1.0, 1.0]])
    emitter.tell(archive, np.array([[0.0], [1.0]]), Added(np.array(status), np.array(value)))
    assert emitter.restarts == 1
    assert emitter.strategy.mean.tolist() == [7.0]
    assert emitter.strategy.sigma == 1.0
