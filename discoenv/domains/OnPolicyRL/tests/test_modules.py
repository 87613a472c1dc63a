"""OnPolicyRL: its formulas against plain NumPy, and its contracts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.domains.OnPolicyRL.tests.conftest import DOMAIN, MEMORIES
from discoenv.testing import import_learner

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("gymnax")


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    with import_learner(DOMAIN) as modules:
        yield modules


@pytest.fixture(scope="module")
def config(code: Any) -> Any:
    return code.run_config.get_config(DOMAIN.config("MinAtar/Breakout", "tiny"))


def random_rollout(code: Any, steps: int = 40, envs: int = 3) -> Any:
    rng = np.random.default_rng(0)
    floats = [rng.normal(size=(steps, envs)).astype(np.float32) for _ in range(4)]
    log_prob, value, reward, final_value = floats
    terminated = rng.random((steps, envs)) < 0.1
    truncated = ~terminated & (rng.random((steps, envs)) < 0.1)
    obs = rng.normal(size=(steps, envs, 5)).astype(np.float32)
    action = rng.integers(3, size=(steps, envs))
    return code.transition.Transition(obs, action, log_prob, value, reward, terminated, truncated, final_value, {})


# --- formulas ---------------------------------------------------------------------------------------------------------


def test_advantages_are_the_sums_of_discounted_td_errors_within_each_episode(code: Any, config: Any) -> None:
    rollout = random_rollout(code)
    last_val = np.array([0.3, -0.2, 0.9], np.float32)
    advantages, targets = code.targets.get_targets(jax.tree.map(jnp.asarray, rollout), last_val, config)

    gamma, lambda_ = config["GAMMA"], config["GAE_LAMBDA"]
    steps, envs = rollout.reward.shape
    next_value = np.concatenate([rollout.value[1:], last_val[None]])
    next_value = np.where(rollout.truncated, rollout.final_value, next_value)
    delta = rollout.reward + gamma * np.where(rollout.terminated, 0, next_value) - rollout.value
    expected = np.zeros((steps, envs))
    for env in range(envs):
        for t in range(steps):
            for k in range(t, steps):
                expected[t, env] += (gamma * lambda_) ** (k - t) * delta[k, env]
                if rollout.terminated[k, env] or rollout.truncated[k, env]:
                    break
    np.testing.assert_allclose(advantages, expected, atol=1e-5)
    np.testing.assert_allclose(targets, expected + rollout.value, atol=1e-5)


@pytest.mark.parametrize(("end", "bootstrap"), [("terminated", 0.0), ("truncated", 5.0), ("neither", 7.0)])
def test_only_a_truncated_or_running_episode_is_bootstrapped(
    code: Any, config: Any, end: str, bootstrap: float
) -> None:
    one = jnp.ones((1, 1))
    step = code.transition.Transition(
        obs=one,
        action=one,
        log_prob=one,
        value=2 * one,
        reward=3 * one,
        terminated=one.astype(bool) & (end == "terminated"),
        truncated=one.astype(bool) & (end == "truncated"),
        final_value=5 * one,
        info={},
    )
    advantages, _ = code.targets.get_targets(step, jnp.array([7.0]), config)
    assert float(advantages[0, 0]) == pytest.approx(3 + config["GAMMA"] * bootstrap - 2, abs=1e-5)


@pytest.mark.parametrize("backend", ["default", "recurrent"])
@pytest.mark.parametrize("continuous", [False, True])
def test_loss_is_the_clipped_objective_of_the_paper(backend: str, continuous: bool) -> None:
    rng = np.random.default_rng(1)
    shape = (64,) if backend == "default" else (16, 4)
    loc = rng.normal(size=(*shape, 3)).astype(np.float32)
    log_std = (0.2 * rng.normal(size=3)).astype(np.float32)
    new_value, old_value, targets, gae = (rng.normal(size=shape).astype(np.float32) for _ in range(4))
    if continuous:
        action: Any = rng.normal(size=(*shape, 3)).astype(np.float32)
        sigma = np.exp(log_std)
        log_prob = np.log(np.exp(-(((action - loc) / sigma) ** 2) / 2) / sigma / np.sqrt(2 * np.pi)).sum(-1)
        entropy = np.log(sigma * np.sqrt(2 * np.pi * np.e)).sum()
    else:
        action = rng.integers(3, size=shape)
        p = np.exp(loc) / np.exp(loc).sum(-1, keepdims=True)
        log_prob = np.log(np.take_along_axis(p, action[..., None], -1)[..., 0])
        entropy = -(p * np.log(p)).sum(-1).mean()
    old_log_prob = (log_prob + 0.3 * rng.normal(size=shape)).astype(np.float32)

    with import_learner(DOMAIN, backend=backend) as code:
        config = code.run_config.get_config(DOMAIN.config("MinAtar/Breakout", "tiny"))
        parts = {name: jnp.zeros(shape) for name in code.transition.Transition._fields}
        parts |= {"action": jnp.asarray(action), "log_prob": old_log_prob, "value": old_value}
        batch = code.transition.Transition(**parts)
        if continuous:
            pi = code.rl_jax.distributions.DiagonalNormal(jnp.asarray(loc), jnp.asarray(log_std))
        else:
            pi = code.rl_jax.distributions.Categorical(jnp.asarray(loc))
        outputs, memory = ((pi, new_value), ()) if backend == "default" else ((None, pi, new_value), (None,))
        network = SimpleNamespace(apply=lambda params, *inputs: outputs)
        total, (value_loss, actor_loss, entropy_got) = code.loss.loss_actor_and_critic(
            {}, *memory, batch, gae, targets, network, config
        )

    epsilon = config["CLIP_EPS"]
    ratio = np.exp(log_prob - old_log_prob)
    # Over the minibatch; with a memory train.py has done it, over the rollout.
    advantage = (gae - gae.mean()) / (gae.std() + 1e-8) if backend == "default" else gae
    expected_actor = -np.minimum(ratio * advantage, np.clip(ratio, 1 - epsilon, 1 + epsilon) * advantage).mean()
    clipped = old_value + np.clip(new_value - old_value, -epsilon, epsilon)
    expected_value = 0.5 * np.maximum((new_value - targets) ** 2, (clipped - targets) ** 2).mean()
    np.testing.assert_allclose(actor_loss, expected_actor, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(value_loss, expected_value, rtol=1e-5)
    np.testing.assert_allclose(entropy_got, entropy, rtol=1e-5)
    expected = expected_actor + config["VF_COEF"] * expected_value - config["ENT_COEF"] * entropy
    np.testing.assert_allclose(total, expected, rtol=1e-4, atol=1e-5)


def test_schedule_decays_linearly_from_the_learning_rate_to_zero(code: Any, config: Any) -> None:
    schedule = code.schedule.make_schedule_fn(config, 0.01)
    per_update = config["UPDATE_EPOCHS"] * config["NUM_MINIBATCHES"]
    updates = config["NUM_UPDATES"]
    counts = jnp.array([0, per_update - 1, per_update, per_update * updates // 2, per_update * updates])
    expected = 0.01 * np.array([1, 1, 1 - 1 / updates, 0.5, 0])
    np.testing.assert_allclose(jax.vmap(schedule)(counts), expected, atol=1e-7)


# --- contracts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("leading", [(), (7,), (2, 7)])
def test_network_keeps_leading_axes(code: Any, config: Any, continuous: bool, leading: tuple[int, ...]) -> None:
    values = code.run_config.get_config({**config, "CONTINUOUS": continuous})
    network = code.networks.ActorCritic(4, values, code.activation.get_activation(values))
    obs = jnp.ones((*leading, 12))
    (pi, value), _ = jax.jit(network.init_with_output)(jax.random.key(0), obs)
    action = pi.sample(seed=jax.random.key(1))
    assert value.shape == pi.log_prob(action).shape == pi.entropy().shape == leading
    assert action.shape == pi.mode().shape == ((*leading, 4) if continuous else leading)


def test_config_derives_its_sizes_and_cannot_be_changed(code: Any) -> None:
    values = DOMAIN.config("MinAtar/Breakout", "full")
    config = code.run_config.get_config(values)
    assert (config["NUM_UPDATES"], config["MINIBATCH_SIZE"]) == (1220, 1024)
    with pytest.raises(ValueError, match="immutable"):
        config["TOTAL_TIMESTEPS"] = 10**9
    with pytest.raises(ValueError, match="multiple of NUM_MINIBATCHES"):
        code.run_config.get_config({**values, "NUM_MINIBATCHES": 3})
    with pytest.raises(ValueError, match="multiple of NUM_SEEDS"):
        code.run_config.get_config({**values, "NUM_SEEDS": 7})


@pytest.mark.parametrize("dataset", DOMAIN.datasets)
@pytest.mark.parametrize("scale", ["tiny", "small", "full"])
def test_every_configuration_fits_every_backend(code: Any, dataset: str, scale: str) -> None:
    config = code.run_config.get_config(DOMAIN.config(dataset, scale))
    assert config["NUM_UPDATES"] > 0
    assert config["NUM_ENVS"] % config["NUM_MINIBATCHES"] == 0  # memories: minibatches are made of environments
    assert config["EMBEDDING_SIZE"] % config["NUM_HEADS"] == 0
    tuned = (config["NUM_LEARNING_RATES"], config["NUM_SEEDS"])
    assert tuned == ((10, 8) if scale == "full" else (1, 1))
    assert DOMAIN.needs_gpu(dataset, "full") == config["SUITE"].startswith(("brax", "craftax"))


def test_the_learning_rate_is_chosen_by_the_returns_at_the_end_of_training(code: Any) -> None:
    """Three rates, two seeds, 40 updates, of which the last 5 % in which an episode ended count."""
    returns = np.zeros((3, 2, 40), np.float32)
    returns[0, :, :38] = 100.0  # good for long, but not at the end
    returns[1, 0, -2:], returns[1, 1, -2:] = 10.0, 0.0
    returns[2, :, 36:38], returns[2, :, 38:] = 6.0, np.nan  # no episode ended in the last two updates
    assert code.main.best_rate(returns) == 2
    returns[2, 0] = np.nan  # one run without any episode
    assert code.main.best_rate(returns) == 1
    assert code.main.best_rate(np.full((2, 1, 5), np.nan, np.float32)) == 0


def test_lines_of_progress_are_windows_in_which_an_episode_ended(code: Any, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"NUM_ENVS": 2, "NUM_STEPS": 5}
    returns = np.full((1, 20), np.nan, np.float32)
    returns[0, [5, 11, 12]] = 3.0, 5.0, 9.0
    code.main.report(returns, config)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["60", "3.000"],
        ["120", "5.000"],
        ["140", "9.000"],
        ["200", "no", "episode", "ended"],
    ]
    code.main.report(np.ones((2, 20), np.float32), config)
    assert len(capsys.readouterr().out.splitlines()) == 11


@pytest.mark.parametrize("backend", DOMAIN.backends)
def test_stubs_import_cleanly_and_refuse_to_run(backend: str) -> None:
    with import_learner(DOMAIN, backend=backend, stubs=DOMAIN.modules) as stub:
        config = stub.run_config.get_config(DOMAIN.config("MinAtar/Breakout", "tiny"))
        network = stub.networks.ActorCritic(3, config, jnp.tanh)
        x, first = jnp.ones((1, 2, 4)), jnp.ones((1, 2), bool)
        inputs = (None, x, first) if backend in MEMORIES else (x,)
        batch = (None,) * (4 if backend in MEMORIES else 3)
        calls: dict[str, Callable[[], Any]] = {
            "loss": lambda: stub.loss.loss_actor_and_critic({}, *batch, network, config),
            "networks": lambda: network.init(jax.random.key(0), *inputs),
            "optim": stub.optim.scale_by_optimizer,
            "train": lambda: stub.train.make_train(config),
            "activation": lambda: stub.activation.get_activation(config),
            "targets": lambda: stub.targets.get_targets(None, None, config),
            "schedule": lambda: stub.schedule.make_schedule_fn(config, 0.1),
        }
        assert set(calls) == set(DOMAIN.modules)
        for module, call in calls.items():
            with pytest.raises(NotImplementedError, match=f"{module}.py"):
                call()
        if backend in MEMORIES:
            with pytest.raises(NotImplementedError, match=r"networks.py: ActorCritic.initial_memory"):
                network.initial_memory(2)
