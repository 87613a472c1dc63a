"""The ladder of OnPolicyRL: its methods against plain NumPy, and each of them in an exam."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.domains.OnPolicyRL.tests.conftest import DOMAIN, actor_critic
from discoenv.tasks.ladder import ladder_of, method_text, methods_of
from discoenv.testing import examined, import_learner, make_examiner

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("gymnax")

LADDERS = ladder_of(DOMAIN)
BREAKOUT = DOMAIN.config("MinAtar/Breakout", "tiny")


@contextlib.contextmanager
def with_method(module: str, method: str, backend: str = "default") -> Iterator[Any]:
    """The learner's code, with one module replaced."""
    text = method_text(DOMAIN, module, method)
    with import_learner(DOMAIN, backend=backend, modules={module: text}) as code:
        yield code


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "number"), [*(("default", number) for number in range(5)), ("recurrent", 0), ("transformer", 4)]
)
def test_every_method_passes_an_exam(backend: str, number: int) -> None:
    """The methods with this number, one of each module, make one agent, which is trained shortly."""
    methods: dict[str, list[str]] = {}
    for module, name in methods_of(DOMAIN, backend):
        methods.setdefault(module, []).append(name)
    chosen = {module: names[number % len(names)] for module, names in methods.items()}
    texts = {module: method_text(DOMAIN, module, method) for module, method in chosen.items()}
    with import_learner(DOMAIN, dataset="MinAtar/Breakout", backend=backend, modules=texts) as code:
        config = code.run_config.get_config({**BREAKOUT, "TOTAL_TIMESTEPS": 4 * 16 * 64})
        _, results = code.main.train_agents(code.train.make_train(config), config, seed=0)
        state = code.main.handed_over(results, 0)
        metrics = examined(make_examiner(DOMAIN, "MinAtar/Breakout"), code.answer, state, 0)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state["params"])]
    assert all(np.isfinite(leaf).all() for leaf in leaves), chosen
    assert metrics["return_mean"] >= 0, chosen
    assert metrics["env_steps"] == config["TOTAL_TIMESTEPS"], chosen


def test_every_method_is_in_an_exam_above() -> None:
    assert max(len(ladder.methods) for ladder in LADDERS.values()) == 5


# --- targets ----------------------------------------------------------------------------------------------------------


def return_over(rollout: Any, last_val: Any, gamma: float, t: int, env: int, steps: int) -> float:
    """Reward of ``steps`` steps from t, and the value of what follows; fewer where an episode or the rollout ends."""
    total = 0.0
    for k in range(steps):
        now = t + k
        total += gamma**k * rollout.reward[now, env]
        if rollout.terminated[now, env]:
            return float(total)
        if rollout.truncated[now, env]:
            return float(total + gamma ** (k + 1) * rollout.final_value[now, env])
        if now + 1 == len(rollout.reward):
            return float(total + gamma ** (k + 1) * last_val[env])
    return float(total + gamma**steps * rollout.value[t + steps, env])


@pytest.mark.parametrize(
    ("method", "gamma", "lambda_"),
    [
        ("td0", 0.99, 0.0),
        ("five_steps", 0.99, None),
        ("monte_carlo", 0.99, 1.0),
        ("gae_90", 0.99, 0.9),
        ("short_horizon", 0.95, 0.95),
    ],
)
def test_targets_are_mixtures_of_returns_over_several_steps(method: str, gamma: float, lambda_: float | None) -> None:
    rng = np.random.default_rng(0)
    steps, envs = 16, 3
    with with_method("targets", method) as code:
        config = code.run_config.get_config(BREAKOUT)
        parts = {name: rng.normal(size=(steps, envs)).astype(np.float32) for name in code.transition.Transition._fields}
        terminated = rng.random((steps, envs)) < 0.15
        truncated = ~terminated & (rng.random((steps, envs)) < 0.15)
        rollout = code.transition.Transition(**{**parts, "terminated": terminated, "truncated": truncated, "info": {}})
        last_val = np.array([0.3, -0.2, 0.9], np.float32)
        advantages, targets = code.targets.get_targets(
            jax.tree.map(jnp.asarray, rollout), jnp.asarray(last_val), config
        )
    expected = np.zeros((steps, envs))
    for env in range(envs):
        for t in range(steps):
            if lambda_ is None:
                expected[t, env] = return_over(rollout, last_val, gamma, t, env, 5)
                continue
            # Weights (1 − λ) λ^(n − 1), and those of all longer returns on the longest, after which nothing changes.
            weights = [(1 - lambda_) * lambda_**k for k in range(steps)]
            weights[-1] = 1 - sum(weights[:-1])
            returns = [return_over(rollout, last_val, gamma, t, env, k + 1) for k in range(steps)]
            expected[t, env] = np.dot(weights, returns)
    np.testing.assert_allclose(targets, expected, atol=1e-4)
    np.testing.assert_allclose(advantages, expected - rollout.value, atol=1e-4)


# --- losses -----------------------------------------------------------------------------------------------------------


def a2c(ratio: Any, log_prob: Any, advantage: Any) -> Any:
    return log_prob * advantage


def kl_penalty(ratio: Any, log_prob: Any, advantage: Any) -> Any:
    return ratio * advantage - (ratio - 1 - np.log(ratio))


def unclipped_value(ratio: Any, log_prob: Any, advantage: Any) -> Any:
    return np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage)


def rollback(ratio: Any, log_prob: Any, advantage: Any) -> Any:
    low, high = (-0.3 * ratio + 1.3 * bound for bound in (0.8, 1.2))
    rolled = np.where(ratio <= 0.8, low, np.where(ratio >= 1.2, high, ratio))
    return np.minimum(ratio * advantage, rolled * advantage)


@pytest.mark.parametrize("objective", [a2c, kl_penalty, unclipped_value, rollback])
def test_losses_are_those_of_the_papers(objective: Callable[[Any, Any, Any], Any]) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(64, 3)).astype(np.float32)
    new_value, old_value, targets, gae = (rng.normal(size=64).astype(np.float32) for _ in range(4))
    action = rng.integers(3, size=64)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    log_prob = np.log(p[np.arange(64), action])
    old_log_prob = (log_prob + 0.4 * rng.normal(size=64)).astype(np.float32)
    with with_method("loss", objective.__name__) as code:
        config = code.run_config.get_config(BREAKOUT)
        parts: dict[str, Any] = {name: jnp.zeros(64) for name in code.transition.Transition._fields}
        parts |= {"action": jnp.asarray(action), "log_prob": old_log_prob, "value": old_value}
        pi = code.rl_jax.distributions.Categorical(jnp.asarray(logits))
        network = SimpleNamespace(apply=lambda params, obs: (pi, jnp.asarray(new_value)))
        total, (value_loss, actor_loss, entropy) = code.loss.loss_actor_and_critic(
            {}, code.transition.Transition(**parts), jnp.asarray(gae), targets, network, config
        )
    ratio, advantage = np.exp(log_prob - old_log_prob), (gae - gae.mean()) / gae.std()
    errors = (new_value - targets) ** 2
    if objective in (kl_penalty, rollback):  # as the base has it
        clipped = old_value + np.clip(new_value - old_value, -0.2, 0.2)
        errors = np.maximum(errors, (clipped - targets) ** 2)
    np.testing.assert_allclose(actor_loss, -objective(ratio, log_prob, advantage).mean(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(value_loss, errors.mean() / 2, rtol=1e-5)
    np.testing.assert_allclose(entropy, -(p * np.log(p)).sum(-1).mean(), rtol=1e-5)
    expected = actor_loss + config["VF_COEF"] * value_loss - config["ENT_COEF"] * entropy
    np.testing.assert_allclose(total, expected, rtol=1e-6)


# --- networks, optimisers, schedules ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("method", LADDERS["networks"].methods)
def test_networks_keep_leading_axes(method: str, continuous: bool) -> None:
    with with_method("networks", method) as code:
        config = code.run_config.get_config({**BREAKOUT, "CONTINUOUS": continuous})
        network = code.networks.ActorCritic(4, config, jnp.tanh)
        for leading in ((7,), (2, 7)):
            (pi, value), _ = network.init_with_output(jax.random.key(0), jnp.ones((*leading, 400)))
            action = pi.sample(seed=jax.random.key(1))
            assert value.shape == pi.log_prob(action).shape == leading
            assert action.shape == ((*leading, 4) if continuous else leading)


def test_the_convolution_sees_cells_of_the_game_together() -> None:
    with with_method("networks", "convolution") as code:
        network = actor_critic(code, code.run_config.get_config(BREAKOUT))
        params = network.init(jax.random.key(0), jnp.ones((1, 400)))
    kernels = [leaf.shape for leaf in jax.tree.leaves(params) if leaf.ndim == 4]
    assert kernels == [(3, 3, 4, 16)] * 2  # Breakout has four channels


@pytest.mark.parametrize("method", LADDERS["optim"].methods)
def test_optimisers_go_down_and_keep_shapes(method: str) -> None:
    params = {"w": jnp.array([[1.0, -2.0, 0.5], [0.3, 1.0, 2.0]]), "b": jnp.array([1.0, -1.0, 0.2])}

    def loss(params: Any) -> Any:
        return 0.5 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))

    with with_method("optim", method) as code:
        optimizer = code.optim.scale_by_optimizer()

        def step(now: Any, state: Any) -> Any:
            updates, state = optimizer.update(jax.grad(loss)(now), state, now)
            return jax.tree.map(lambda x, u: x - 0.05 * u, now, updates), state

        now, state, jitted = params, optimizer.init(params), jax.jit(step)
        first = state
        for _ in range(60):
            now, state = jitted(now, state)
        assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == jax.tree.map(lambda x: (x.shape, x.dtype), first)
        if method == "muon":
            values = jnp.linalg.svd(code.optim.orthogonalised(params["w"]), compute_uv=False)
            assert bool(((values > 0.6) & (values < 1.3)).all())
    assert float(loss(now)) < 0.9 * float(loss(params))


@pytest.mark.parametrize(
    ("method", "shares"),
    [
        ("constant", [1, 1, 1, 1]),
        ("cosine", [1, (1 + np.cos(np.pi / 4)) / 2, 0.5, 0]),
        ("warm_up_cosine", [0, (1 + np.cos(np.pi * 0.2 / 0.95)) / 2, (1 + np.cos(np.pi * 0.45 / 0.95)) / 2, 0]),
        ("inverse_square_root", [0, np.sqrt(0.05 / 0.25), np.sqrt(0.05 / 0.5), np.sqrt(0.05)]),
        ("one_cycle", [0.1, 0.1 + 1.9 * 0.25 / 0.3, 2 * 0.5 / 0.7, 0]),
    ],
)
def test_schedules_have_their_shapes(method: str, shares: list[float]) -> None:
    with with_method("schedule", method) as code:
        config = code.run_config.get_config({**BREAKOUT, "TOTAL_TIMESTEPS": 2**20})
        steps = config["NUM_UPDATES"] * config["UPDATE_EPOCHS"] * config["NUM_MINIBATCHES"]
        schedule = code.schedule.make_schedule_fn(config, jnp.float32(0.01))
        found = [float(schedule(jnp.int32(share * steps))) for share in (0, 0.25, 0.5, 1)]
    np.testing.assert_allclose(found, 0.01 * np.array(shares), atol=2e-5)
    assert min(found) >= 0


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("identity", [-1.0, 0.0, 2.0]),
        ("tanh", np.tanh([-1.0, 0.0, 2.0])),
        ("elu", [np.exp(-1) - 1, 0.0, 2.0]),
        ("silu", [-1 / (1 + np.e), 0.0, 2 / (1 + np.exp(-2))]),
        ("gelu", [-0.1588, 0.0, 1.9546]),
    ],
)
def test_activations_are_those_of_the_papers(method: str, values: Any) -> None:
    with with_method("activation", method) as code:
        found = code.activation.get_activation({"CONTINUOUS": False})(jnp.array([-1.0, 0.0, 2.0]))
    np.testing.assert_allclose(found, values, atol=1e-3)
