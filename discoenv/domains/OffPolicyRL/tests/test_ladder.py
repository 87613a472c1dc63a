"""The ladder of OffPolicyRL: its methods against plain NumPy, and each of them in an exam."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.domains.OffPolicyRL.tests.conftest import DOMAIN, SHORT, settings
from discoenv.domains.OffPolicyRL.tests.test_buffers import filled_buffer, transitions
from discoenv.tasks.ladder import ladder_of, method_text
from discoenv.testing import examined, import_learner, make_examiner

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("gymnax")

LADDERS = ladder_of(DOMAIN)


@contextlib.contextmanager
def with_method(module: str, method: str) -> Iterator[Any]:
    """The learner's code, with one module replaced."""
    with import_learner(DOMAIN, modules={module: method_text(DOMAIN, module, method)}) as code:
        yield code


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("number", range(max(len(ladder.methods) for ladder in LADDERS.values())))
def test_every_method_passes_an_exam(number: int) -> None:
    """The methods with this number, one of each module, make one agent, which is trained shortly."""
    chosen = {module: list(ladder.methods)[number % len(ladder.methods)] for module, ladder in LADDERS.items()}
    texts = {module: method_text(DOMAIN, module, method) for module, method in chosen.items()}
    short = {**SHORT, "TOTAL_TIMESTEPS": 2000}
    with import_learner(DOMAIN, dataset="Classic/CartPole", modules=texts) as code:
        config = code.run_config.get_config(short)
        params, _, steps = code.main.train_all(config, seed=0)
        params = jax.tree.map(lambda x: x[0], params)
        state = {"params": params, "env_steps": steps}
        metrics = examined(make_examiner(DOMAIN, "Classic/CartPole", **short), code.answer, state, 0)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(params)), chosen
    assert metrics["return_mean"] > 0, chosen
    assert metrics["env_steps"] == 2000, chosen


# --- the loss ---------------------------------------------------------------------------------------------------------


def no_target_network(q: Any, target: Any, obs: Any, action: int, next_obs: Any) -> tuple[float, float]:
    return 0.0, (next_obs @ q).max()


def dqn(q: Any, target: Any, obs: Any, action: int, next_obs: Any) -> tuple[float, float]:
    return 0.0, (next_obs @ target).max()


def huber(q: Any, target: Any, obs: Any, action: int, next_obs: Any) -> tuple[float, float]:
    return 0.0, (next_obs @ target)[(next_obs @ q).argmax()]


def munchausen(q: Any, target: Any, obs: Any, action: int, next_obs: Any) -> tuple[float, float]:
    def policy(values: Any) -> Any:
        exponentials = np.exp((values - values.max()) / 0.03)
        return exponentials / exponentials.sum()

    bonus = 0.9 * max(-1.0, 0.03 * np.log(policy(obs @ target)[action]))
    pi = policy(next_obs @ target)
    entropies = np.where(pi > 0, 0.03 * np.log(np.maximum(pi, 1e-300)), 0.0)
    return bonus, np.sum(pi * (next_obs @ target - entropies))


def advantage_learning(q: Any, target: Any, obs: Any, action: int, next_obs: Any) -> tuple[float, float]:
    values = obs @ target
    return -0.9 * (values.max() - values[action]), (next_obs @ target).max()


METHODS = [no_target_network, dqn, huber, munchausen, advantage_learning]


@pytest.mark.parametrize("method", METHODS)
def test_losses_are_errors_to_the_targets_of_the_papers(method: Callable[..., tuple[float, float]]) -> None:
    rng = np.random.default_rng(1)
    size, features, actions = 32, 5, 4
    online, target = (0.3 * rng.normal(size=(features, actions)) for _ in range(2))
    obs, next_obs = (rng.normal(size=(size, features)) for _ in range(2))
    reward, weight = rng.normal(size=size), rng.random(size)
    discount = np.where(rng.random(size) < 0.3, 0, 0.97)
    action = rng.integers(actions, size=size)
    expected = np.zeros(size)
    for i in range(size):
        bonus, following = method(online, target, obs[i], action[i], next_obs[i])
        expected[i] = reward[i] + bonus + discount[i] * following - (obs[i] @ online)[action[i]]
    absolute = np.abs(expected)
    error = np.where(absolute < 1, expected**2 / 2, absolute - 0.5) if method is huber else expected**2
    network = SimpleNamespace(apply=lambda params, obs: obs @ params)
    with with_method("q_update", method.__name__) as code:
        arrays = (obs, action, reward, next_obs, discount, weight, np.arange(size))
        batch = code.transition.Batch(*(jnp.asarray(x) for x in arrays))
        online, target = (jnp.asarray(x, jnp.float32) for x in (online, target))
        (loss, td_error), gradient = jax.value_and_grad(code.q_update.q_loss_fn, has_aux=True)(
            online, target, network, batch, {}
        )
    np.testing.assert_allclose(td_error, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(loss, np.mean(weight * error), rtol=1e-4)
    # Only the estimate is differentiated.
    slope = np.clip(expected, -1, 1) if method is huber else 2 * expected
    by_hand = np.zeros((features, actions))
    for i in range(size):
        by_hand[:, action[i]] -= weight[i] * slope[i] * obs[i] / size
    np.testing.assert_allclose(gradient, by_hand, rtol=1e-3, atol=1e-5)


# --- replay -----------------------------------------------------------------------------------------------------------


def test_prioritised_replay_draws_and_weighs_in_proportion_to_errors() -> None:
    with with_method("rb", "prioritised") as code:
        config = settings(code, NUM_ENVS=2, BUFFER_SIZE=6, BATCH_SIZE=20_000, TOTAL_TIMESTEPS=20)
        buffer = code.rb.get_replay_buffer(config)
        state = filled_buffer(code, buffer, transitions(5, 2))
        error = jnp.array([0.5, -1.0, 1.5, 2.0, -2.5, 0.0])
        state = buffer.set_priorities(state, jnp.arange(6), error)
        batch = jax.jit(buffer.sample)(state, jax.random.key(0))
        later = buffer.add(state, code.transition.Transition(*(jnp.asarray(x) for x in transitions(6, 2)[5])))
    priority = (np.abs(error) + 1e-6) ** 0.6
    probability = priority / priority.sum()
    index = np.asarray(batch.index)
    np.testing.assert_allclose(np.bincount(index, minlength=6) / 20_000, probability, atol=0.015)
    expected = (6 * probability[index]) ** -(0.4 + 0.6 * 10 / 20)  # half of training is over
    np.testing.assert_allclose(batch.weight, expected / expected.max(), rtol=1e-4)
    # Rows 3 and 4 have overwritten rows 0 and 1; a new one counts as the largest so far.
    assert {int(t) for t in np.asarray(batch.obs)[:, 0]} == {2, 3, 4}
    np.testing.assert_allclose(later["priority"][2], np.full(2, 2.5**0.6), rtol=1e-5)


def test_a_batch_of_combined_replay_holds_the_newest_transition() -> None:
    with with_method("rb", "combined") as code:
        config = settings(code, NUM_ENVS=2, BUFFER_SIZE=6, BATCH_SIZE=8)
        buffer = code.rb.get_replay_buffer(config)
        for steps in (2, 3, 5):
            state = filled_buffer(code, buffer, transitions(steps, 2))
            times = {float(buffer.sample(state, jax.random.key(seed)).obs[0, 0]) for seed in range(4)}
            assert times == {steps - 1}


def test_recent_replay_forgets() -> None:
    with with_method("rb", "recent") as code:
        code.rb.SIZE = 4
        config = settings(code, NUM_ENVS=2, BUFFER_SIZE=100, BATCH_SIZE=100)
        buffer = code.rb.get_replay_buffer(config)
        batch = buffer.sample(filled_buffer(code, buffer, transitions(5, 2)), jax.random.key(0))
    assert set(np.asarray(batch.obs)[:, 0]) == {3, 4}


def test_returns_over_three_steps_are_those_of_the_candidate() -> None:
    """Whose sums and ends test_buffers.py checks."""
    code = (DOMAIN.directory / "candidates/02_three_steps/rb.py").read_text(encoding="utf-8").split("\n", 1)[1]
    assert method_text(DOMAIN, "rb", "three_steps").split("\n", 1)[1] == code


# --- policies, networks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", LADDERS["policy"].methods)
def test_explorers_draw_from_their_distributions(method: str) -> None:
    q_vals, batch = np.array([0.1, 0.6, -0.2], np.float32), 9000
    with with_method("policy", method) as code:
        config = settings(code, EPSILON_START=1.0, EPSILON_FINISH=0.2, EPSILON_DECAY_STEPS=100)
        tiled = jnp.tile(jnp.asarray(q_vals), (batch, 1))
        found = np.asarray(code.policy.explore(jax.random.key(0), tiled, jnp.int32(50), config))
        best = np.asarray(code.policy.exploit(jax.random.key(0), tiled, jnp.int32(50), config))
    assert (best == 1).all()
    epsilon = 0.6  # or the temperature, half of the way down
    is_best = np.arange(3) == 1
    softmax = np.exp(q_vals) / np.exp(q_vals).sum()
    cooled = np.exp(q_vals / epsilon) / np.exp(q_vals / epsilon).sum()
    probability = {
        "uniform": np.full(3, 1 / 3),
        "greedy": 1.0 * is_best,
        "boltzmann": cooled,
        "max_boltzmann": (1 - epsilon) * is_best + epsilon * softmax,
    }
    shares = np.bincount(found, minlength=3) / batch
    if method == "many_epsilons":
        for part, middle in ((slice(0, 3000), 1 / 6), (slice(6000, 9000), 5 / 6)):
            mean = np.mean(0.4 ** (1 + 7 * np.linspace(middle - 1 / 6, middle + 1 / 6, 101)))
            others = np.mean(found[part] != 1)
            assert others == pytest.approx(2 / 3 * mean, abs=0.02)
    else:
        np.testing.assert_allclose(shares, probability[method], atol=0.02)


@pytest.mark.parametrize("features", [6, 400])
@pytest.mark.parametrize("method", LADDERS["networks"].methods)
def test_networks_keep_leading_axes(method: str, features: int) -> None:
    with with_method("networks", method) as code:
        network = code.networks.QNetwork(3, settings(code))
        for leading in ((5,), (2, 5)):
            values, params = network.init_with_output(jax.random.key(0), jnp.ones((*leading, features)))
            assert values.shape == (*leading, 3)
    is_convolution = any(leaf.ndim == 4 for leaf in jax.tree.leaves(params))
    assert is_convolution == (method == "convolution" and features == 400)


@pytest.mark.parametrize("method", LADDERS["config"].methods)
def test_settings_are_complete_and_differ_from_the_base(method: str) -> None:
    with import_learner(DOMAIN) as code:
        base = code.config.make_config(SHORT)
    with with_method("config", method) as code:
        found = code.config.make_config(SHORT)
    assert set(found) == set(base)
    assert found != base


@pytest.mark.slow
@pytest.mark.parametrize("method", LADDERS["train"].methods)
def test_training_loops_differ_in_what_their_names_say_alone(method: str) -> None:
    """Without gradient steps all of them end with the parameters that the base ends with."""
    ends = []
    for modules in ({}, {"train": method_text(DOMAIN, "train", method)}):
        with import_learner(DOMAIN, modules=modules) as code:
            config = settings(code, LEARNING_STARTS=10**9, TOTAL_TIMESTEPS=80)
            if method == "resets" and modules:
                code.train.RESETS = 0
            ends.append(jax.jit(code.train.make_train(config))(jax.random.key(0), jnp.float32(1e-3)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *(end["params"] for end in ends))
    assert (np.asarray(ends[0]["env_state"].steps) == np.asarray(ends[1]["env_state"].steps)).all()
