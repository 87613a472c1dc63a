"""NeuralCellularAutomata's modules: formulas against plain NumPy, the pool, stubs and candidates."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.domains.NeuralCellularAutomata.examiner import LARGEST_LOSS, losses
from discoenv.domains.NeuralCellularAutomata.samples import Samples
from discoenv.domains.NeuralCellularAutomata.tests.conftest import (
    DOMAIN,
    config_of,
    examiner,
    random_rule,
    some_states,
)
from discoenv.testing import import_learner

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

from flax.core import FrozenDict  # noqa: E402

CANDIDATES = Path(__file__).parents[1] / "candidates"


# --- formulas ---------------------------------------------------------------------------------------------------------


def test_a_cell_perceives_itself_and_the_sobel_gradients_on_a_torus(code: Any) -> None:
    config = config_of("GrowingButterfly")
    states = some_states(config)
    perceive = code.perceive.create_perceive(FrozenDict(config))
    found = np.asarray(perceive.apply({}, jnp.asarray(states)))
    sobel = np.outer([1, 2, 1], [-1, 0, 1]) / 8
    side, channels = config["GRID"], config["CHANNELS"]
    for row, column in ((0, 0), (5, 7), (side - 1, 3)):
        expected = np.zeros((len(states), 2, channels))
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                neighbour = states[:, (row + down) % side, (column + right) % side]
                expected[:, 0] += sobel[down + 1, right + 1] * neighbour
                expected[:, 1] += sobel.T[down + 1, right + 1] * neighbour
        np.testing.assert_array_equal(found[:, row, column, :channels], states[:, row, column])
        np.testing.assert_allclose(found[:, row, column, channels:], expected.reshape(len(states), -1), atol=1e-5)


def test_cells_without_living_neighbours_are_dead(code: Any) -> None:
    config = FrozenDict(config_of("GrowingButterfly"))
    states = np.zeros((1, 12, 12, 12), np.float32)
    states[0, 0, 5, 3], states[0, 6, 6, 3] = 0.11, 0.1
    expected = np.zeros((12, 12), bool)
    expected[[-1, 0, 1]] = np.isin(np.arange(12), [4, 5, 6])
    np.testing.assert_array_equal(code.update.alive(jnp.asarray(states), config)[0, ..., 0], expected)


def test_an_update_changes_cells_that_fire_and_empties_those_that_are_dead(code: Any) -> None:
    config = config_of("GrowingButterfly", FIRE_RATE=0.5)
    rule = random_rule(code, config)
    states = np.abs(some_states(config, 2)) * 0.0
    states[:, 6, 6, 3:] = 1.0
    sleeping = np.full(states.shape[:3], 200, np.uint8)
    np.testing.assert_array_equal(rule(states, sleeping), states)
    fired = rule(states, np.zeros_like(sleeping))
    assert (fired != states).any()
    rows, columns = np.nonzero((fired != 0).any(axis=(0, 3)))
    assert rows.min() >= 5
    assert rows.max() <= 7
    assert columns.min() >= 5
    assert columns.max() <= 7


@pytest.mark.parametrize("dataset", ["DigitsInpainting", "MatrixOperations"])
def test_inputs_never_change(code: Any, dataset: str) -> None:
    config = config_of(dataset)
    states = some_states(config)
    grown = random_rule(code, config)(states, np.zeros(states.shape[:3], np.uint8))
    inputs = slice(-config["PRESERVE"], None)
    np.testing.assert_array_equal(grown[..., inputs], states[..., inputs])
    assert (grown[..., 0] != states[..., 0]).any()


def test_an_untrained_automaton_keeps_its_state(code: Any) -> None:
    config = FrozenDict(config_of("SteadyDiffusion"))
    nca = code.nca.NCA(config)
    states = jnp.asarray(some_states(dict(config)))
    params = nca.init(jax.random.key(0), states)
    np.testing.assert_array_equal(nca.rollout(params, states, jax.random.key(1), 3)[-1], states)


@pytest.mark.parametrize("dataset", ["GrowingButterfly", "DigitsInpainting", "SelfClassifyingDigits"])
def test_the_losses_of_training_and_exam_are_the_formula(code: Any, dataset: str) -> None:
    config = config_of(dataset)
    samples = examiner(dataset).sample(0)[1]
    states = some_states(config, len(samples.states))
    outputs = states[..., : config["OUTPUT"]].astype(float)
    expected = []
    for output, target, weight in zip(outputs, samples.targets, samples.weights, strict=True):
        cells = []
        for row, column in np.argwhere(weight > 0):
            o, t = output[row, column], target[row, column]
            if config["LOSS"] == "mse":
                cells.append(np.mean((o - t) ** 2))
            else:
                cells.append(-np.log(np.exp(o[t.argmax()]) / np.exp(o).sum()))
        expected.append(np.mean(cells))
    found = code.loss.compute_sample_loss(
        *(jnp.asarray(values) for values in (states, samples.targets, samples.weights)), FrozenDict(config)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(losses(outputs, samples, config["LOSS"]), expected, rtol=1e-6)


def test_an_explosion_costs_a_bounded_amount() -> None:
    ones = np.ones((1, 2, 2, 1), np.float32)
    samples = Samples(ones, ones, ones[..., 0])
    assert losses(np.full((1, 2, 2, 1), 1e30), samples, "mse") == LARGEST_LOSS


def test_training_loss_looks_at_the_second_half_and_hands_on_the_last_state(code: Any) -> None:
    config = FrozenDict(config_of("SteadyDiffusion", STEPS=4))
    states = jnp.zeros((8, 12, 12, config["CHANNELS"]))
    looked: list[float] = []

    def rollout(params: Any, states: Any, key: Any, steps: int) -> Any:
        assert steps == 4
        return jnp.arange(1.0, 5.0)[:, None, None, None, None] * jnp.ones_like(states)

    batch = code.pool.Samples(states, jnp.zeros((8, 12, 12, 1)), jnp.ones((8, 12, 12)))
    for seed in range(8):
        key = jax.random.key(seed)
        loss, last = code.loss.compute_loss({}, SimpleNamespace(rollout=rollout), batch, key, config)
        assert (last == 4.0).all()
        looked.append(float(loss) * 8)
    # Each of eight samples contributes 3² or 4².
    assert all((total - 8 * 9) % 7 == pytest.approx(0, abs=1e-3) for total in looked)
    assert min(looked) > 72
    assert max(looked) < 128


# --- the pool ---------------------------------------------------------------------------------------------------------


def numbered(code: Any, count: int) -> Any:
    column = jnp.arange(float(count))
    return code.pool.Samples(
        column[:, None, None, None] * jnp.ones((1, 4, 4, 2)), column[:, None, None, None] * jnp.ones((1, 4, 4, 1)),
        jnp.ones((count, 4, 4)),
    )  # fmt: skip


def test_rows_of_the_pool_are_chosen_without_replacement_and_put_back_in_place(code: Any) -> None:
    pool = numbered(code, 10)
    rows = code.pool.choose(pool, jax.random.key(0), 10)
    assert sorted(np.asarray(rows)) == list(range(10))
    batch = code.pool.take(pool, rows[:3])
    changed = code.pool.put(pool, rows[:3], batch._replace(states=batch.states + 100))
    inside = np.isin(np.arange(10), rows[:3])
    np.testing.assert_array_equal(changed.states[:, 0, 0, 0] - np.arange(10), np.where(inside, 100, 0))
    np.testing.assert_array_equal(changed.targets, pool.targets)
    drawn = code.pool.draw(pool, jax.random.key(0), 64)
    np.testing.assert_array_equal(drawn.states[:, 0, 0, 0], drawn.targets[:, 0, 0, 0])
    assert len(np.unique(drawn.states)) == 10


def test_the_worst_sample_starts_anew_and_the_best_is_damaged(code: Any) -> None:
    import optax

    config = FrozenDict(
        config_of("GrowingButterfly", BATCH=4, POOL=4, FRESH=1, DAMAGED=1, STEPS=2, LOSS="mse", OUTPUT=1)
    )
    data = code.pool.Samples(jnp.full((1, 12, 12, 4), 7.0), jnp.zeros((1, 12, 12, 1)), jnp.ones((1, 12, 12)))
    values = jnp.array([3.0, 1.0, 4.0, 2.0])[:, None, None, None]
    pool = code.pool.Samples(values * jnp.ones((4, 12, 12, 4)), jnp.zeros((4, 12, 12, 1)), jnp.ones((4, 12, 12)))
    still = SimpleNamespace(
        rollout=lambda params, states, key, steps: states[None] * params * jnp.ones((2, 1, 1, 1, 1))
    )
    optimizer = optax.sgd(0.0)
    step = code.train.make_train_step(still, optimizer, data, config)
    _, _, pool, _ = step(jnp.array(1.0), optimizer.init(jnp.array(1.0)), pool, jax.random.key(0))
    largest = np.asarray(pool.states).max(axis=(1, 2, 3))
    np.testing.assert_array_equal(largest, [3.0, 1.0, 7.0, 2.0])
    emptied = (np.asarray(pool.states) == 0).all(axis=-1).sum(axis=(1, 2))
    assert emptied[1] > 3
    assert not emptied[[0, 2, 3]].any()


# --- stubs and candidates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", DOMAIN.modules)
def test_stubs_import_and_name_what_is_missing(module: str) -> None:
    exam_ = examiner(TRAIN_STEPS=10)
    with import_learner(DOMAIN, stubs=[module]) as modules:
        data = modules.pool.Samples(**{name: jnp.asarray(values) for name, values in exam_.training_data(0).items()})
        with pytest.raises(NotImplementedError, match=rf"{module}\.py: [\w.]+ is not implemented"):
            modules.main.train(FrozenDict(exam_.config), data, jax.random.key(0))


@pytest.mark.slow
@pytest.mark.parametrize("candidate", sorted(path.name for path in CANDIDATES.iterdir() if path.is_dir()))
def test_candidates_train(candidate: str) -> None:
    exam_ = examiner("MatrixOperations", TRAIN_STEPS=20, STEPS=4, BATCH=4, FRESH=2)
    with import_learner(DOMAIN, modules=CANDIDATES / candidate) as modules:
        data = modules.pool.Samples(**{name: jnp.asarray(values) for name, values in exam_.training_data(0).items()})
        before = modules.nca.NCA(FrozenDict(exam_.config)).init(jax.random.key(0), data.states[:1])
        params = modules.main.train(FrozenDict(exam_.config), data, jax.random.key(0))
    assert jax.tree.structure(params) == jax.tree.structure(before)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(params["update"]["Dense_1"]))
