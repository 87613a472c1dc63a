"""OffPolicyRL's modules: the loss and the exploration against plain NumPy, and contracts."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.domains.OffPolicyRL.tests.conftest import CANDIDATES, CARTPOLE, DOMAIN, settings
from discoenv.testing import import_learner

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("gymnax")


# --- formulas ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("double", [True, False])
def test_loss_is_the_error_to_the_double_or_plain_dqn_target(code: Any, double: bool) -> None:
    rng = np.random.default_rng(1)
    size, features, actions = 32, 5, 4
    online, target = (rng.normal(size=(features, actions)).astype(np.float32) for _ in range(2))
    obs, next_obs = (rng.normal(size=(size, features)).astype(np.float32) for _ in range(2))
    reward, weight = rng.normal(size=size).astype(np.float32), rng.random(size).astype(np.float32)
    discount = np.where(rng.random(size) < 0.3, 0, 0.97).astype(np.float32)
    action = rng.integers(actions, size=size)
    arrays = (obs, action, reward, next_obs, discount, weight, np.arange(size))
    batch = code.transition.Batch(*(jnp.asarray(x) for x in arrays))

    expected_td = np.zeros(size)
    for i in range(size):
        chooser = online if double else target
        best = int(np.argmax(next_obs[i] @ chooser))
        value = (next_obs[i] @ target)[best]
        expected_td[i] = reward[i] + discount[i] * value - (obs[i] @ online)[action[i]]
    if double:
        q_update, error = code.q_update, expected_td**2
    else:  # the candidate with the original target, and a Huber loss
        path = CANDIDATES / "01_vanilla_dqn/q_update.py"
        spec = importlib.util.spec_from_file_location("vanilla_q_update", path)
        assert spec and spec.loader
        q_update = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(q_update)
        absolute = np.abs(expected_td)
        error = np.where(absolute < 1, expected_td**2 / 2, absolute - 0.5)

    network = SimpleNamespace(apply=lambda params, obs: obs @ params)
    (loss, td_error), gradient = jax.value_and_grad(q_update.q_loss_fn, has_aux=True)(
        jnp.asarray(online), jnp.asarray(target), network, batch, {}
    )
    np.testing.assert_allclose(td_error, expected_td, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(loss, np.mean(weight * error), rtol=1e-5)

    # The target is a constant: only the estimate has a gradient.
    slope = -2 * expected_td if double else -np.clip(expected_td, -1, 1)
    expected_gradient = np.zeros_like(online)
    for i in range(size):
        expected_gradient[:, action[i]] += weight[i] * slope[i] * obs[i] / size
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-5)


def test_epsilon_falls_linearly_and_then_stays(code: Any) -> None:
    config = settings(code, EPSILON_START=0.8, EPSILON_FINISH=0.2, EPSILON_DECAY_STEPS=1000)
    size, actions = 40_000, 4
    q_vals = jnp.tile(jnp.array([0.0, 3.0, 1.0, 2.0]), (size, 1))
    explore = jax.jit(lambda rng, t: code.policy.explore(rng, q_vals, t, config))
    for t, epsilon in [(0, 0.8), (500, 0.5), (1000, 0.2), (99_999, 0.2)]:
        counts = np.bincount(np.asarray(explore(jax.random.key(t), t)), minlength=actions) / size
        expected = epsilon / actions + (1 - epsilon) * (np.arange(actions) == 1)
        np.testing.assert_allclose(counts, expected, atol=0.01)
    np.testing.assert_array_equal(code.policy.exploit(jax.random.key(0), q_vals[:3], 0, config), [1, 1, 1])


# --- contracts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leading", [(), (7,), (2, 7)])
def test_network_keeps_leading_axes(code: Any, leading: tuple[int, ...]) -> None:
    network = code.networks.QNetwork(4, settings(code))
    obs = jnp.ones((*leading, 12))
    assert network.apply(network.init(jax.random.key(0), obs), obs).shape == (*leading, 4)


def test_what_is_given_wins_over_what_config_py_says() -> None:
    source = 'def make_config(settings):\n    return {"LR": 0.1, "TOTAL_TIMESTEPS": 10**9, "NUM_ENVS": 1}\n'
    with import_learner(DOMAIN, modules={"config": source}) as code:
        config = code.run_config.get_config(CARTPOLE)
        assert config["LR"] == 0.1
        for key in ("TOTAL_TIMESTEPS", "NUM_ENVS"):
            assert config[key] == CARTPOLE[key]
        with pytest.raises(ValueError, match="immutable"):
            config["TOTAL_TIMESTEPS"] = 10**9
        code.run_config.make_config = lambda settings: {"GAMMA": 0.9}
        with pytest.raises(ValueError, match=r"make_config.* LR"):
            code.run_config.get_config(CARTPOLE)


def test_stubs_import_cleanly_and_refuse_to_run(code: Any) -> None:
    config = settings(code)
    with import_learner(DOMAIN, stubs=DOMAIN.modules) as stub:
        network = stub.networks.QNetwork(3, config)
        calls: dict[str, list[Callable[[], Any]]] = {
            "config": [lambda: stub.run_config.get_config(CARTPOLE)],
            "networks": [lambda: network.init(jax.random.key(0), jnp.ones(4))],
            "optim": [stub.optim.scale_by_optimizer],
            "policy": [
                lambda: stub.policy.explore(None, None, 0, config),
                lambda: stub.policy.exploit(None, None, 0, config),
            ],
            "q_update": [lambda: stub.q_update.q_loss_fn({}, {}, network, None, config)],
            "rb": [lambda: stub.rb.get_replay_buffer(config)],
            "train": [lambda: stub.train.make_train(config)],
        }
        assert set(calls) == set(DOMAIN.modules)
        for module, attempts in calls.items():
            for call in attempts:
                with pytest.raises(NotImplementedError, match=f"{module}.py"):
                    call()


def test_the_base_config_has_what_its_documentation_names(code: Any) -> None:
    documented = code.config.make_config.__doc__
    for dataset in DOMAIN.datasets:
        for scale in DOMAIN.scales(dataset):
            chosen = code.config.make_config(DOMAIN.config(dataset, scale))
            assert all(key in documented for key in chosen)
            values = DOMAIN.config(dataset, scale)
            assert not set(chosen) & set(values)
            assert chosen["LEARNING_STARTS"] < values["TOTAL_TIMESTEPS"]
            assert values["EVALUATION_EPISODES"] % values["NUM_SEEDS"] == 0


@pytest.mark.parametrize("candidate", sorted(CANDIDATES.glob("[0-9]*")), ids=lambda path: path.name)
def test_candidates_keep_the_interfaces(candidate: Path) -> None:
    with import_learner(DOMAIN, modules=candidate) as code:
        result = jax.eval_shape(code.train.make_train(settings(code)), jax.random.key(0), jnp.float32(0.1))
        assert result["metrics"]["mean_training_return"].dtype == jnp.float32
        assert jax.tree.leaves(result["params"])
