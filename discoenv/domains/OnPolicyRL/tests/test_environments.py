"""OnPolicyRL: the environments of all datasets, and what is put around them for training."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.domains.OnPolicyRL.tests.conftest import DOMAIN, actor_critic
from discoenv.testing import import_learner

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("gymnax")

#: Length D of observations, and number of actions or length of the action vector.
SIZES = {
    "MinAtar/Asterix": (400, 5),
    "MinAtar/Breakout": (400, 3),
    "MinAtar/Freeway": (700, 3),
    "MinAtar/SpaceInvaders": (600, 4),
    "Brax/Ant": (27, 8),
    "Brax/HalfCheetah": (17, 6),
    "Brax/Hopper": (11, 3),
    "Brax/Humanoid": (244, 17),
    "Brax/Pusher": (23, 7),
    "Brax/Reacher": (11, 2),
    "Brax/Walker2D": (17, 6),
    "Craftax/Craftax": (8268, 43),
    "Craftax/Craftax-Classic": (1345, 17),
}
QUICK = ("Brax/Reacher",)
PENDULUM = DOMAIN.config("MinAtar/Breakout", "tiny") | {"ENV_NAME": "Pendulum-v1", "CONTINUOUS": True, "NUM_ENVS": 2}


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    with import_learner(DOMAIN) as modules:
        yield modules


def require(dataset: str) -> None:
    if DOMAIN.missing_packages(dataset):
        pytest.skip(f"{dataset} needs packages that are not installed")


@pytest.mark.parametrize(
    "dataset",
    [
        pytest.param(name, marks=() if name.startswith("MinAtar") or name in QUICK else pytest.mark.slow)
        for name in DOMAIN.datasets
    ],
)
def test_every_environment_has_the_shapes_of_its_description(code: Any, dataset: str) -> None:
    require(dataset)
    config = DOMAIN.config(dataset, "tiny") | {"NUM_ENVS": 3}
    size, action_dim = SIZES[dataset]
    env, params = code.make_env.make_env(config)
    assert code.make_env.get_action_dim(env, params, config) == action_dim
    _, state = jax.eval_shape(env.reset, jax.random.key(0), params)
    action = jnp.zeros((3, action_dim)) if config["CONTINUOUS"] else jnp.zeros(3, int)
    obs, after, reward, terminated, truncated, info = jax.eval_shape(env.step, jax.random.key(0), state, action, params)
    assert obs.shape == info["final_observation"].shape == (3, size)
    assert obs.dtype == info["final_observation"].dtype == jnp.float32
    assert reward.shape == terminated.shape == truncated.shape == info["episode_return"].shape == (3,)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    text = DOMAIN.dataset_description(dataset)
    assert f"float32[{size}]" in text
    assert f"float32[{action_dim}]" in text if config["CONTINUOUS"] else f"({action_dim})" in text


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["MinAtar/Asterix", "Brax/Reacher", "Craftax/Craftax-Classic"])
def test_environments_of_every_suite_run(code: Any, dataset: str) -> None:
    require(dataset)
    config = DOMAIN.config(dataset, "tiny") | {"NUM_ENVS": 3}
    env, params = code.make_env.make_env(config)
    obs, state = jax.jit(env.reset)(jax.random.key(0), params)
    action = jnp.zeros((3, SIZES[dataset][1])) if config["CONTINUOUS"] else jnp.zeros(3, int)
    step = jax.jit(env.step)
    for t in range(2):
        obs, state, reward, terminated, truncated, _ = step(jax.random.key(t), state, action, params)
        assert bool(jnp.isfinite(obs).all()) and bool(jnp.isfinite(reward).all())
        assert not terminated.any() and not truncated.any()
    assert code.make_env.count_steps(state) == 6


def test_environments_reset_themselves_and_keep_the_final_observation(code: Any) -> None:
    env, params = code.make_env.make_env(PENDULUM)
    params = params.replace(max_steps_in_episode=3)
    obs, state = env.reset(jax.random.key(0), params)
    step = jax.jit(env.step)
    total = np.zeros(2)
    for t in range(1, 5):
        previous = obs
        obs, state, reward, terminated, truncated, info = step(jax.random.key(t), state, jnp.zeros((2, 1)), params)
        total = total * (t != 4) + np.asarray(reward)
        np.testing.assert_allclose(info["episode_return"], total, rtol=1e-5)
        assert not terminated.any()
        assert (np.asarray(truncated) == (t == 3)).all()
        assert (np.asarray(info["episode_length"]) == (t if t < 4 else 1)).all()
        assert np.allclose(obs, info["final_observation"]) == (t != 3)
    assert previous.shape == obs.shape == (2, 3)
    assert code.make_env.count_steps(state) == 8


def test_policies_see_observations_as_they_did_at_the_end_of_training(code: Any) -> None:
    obs = np.random.default_rng(0).normal(5.0, 3.0, (21, 2)).astype(np.float32)
    wrappers = code.rl_jax.wrappers
    moments = wrappers.RunningMoments.of_nothing((2,)).update(obs)
    state = SimpleNamespace(env_state=wrappers.ObservationState(None, moments))  # inside of another wrapper's
    handed_over = wrappers.RunningMoments(**code.make_env.get_moments(state))
    np.testing.assert_allclose(handed_over.standardise(obs), (obs - obs.mean(0)) / obs.std(0), atol=1e-3)
    assert float(handed_over.standardise(np.full(2, 1e9, np.float32)).max()) == 10.0
    assert code.make_env.get_moments(SimpleNamespace(env_state=None)) == {}


def test_a_policy_takes_the_statistics_of_its_training_into_the_exam(code: Any) -> None:
    values = PENDULUM | {"NORMALIZE": True, "NUM_ENVS": 4, "NUM_STEPS": 8, "TOTAL_TIMESTEPS": 96}
    config = code.run_config.get_config(values)
    _, results = code.main.train_agents(code.train.make_train(config), config, seed=0)
    state = code.main.handed_over(results, 0)
    moments = state["moments"]
    assert moments["mean"].shape == (1, 3) and float(moments["count"][0]) == pytest.approx(96 + 4, rel=1e-3)

    network = actor_critic(code, config)
    _, act = code.answer.make_policy(code.run_config.get_config({**values, "ACTION_DIM": 1}))
    obs = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    mean, variance = (np.asarray(moments[name][0]) for name in ("mean", "variance"))
    own = jax.tree.map(lambda x: x[0], state["params"])
    expected = network.apply(own, np.clip((obs - mean) / np.sqrt(variance + 1e-8), -10, 10))[0].mode()
    key = np.zeros(2, np.uint32)
    actions, _ = act(state, {}, obs[None], np.ones((1, 6), bool), key)
    np.testing.assert_allclose(actions[0], expected, atol=1e-5)
    elsewhere, _ = act(state, {}, obs[None] + 100.0, np.zeros((1, 6), bool), key)
    assert np.abs(elsewhere[0] - expected).max() > 1e-3
