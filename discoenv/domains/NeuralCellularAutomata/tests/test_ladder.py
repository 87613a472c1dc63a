"""The known methods of NeuralCellularAutomata: each trains once at tiny, and formulas against plain NumPy."""

from __future__ import annotations

import functools
import importlib.util
import math
from typing import Any

import numpy as np
import pytest

from discoenv.domains.NeuralCellularAutomata.tests.conftest import DOMAIN, config_of, examiner, some_states
from discoenv.tasks.ladder import method_text, methods_of
from discoenv.testing import examined, import_learner

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

from flax.core import FrozenDict, unfreeze  # noqa: E402

METHODS = list(methods_of(DOMAIN, "default"))
CONFIG = config_of("GrowingButterfly", FIRE_RATE=0.5)


def named(module: str) -> list[str]:
    return [name for each, name in METHODS if each == module]


@functools.cache
def method(module: str, name: str) -> Any:
    """A method's module, imported; those of train.py import others, see :func:`trainer`."""
    path = DOMAIN.directory / "ladder" / module / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"ladder_{module}_{name}", path)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


#: Known to harm, so that they may be no better than doing nothing here.
HARMS = {("update", "linear"), ("train", "no_pool")}


@functools.cache
def tiny() -> tuple[Any, float]:
    """Training data, and the loss of the floor; drawn once for all methods."""
    exam_ = examiner("MatrixOperations")
    return exam_.training_data(0), exam_.floor(0)["log10_loss"]


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(("module", "name"), METHODS)
def test_each_method_learns_to_compute(module: str, name: str) -> None:
    data, floor = tiny()
    exam_ = examiner("MatrixOperations")  # another one: it keeps the program of the rule that it has applied
    modules = {module: method_text(DOMAIN, module, name)}
    with import_learner(DOMAIN, dataset="MatrixOperations", modules=modules) as code:
        samples = code.pool.Samples(**{key: jnp.asarray(values) for key, values in data.items()})
        params = unfreeze(code.main.train(FrozenDict(exam_.config), samples, jax.random.key(0)))
        found = examined(exam_, code.answer, jax.tree.map(np.asarray, params), 0)
    assert all(math.isfinite(value) for value in found.values())
    assert (module, name) in HARMS or found["log10_loss"] < floor - 0.02


# --- rules ------------------------------------------------------------------------------------------------------------


def applied(module: Any, *arguments: Any) -> tuple[Any, Any]:
    """What a flax module gives with its first parameters, and these."""

    def both(key: Any, *arguments: Any) -> tuple[Any, Any]:
        variables = module.init(key, *arguments)
        return module.apply(variables, *arguments), variables.get("params", {})

    found, params = jax.jit(both)(jax.random.key(0), *arguments)  # one program instead of one per operation
    return np.asarray(found), jax.tree.map(np.asarray, params)


def around(states: Any) -> list[Any]:
    """The nine neighbours of each cell, as depthwise.py orders them."""
    return [np.roll(states, (down, right), axis=(1, 2)) for down in (-1, 0, 1) for right in (-1, 0, 1)]


def test_perceptions_are_their_formulas() -> None:
    states = some_states(CONFIG)
    nine, channels = np.stack(around(states)), CONFIG["CHANNELS"]
    found = {
        name: applied(method("perceive", name).create_perceive(FrozenDict(CONFIG)), states)
        for name in named("perceive")
    }
    np.testing.assert_array_equal(found["self_only"][0], states)
    kernel = np.array([1, 2, 1, 2, -12, 2, 1, 2, 1]) / 16
    laplacian = np.tensordot(kernel, nine, 1)
    np.testing.assert_allclose(found["isotropic"][0][..., channels:], laplacian, atol=1e-5)
    np.testing.assert_allclose(found["laplacian"][0][..., 3 * channels :], laplacian, atol=1e-5)
    # A shift by +1 brings the neighbour before: rows grow downwards, and columns to the right.
    slope = np.array([1, 2, 1, 0, 0, 0, -1, -2, -1]) / 8
    np.testing.assert_allclose(
        found["laplacian"][0][..., 2 * channels : 3 * channels], np.tensordot(slope, nine, 1), atol=1e-5
    )
    filters, params = found["depthwise"]
    expected = np.einsum("skc,snhwc->nhwkc", params["kernel"], nine).reshape(*states.shape[:3], -1)
    np.testing.assert_allclose(filters[..., channels:], expected, atol=1e-5)
    dense, params = found["convolution"]
    weights = np.asarray(params["Dense_0"]["kernel"]).reshape(9, channels, -1)
    np.testing.assert_allclose(dense, np.einsum("sck,snhwc->nhwk", weights, nine).clip(0), atol=1e-4)


def test_attention_is_a_weighted_mean_of_what_the_nine_cells_say() -> None:
    states = some_states(CONFIG)
    module = method("perceive", "attention")
    found, params = applied(module.create_perceive(FrozenDict(CONFIG)), states)
    mean, variance = states.mean(-1, keepdims=True), states.var(-1, keepdims=True)
    normal = (states - mean) / np.sqrt(variance + 1e-6)
    query, key, value = (
        (normal @ params[f"Dense_{n}"]["kernel"]).reshape(*states.shape[:3], module.HEADS, module.SIZE)
        for n in range(3)
    )
    scores = np.stack([(query * each).sum(-1) for each in around(key)]) / np.sqrt(module.SIZE)
    weights = np.exp(scores + params["bias"][:, None, None, None])
    weights /= weights.sum(0)
    read = (weights[..., None] * np.stack(around(value))).sum(0)
    np.testing.assert_allclose(found[..., CONFIG["CHANNELS"] :], read.reshape(*states.shape[:3], -1), atol=1e-4)


@pytest.fixture(scope="module")
def a_step() -> tuple[Any, Any, Any]:
    states = some_states(CONFIG)
    states[..., 3] = np.abs(states[..., 3]) + 0.2
    generator = np.random.default_rng(1)
    perception = generator.normal(size=(*states.shape[:3], 30)).astype(np.float32)
    noise = generator.random(size=(*states.shape[:3], 1)).astype(np.float32)
    return states, perception, noise


@pytest.mark.parametrize("name", named("update"))
def test_updates_change_some_cells_and_leave_the_dead_dead(name: str, a_step: Any) -> None:
    states, perception, noise = a_step
    update = method("update", name).create_update(FrozenDict(CONFIG))
    step = jax.jit(update.apply)
    variables = jax.jit(update.init)(jax.random.key(0), *a_step)
    if name != "gated":  # nothing changes at first
        np.testing.assert_allclose(step(variables, *a_step), states, atol=1e-6)
    generator = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: (0.1 * generator.normal(size=leaf.shape)).astype(np.float32), variables)
    changed = (np.asarray(step(variables, *a_step)) != states).any(-1)
    np.testing.assert_array_equal(changed, noise[..., 0] < (2 if name == "synchronous" else CONFIG["FIRE_RATE"]))
    states = states.copy()
    states[:, :6] = 0.0
    after = np.asarray(step(variables, states, perception, noise))
    assert not after[:, 1:5].any()
    assert after[:, 7:].any()


def test_gates_open_between_the_state_and_a_candidate(a_step: Any) -> None:
    states, perception, noise = a_step
    found, params = applied(method("update", "gated").create_update(FrozenDict(CONFIG)), *a_step)
    layers = [params[f"Dense_{n}"] for n in range(3)]
    hidden = (perception @ layers[0]["kernel"] + layers[0]["bias"]).clip(0)
    candidate, opening = (hidden @ each["kernel"] + each["bias"] for each in layers[1:])
    gate = 1 / (1 + np.exp(-opening)) * (noise < CONFIG["FIRE_RATE"])
    np.testing.assert_allclose(found, (1 - gate) * states + gate * candidate, atol=1e-5)


# --- training ---------------------------------------------------------------------------------------------------------


class Counter:
    """An automaton whose output channels count steps, times a parameter."""

    def rollout(self, params: Any, states: Any, key: Any, steps: int) -> Any:
        def body(states: Any, _: Any) -> Any:
            return states + params, states + params

        return jax.lax.scan(body, states, None, length=steps)[1]


def batch_of(code: Any, config: Any, count: int = 4) -> Any:
    shape = (count, config["GRID"], config["GRID"])
    return code.Samples(jnp.zeros((*shape, config["CHANNELS"])), jnp.zeros((*shape, config["OUTPUT"])), jnp.ones(shape))


@pytest.mark.parametrize("name", named("loss"))
def test_losses_look_at_the_steps_that_they_name(name: str, code: Any) -> None:
    config = FrozenDict(config_of("GrowingButterfly", STEPS=6))
    module, batch = method("loss", name), batch_of(code.pool, config)

    def loss(size: Any, key: Any) -> Any:
        return module.compute_loss(size, Counter(), batch, key, config)

    keys = jax.random.split(jax.random.key(0), 200)
    (losses, states), gradients = jax.jit(jax.vmap(jax.value_and_grad(loss, has_aux=True), (None, 0)))(0.1, keys)
    assert np.allclose(states, 0.6, atol=1e-5)
    squares = [0.01 * step**2 for step in range(1, 7)]
    if name == "last_step":
        np.testing.assert_allclose(losses, squares[5], rtol=1e-5)
    elif name == "every_late_step":
        np.testing.assert_allclose(losses, np.mean(squares[3:]), rtol=1e-5)
    else:
        assert float(losses.mean()) == pytest.approx(np.mean(squares[3:]), rel=0.03)
    if name == "truncated":  # steps 4 to 6 are differentiated through the last one to three of them
        expected = np.mean([2 * 0.1 * step * (step - 3) for step in (4, 5, 6)])
        assert float(gradients.mean()) == pytest.approx(expected, rel=0.06)
    elif name == "overflow":
        large = np.zeros(batch.states.shape, np.float32)
        large[..., -1] = 1.9
        batch = batch._replace(states=jnp.asarray(large))
        value, _ = jax.jit(loss)(0.0, keys[0])
        assert float(value) == pytest.approx(0.9 / (config["CHANNELS"] - config["OUTPUT"]), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", named("train"))
def test_training_steps_keep_the_pool_as_they_say(name: str) -> None:
    config = FrozenDict(config_of("GrowingButterfly", STEPS=4))
    with import_learner(DOMAIN, modules={"train": method_text(DOMAIN, "train", name)}) as code:
        data, pool = batch_of(code.pool, config, 1), batch_of(code.pool, config, config["POOL"])
        import optax

        optimizer = optax.sgd(0.0)
        step = code.train.make_train_step(Counter(), optimizer, data, config)
        params = jnp.float32(0.25)
        after = jax.jit(step)(params, optimizer.init(params), pool, jax.random.key(0))
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after[2]) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), pool
        )
        ages = np.asarray(after[2].states).max((1, 2, 3))
        trained = {"no_pool": 0, "pool_only": 4, "prioritised": 4, "two_updates": 8}[name]
        counted = round(float(ages.sum()))
        if name == "two_updates":
            assert 4 <= counted <= trained
        else:
            assert counted == trained and set(ages.tolist()) <= {0.0, 1.0}
        assert float(after[0]) == 0.25 and math.isfinite(float(after[3]))


def test_states_with_a_high_loss_are_trained_on_more_often() -> None:
    config = FrozenDict(config_of("MatrixOperations", STEPS=1, FRESH=0, BATCH=8))
    with import_learner(DOMAIN, modules={"train": method_text(DOMAIN, "train", "prioritised")}) as code:
        import optax

        data, pool = batch_of(code.pool, config, 1), batch_of(code.pool, config, 64)
        sizes = np.repeat(np.array([10.0, 0.1], np.float32), 32)[:, None, None, None]
        pool = pool._replace(states=pool.states + sizes)
        optimizer = optax.sgd(0.0)
        step = jax.jit(code.train.make_train_step(Counter(), optimizer, data, config))
        params = jnp.float32(1.0)
        high = 0
        for key in jax.random.split(jax.random.key(0), 20):
            _, _, after, _ = step(params, optimizer.init(params), pool, key)
            changed = (np.asarray(after.states) != np.asarray(pool.states)).any((1, 2, 3))
            assert changed.sum() == 8
            high += changed[:32].sum()
    assert high > 0.95 * 160  # chances differ by a factor of 10,000 to the power of 0.6


# --- optimisers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", named("optimiser"))
def test_optimisers_descend_as_far_as_their_learning_rates_say(name: str) -> None:
    config = FrozenDict(CONFIG | {"TRAIN_STEPS": 10})
    optimizer = method("optimiser", name).create_optimizer(config)
    params = {"a": np.ones((3, 2), np.float32), "b": np.zeros(4, np.float32)}
    gradients = {"a": np.full((3, 2), 5.0, np.float32), "b": np.full(4, 1e-3, np.float32)}
    state, moves, update = jax.jit(optimizer.init)(params), [], jax.jit(optimizer.update)
    for _ in range(11):
        updates, state = update(gradients, state, params)
        moves.append([-float(updates[key].ravel()[0]) for key in "ab"])
    first, last = np.array(moves[0]), np.array(moves[-1])
    rate = CONFIG["LR"]
    if name == "sgd":  # clipped to a length of one: in `a` there are six equal numbers
        np.testing.assert_allclose(first[0], 30 * rate / np.sqrt(6), rtol=1e-3)
    else:
        np.testing.assert_allclose(first, rate / (5 if name == "lion" else 1), rtol=1e-2)
    np.testing.assert_allclose(last, first * (1.0 if name == "adam" else CONFIG["LR_DECAY"]), rtol=1e-2)


def test_gradients_of_all_arrays_get_length_one() -> None:
    transformation = method("optimiser", "normalised").normalise_by_parameter()
    gradients = {"a": jnp.full((3, 2), 5.0), "b": jnp.full(4, -1e-3)}
    found, _ = transformation.update(gradients, transformation.init(gradients))
    np.testing.assert_allclose(found["a"], 1 / np.sqrt(6), rtol=1e-5)
    np.testing.assert_allclose(found["b"], -0.5, rtol=1e-4)
