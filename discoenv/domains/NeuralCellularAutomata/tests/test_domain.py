"""NeuralCellularAutomata: formulas against plain NumPy, the probes of locality, its samples, and tiny exams."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.exams.examiner import ProtocolError, RuleBroken
from discoenv.exams.examiner_process import load_domain_file
from discoenv.exams.host import Host
from discoenv.scoring.calibration import calibrate
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.tasks.task import Setting
from discoenv.testing import InProcessLearner, import_learner
from tests.data import published_files

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

from flax.core import FrozenDict  # noqa: E402

from discoenv.domains.NeuralCellularAutomata import images, patterns, probes  # noqa: E402
from discoenv.domains.NeuralCellularAutomata.examiner import (  # noqa: E402
    LARGEST_LOSS,
    NeuralCellularAutomataExaminer,
    damaged,
    losses,
)
from discoenv.domains.NeuralCellularAutomata.samples import MatrixOperations, Samples, roll, steady_state  # noqa: E402

DOMAIN = Domain(BUILTIN / "NeuralCellularAutomata")
CANDIDATES = Path(__file__).parents[1] / "candidates"
OFFLINE = [name for name in DOMAIN.datasets if DOMAIN.specification.datasets[name].source == "offline"]
GROWING = [name for name in OFFLINE if name.startswith("Growing")]


def config_of(dataset: str, scale: str = "tiny", **changes: Any) -> dict[str, Any]:
    return {**DOMAIN.config(dataset, scale), **changes}


def examiner(dataset: str = "GrowingButterfly", scale: str = "tiny", **changes: Any) -> NeuralCellularAutomataExaminer:
    return NeuralCellularAutomataExaminer(dataset, scale, config_of(dataset, scale, **changes))


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    with import_learner(DOMAIN) as modules:
        yield modules


class Automaton:
    """Grows by ``rule(states, noise) -> states``, one step at a time, and keeps the shapes of the noise."""

    def __init__(self, rule: Callable[[Any, Any], Any]) -> None:
        self.rule = rule
        self.asked: list[tuple[int, ...]] = []

    def grow(self, states: Any, noise: Any) -> Any:
        assert states.dtype == np.float32
        assert noise.dtype == np.uint8
        self.asked.append(noise.shape)
        for each in noise:
            states = self.rule(states, each)
        return states


def by_rule(rule: Callable[[Any, Any], Any]) -> InProcessLearner:
    return InProcessLearner(Automaton(rule))


def random_rule(code: Any, config: dict[str, Any], size: float = 0.3) -> Any:
    """The base modules as a rule, with random parameters that change something."""
    nca = code.nca.NCA(FrozenDict(config))
    states = jnp.zeros((1, config["GRID"], config["GRID"], config["CHANNELS"]))
    params = nca.init(jax.random.key(0), states)
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    params = tree.unflatten([size * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)])
    step = jax.jit(lambda states, noise: nca.step(params, states, (noise + 0.5) / 256.0))
    return lambda states, noise: np.clip(np.asarray(step(states, noise)), -5, 5)


def some_states(config: dict[str, Any], count: int = 4, seed: int = 0) -> Any:
    shape = (count, config["GRID"], config["GRID"], config["CHANNELS"])
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


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
    samples = examiner(dataset).draw(0)[1]
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


# --- probes -----------------------------------------------------------------------------------------------------------


def probe(make: Any, rule: Any, config: dict[str, Any], steps: int, states: Any, seed: int = 0) -> int:
    generator = np.random.default_rng(seed)
    noise = generator.integers(256, size=(steps, *states.shape[:3]), dtype=np.uint8)
    twins = make(states, noise, generator)
    assert twins.compared.any(axis=(1, 2)).all()
    grown, others = states, twins.states
    for each, other in zip(noise, twins.noise, strict=True):
        grown, others = rule(grown, each), rule(others, other)
    return int(twins.differing(grown, others).sum())


@pytest.mark.parametrize("dataset", OFFLINE)
@pytest.mark.parametrize("make", [probes.local_twins, probes.moved_twins])
def test_every_automaton_made_of_the_base_modules_passes_the_probes(code: Any, dataset: str, make: Any) -> None:
    config = config_of(dataset, FIRE_RATE=0.5)
    rule, states = random_rule(code, config), examiner(dataset).draw(3)[1].states[:4]
    for piece in range(6):
        steps = 1 + piece % probes.longest(config["GRID"])
        assert probe(make, rule, config, steps, states, piece) == 0
        states = rule(states, np.random.default_rng(piece).integers(256, size=states.shape[:3], dtype=np.uint8))
    assert np.isfinite(states).all()


def test_influence_travels_two_cells_per_step_and_no_further_is_allowed() -> None:
    config = config_of("GrowingLizard", "small")
    states = some_states(config)
    for reach, expected in ((1, False), (2, False), (3, True)):

        def rule(states: Any, noise: Any, reach: int = reach) -> Any:
            return sum(np.roll(states, shift, axis) for axis in (1, 2) for shift in (-reach, reach))

        for steps in range(1, probes.longest(config["GRID"]) + 1):
            assert probe(probes.local_twins, rule, config, steps, states) == (len(states) if expected else 0)


def painter(dataset: str, follow_seed: bool) -> Callable[[Any, Any], Any]:
    """Not an automaton: puts the stored target there at once, at a fixed place or around the seed."""
    target = patterns.draw(config_of(dataset)["PATTERN"], config_of(dataset)["GRID"])

    def rule(states: Any, noise: Any) -> Any:
        painted = np.repeat(target[None], len(states), axis=0)
        if follow_seed:
            place = states[..., 3].reshape(len(states), -1).argmax(axis=1)
            height, width = target.shape[:2]
            painted = roll(painted, place // width - height // 2, place % width - width // 2)
        grown = states.copy()
        unpainted = (states[..., :3] < 0.05).all(axis=(1, 2, 3)) if follow_seed else np.ones(len(states), bool)
        grown[unpainted, ..., :4] = painted[unpainted]
        return grown

    return rule


@pytest.mark.parametrize("dataset", GROWING)
@pytest.mark.parametrize(("follow_seed", "message"), [(False, "same everywhere"), (True, "not local")])
def test_a_painter_is_found_out(dataset: str, follow_seed: bool, message: str) -> None:
    found = []
    for seed in range(4):
        with pytest.raises(RuleBroken) as caught:
            examiner(dataset).examine(by_rule(painter(dataset, follow_seed)), seed)
        found.append(str(caught.value))
    assert any(message in text for text in found)


@pytest.mark.parametrize(
    "rule",
    [
        lambda states, noise: states + 0.1 * states.mean(axis=(1, 2), keepdims=True),
        lambda states, noise: states - states.mean(axis=0, keepdims=True),
        lambda states, noise: states + np.arange(states.shape[1], dtype=np.float32)[None, :, None, None],
    ],
    ids=["mean over the grid", "mean over the batch", "absolute coordinates"],
)
def test_a_rule_that_looks_beyond_the_neighbourhood_is_found_out(rule: Any) -> None:
    with pytest.raises(RuleBroken, match=r"the rule is not (local|the same everywhere)"):
        examiner("SelfClassifyingDigits").examine(by_rule(rule), 0)


def test_questions_and_twins_look_alike() -> None:
    exam_ = examiner("GrowingButterfly")
    automaton = Automaton(lambda states, noise: states)
    exam_.examine(InProcessLearner(automaton), 0)
    assert len({shape[1:] for shape in automaton.asked}) == 1
    assert {shape[0] for shape in automaton.asked} == {1, 2}
    assert sum(shape[0] for shape in automaton.asked) == 3 * 3 * exam_.config["EXAM_STEPS"]


def test_random_numbers_of_ones_own_are_found_out() -> None:
    own = np.random.default_rng(0)
    with pytest.raises(RuleBroken):
        examiner("DigitsInpainting").examine(
            by_rule(lambda states, noise: (states + own.normal(size=states.shape)).astype(np.float32)), 0
        )


# --- samples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", OFFLINE)
@pytest.mark.parametrize("scale", ["tiny", "small"])
def test_samples_have_the_shapes_that_the_configuration_says(dataset: str, scale: str) -> None:
    exam_ = examiner(dataset, scale)
    config = exam_.config
    training, held_out, _ = exam_.draw(5)
    for samples, count in ((training, config.get("TRAIN_SAMPLES", 1)), (held_out, config["EXAM_SAMPLES"])):
        assert samples.states.shape == (count, config["GRID"], config["GRID"], config["CHANNELS"])
        assert samples.targets.shape == (*samples.states.shape[:3], config["OUTPUT"])
        assert samples.weights.shape == samples.states.shape[:3]
        assert {values.dtype for values in vars(samples).values()} == {np.dtype(np.float32)}
        assert samples.weights.sum(axis=(1, 2)).min() > 0


@pytest.mark.parametrize("dataset", DOMAIN.datasets)
@pytest.mark.parametrize("scale", ["tiny", "small", "full"])
def test_configurations_fit_together(dataset: str, scale: str) -> None:
    config = config_of(dataset, scale)
    assert config["BATCH"] <= config["POOL"]
    assert config["FRESH"] + config["DAMAGED"] <= config["BATCH"]
    assert config["TRAIN_STEPS"] % 10 == 0
    assert config["OUTPUT"] + config["PRESERVE"] < config["CHANNELS"]


@pytest.mark.parametrize("dataset", OFFLINE)
def test_an_exam_is_repeatable_and_another_seed_is_another_exam(dataset: str) -> None:
    first, again, other = (examiner(dataset).draw(seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.states, again.states)
    assert (first.states != other.states).any()


@pytest.mark.parametrize("name", sorted(patterns.PATTERNS))
def test_pictures_fit_the_grid_and_look_alike_at_all_resolutions(name: str) -> None:
    large, small = patterns.draw(name, 48), patterns.draw(name, 12)
    for cells in (large, small):
        assert cells.min() >= 0.0
        assert cells.max() <= 1.0
        assert (cells[..., :3] <= cells[..., 3:] + 1e-6).all()
        border = np.concatenate([cells[0], cells[-1], cells[:, 0], cells[:, -1]])
        assert border[..., 3].max() < 0.2
    np.testing.assert_allclose(large.reshape(12, 4, 12, 4, 4).mean(axis=(1, 3)), small, atol=0.15)
    assert 0.15 < large[..., 3].mean() < 0.6


def test_held_out_digits_are_not_among_the_training_digits() -> None:
    training, held_out, white = images.load("digits", None, np.random.default_rng(0))
    assert len(training) == 1198
    assert len(held_out) == 599
    assert training.x.max() == held_out.x.max() == white
    known = {image.tobytes() for image in training.x}
    assert sum(image.tobytes() in known for image in held_out.x) <= 5  # digits that occur twice
    assert len(np.unique(training.y)) == 10


def test_half_of_the_pixels_are_missing_and_the_known_ones_are_right() -> None:
    samples = examiner("DigitsInpainting").draw(0)[0]
    inside, known = samples.weights > 0, samples.states[..., -1] > 0
    assert inside.sum(axis=(1, 2)).tolist() == [64] * len(inside)
    assert known[inside].mean() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_array_equal(samples.states[..., -2][known], samples.targets[..., 0][known])
    assert not samples.states[..., :-1][~known].any()


def test_matrices_are_what_the_operation_says() -> None:
    samples = examiner("MatrixOperations").draw(0)[0]
    inputs = samples.states[..., -7:]
    for number in range(8):
        inside = inputs[number, ..., 2] > 0
        side = int(inside.sum() ** 0.5)
        a, b, wanted = (
            plane[inside].reshape(side, side)
            for plane in (inputs[number, ..., 0], inputs[number, ..., 1], samples.targets[number, ..., 0])
        )
        operation = MatrixOperations.OPERATIONS[int(inputs[number, 0, 0, 3:].argmax())]
        expected = {"transpose": a.T, "negate": -a, "add": (a + b) / 2**0.5, "multiply": a @ b * (3 / side) ** 0.5}
        np.testing.assert_allclose(wanted, expected[operation], atol=1e-6)
    kinds = inputs[:, 0, 0, 3:].argmax(axis=1)
    squares = (samples.targets[..., 0] ** 2).sum(axis=(1, 2)) / samples.weights.sum(axis=(1, 2))
    np.testing.assert_allclose([squares[kinds == kind].mean() for kind in range(4)], 1 / 3, rtol=0.1)


def test_steady_temperatures_solve_the_equation() -> None:
    generator = np.random.default_rng(0)
    held = generator.random((20, 9, 9)) < 0.1
    held[0] = False
    values = np.where(held, generator.normal(size=held.shape), 0.0)
    u = steady_state(values, held, 0.05)
    neighbours = sum(np.roll(u, shift, axis) for axis in (1, 2) for shift in (-1, 1)) / 4
    np.testing.assert_allclose(np.where(held, u, 1.05 * u), np.where(held, values, neighbours), atol=1e-6)


def test_damage_hits_what_has_grown_wherever_it_is() -> None:
    states = np.zeros((64, 20, 20, 5), np.float32)
    states[..., 4] = 1.0
    generator = np.random.default_rng(0)
    figure = np.zeros((20, 20))
    figure[5:15, 5:15] = 1.0
    places = generator.integers(20, size=(2, 64))
    states[..., 3] = roll(np.repeat(figure[None], 64, axis=0), *places)
    hurt = damaged(states, generator)
    removed = (hurt == 0).all(axis=-1)
    assert removed.sum(axis=(1, 2)).min() >= np.pi * 2.5**2
    assert removed.sum(axis=(1, 2)).max() <= np.pi * 5.5**2
    assert ((states[..., 3] > 0) & removed).sum(axis=(1, 2)).min() > 3
    np.testing.assert_array_equal(hurt[~removed], states[~removed])


@pytest.mark.parametrize("dataset", ["MNISTInpainting", "SelfClassifyingMNIST"])
def test_mnist_is_read_from_its_published_files(tmp_path: Path, dataset: str) -> None:
    published_files.mnist(tmp_path)
    names = [file.name for file in DOMAIN.specification.datasets[dataset].to_fetch]
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    exam_ = examiner(dataset)
    with pytest.raises(FileNotFoundError, match="have not been fetched"):
        exam_.training_data(0)
    exam_.data = tmp_path
    assert exam_.training_data(0)["states"].shape == (500, 28, 28, exam_.config["CHANNELS"])
    assert np.isfinite(exam_.floor(0)["log10_loss"])
    assert exam_.training_data(0)["states"].max() == 1.0


def test_the_hidden_file_is_the_only_copy_of_the_digits() -> None:
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    copies = [str(path.relative_to(package.parent)) for path in package.rglob("*digits*") if path.suffix == ".gz"]
    assert copies == DOMAIN.specification.hidden_packages


# --- exams ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", OFFLINE)
def test_perfect_outputs_beat_the_floor_and_doing_nothing_does_not(dataset: str) -> None:
    exam_ = examiner(dataset)
    floor = exam_.floor(7)
    idle = exam_.examine(by_rule(lambda states, noise: states), 7)
    assert idle["log10_loss"] == pytest.approx(floor["log10_loss"], abs=0.05)
    assert set(idle) == set(floor) <= {"log10_loss", *DOMAIN.specification.other_metrics}
    samples = exam_.draw(7)[1]
    outputs = samples.targets * (20.0 if exam_.config["LOSS"] == "cross_entropy" else 1.0)
    assert losses(outputs, samples, exam_.config["LOSS"]).max() < 1e-6
    assert floor["loss_mean"] == pytest.approx(10 ** floor["log10_loss"])


@pytest.mark.parametrize("answer", [np.nan, np.inf, 1e7])
def test_an_answer_that_is_no_state_is_refused(answer: float) -> None:
    with pytest.raises(ProtocolError, match=r"grow\(\) answered"):
        examiner().examine(by_rule(lambda states, noise: np.full_like(states, answer)), 0)


def test_a_spread_of_coordinates_is_local() -> None:
    """Declared in domain.yaml: a rule that hands on coordinates from the seed and looks up the picture passes."""
    target = patterns.draw("butterfly", 12)

    def rule(states: Any, noise: Any) -> Any:
        known = states[..., 4] > 0.5
        rows, columns = np.round(states[..., 5]).astype(int), np.round(states[..., 6]).astype(int)
        fresh = known & (states[..., 7] > 0.5)  # the seed itself
        rows, columns = np.where(fresh, 6, rows), np.where(fresh, 6, columns)
        grown = states.copy()
        grown[..., 7:] = 0.0
        for down, right in [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]:
            there = np.roll(known, (down, right), (1, 2))
            new = there & ~(grown[..., 4] > 0.5) | (known & (down == 0) & (right == 0))
            grown[..., 4] = np.where(new, 1.0, grown[..., 4])
            grown[..., 5] = np.where(new, np.roll(rows, (down, right), (1, 2)) + down, grown[..., 5])
            grown[..., 6] = np.where(new, np.roll(columns, (down, right), (1, 2)) + right, grown[..., 6])
        place = np.round(grown[..., 5:7]).astype(int) % 12
        grown[..., :4] = np.where((grown[..., 4] > 0.5)[..., None], target[place[..., 0], place[..., 1]], 0.0)
        return grown

    assert examiner("GrowingButterfly").examine(by_rule(rule), 0)["loss_persisted"] < 1e-6


@pytest.mark.parametrize("dataset", ["GrowingSpiral", "DigitsInpainting"])
def test_a_tiny_exam_in_the_sandbox_is_better_than_the_floor(dataset: str) -> None:
    entry = calibrate(Host(), Setting(DOMAIN, "default", dataset, "tiny"), seeds=[11])
    assert entry.baseline.mean < entry.floor.mean - 0.02


@pytest.mark.parametrize("module", DOMAIN.modules)
def test_stubs_import_and_name_what_is_missing(module: str) -> None:
    exam_ = examiner(TRAIN_STEPS=10)
    with import_learner(DOMAIN, stubs=[module]) as modules:
        data = modules.pool.Samples(**{name: jnp.asarray(values) for name, values in exam_.training_data(0).items()})
        with pytest.raises(NotImplementedError, match=rf"{module}\.py: [\w.]+ is not implemented"):
            modules.main.train(FrozenDict(exam_.config), data, jax.random.key(0))


@pytest.mark.parametrize("candidate", sorted(path.name for path in CANDIDATES.iterdir() if path.is_dir()))
def test_candidates_train(candidate: str) -> None:
    exam_ = examiner("MatrixOperations", TRAIN_STEPS=20, STEPS=4, BATCH=4, FRESH=2)
    with import_learner(DOMAIN, modules=CANDIDATES / candidate) as modules:
        data = modules.pool.Samples(**{name: jnp.asarray(values) for name, values in exam_.training_data(0).items()})
        before = modules.nca.NCA(FrozenDict(exam_.config)).init(jax.random.key(0), data.states[:1])
        _, params = modules.main.train(FrozenDict(exam_.config), data, jax.random.key(0))
    assert jax.tree.structure(params) == jax.tree.structure(before)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(params["update"]["Dense_1"]))


def test_what_the_learner_gets_does_not_import_discoenv() -> None:
    for path in [*(DOMAIN.directory / "templates").rglob("*.py"), *CANDIDATES.rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.startswith("discoenv") for name in names), path


def test_pictures_show_the_growth(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    from discoenv.examiners.plotting import ExamArtifacts

    saved = []
    for number, dataset in enumerate(["GrowingButterfly", "SelfClassifyingDigits", "SteadyDiffusion"]):
        exam_ = examiner(dataset)
        exam_.examine(by_rule(lambda states, noise: states), 0)
        assert sum(array.nbytes for array in exam_.artifacts.values()) < 1 << 20
        path = tmp_path / f"{dataset}.npz"
        np.savez(path, **exam_.artifacts)  # type: ignore[arg-type]
        saved.append(ExamArtifacts(step=number, side="meta_train", dataset=dataset, seed=0, path=path))
    paths = load_domain_file(DOMAIN.directory, "pictures").plot(saved, tmp_path)
    assert len(paths) == 6
    for path in paths:
        with image.open(path) as opened:
            assert min(opened.size) > 50
            if path.suffix == ".gif":
                assert opened.n_frames > 5
