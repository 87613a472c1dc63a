"""OffPolicyRL: its formulas against plain NumPy, its replay buffers, training on the tiny scale, and its examiner."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.exams.examiner import ProtocolError, RuleBroken
from discoenv.exams.host import Host
from discoenv.exams.spec import ExamSpec
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.tasks.task import Setting, Task
from discoenv.tasks.workspace import materialise
from discoenv.testing import InProcessLearner, import_learner

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
gymnax = pytest.importorskip("gymnax")

from discoenv.domains.OffPolicyRL.evaluation import make_episodes  # noqa: E402
from discoenv.domains.OffPolicyRL.examiner import OffPolicyRLExaminer  # noqa: E402

DOMAIN = Domain(BUILTIN / "OffPolicyRL")
CANDIDATES = Path(__file__).parents[1] / "candidates"
CARTPOLE = DOMAIN.config("Classic/CartPole", "tiny")
#: So small that training takes no time.
SHORT = {**CARTPOLE, "NUM_ENVS": 4, "TOTAL_TIMESTEPS": 400, "EVALUATION_EPISODES": 6, "EVALUATION_STEPS": 5}

PRIORITISED = '''\
"""Proportional prioritised replay (Schaul et al. 2016)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from transition import Batch


class ReplayBuffer(NamedTuple):
    """Its functions."""

    init: object
    add: object
    sample: object
    set_priorities: object


def get_replay_buffer(config, alpha=0.6, beta=0.4):
    """A transition is drawn in proportion to |TD error| ** alpha, a new one as if it had the largest error so far."""
    envs, size = config["NUM_ENVS"], config["BUFFER_SIZE"] // config["NUM_ENVS"] * config["NUM_ENVS"]

    def init(transition):
        ring = jax.tree.map(lambda x: jnp.zeros((size, *x.shape), x.dtype), transition)
        return {"ring": ring, "added": jnp.int32(0), "priority": jnp.zeros(size), "largest": jnp.float32(1)}

    def add(state, transition):
        index = (state["added"] + jnp.arange(envs)) % size
        ring = jax.tree.map(lambda kept, new: kept.at[index].set(new), state["ring"], transition)
        priority = state["priority"].at[index].set(state["largest"])
        return {**state, "ring": ring, "added": state["added"] + envs, "priority": priority}

    def sample(state, rng):
        cumulative = jnp.cumsum(state["priority"])
        drawn = cumulative[-1] * jax.random.uniform(rng, (config["BATCH_SIZE"],))
        index = jnp.searchsorted(cumulative, drawn, side="right")
        probability = state["priority"][index] / cumulative[-1]
        weight = (jnp.minimum(state["added"], size) * probability) ** -beta
        ring = jax.tree.map(lambda kept: kept[index], state["ring"])
        discount = config["GAMMA"] * (1.0 - ring.terminated)
        return Batch(ring.obs, ring.action, ring.reward, ring.next_obs, discount, weight / weight.max(), index)

    def set_priorities(state, index, td_error):
        priority = (jnp.abs(td_error) + 1e-6) ** alpha
        largest = jnp.maximum(state["largest"], priority.max())
        return {**state, "priority": state["priority"].at[index].set(priority), "largest": largest}

    return ReplayBuffer(init, add, sample, set_priorities)
'''


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    with import_learner(DOMAIN) as modules:
        yield modules


@pytest.fixture(scope="module")
def cartpole() -> OffPolicyRLExaminer:
    return OffPolicyRLExaminer("Classic/CartPole", "tiny", {**CARTPOLE, "EVALUATION_EPISODES": 16})


class Balancer:
    """Plays CartPole by hand: pushes to the side that the pole falls to."""

    def act(self, obs: Any, done: Any) -> Any:
        return (obs[:, 2] + obs[:, 3] > 0).astype(int)


def settings(code: Any, **changes: Any) -> Any:
    """A configuration of the baseline with some keys changed, whoever sets them."""
    return code.main.FrozenDict({**code.main.get_config({**SHORT, **changes}), **changes})


def transitions(steps: int, envs: int, seed: int = 0) -> list[Any]:
    """Successive steps of ``envs`` environments: (step, environment) is in obs, and no two rewards are the same."""
    rng = np.random.default_rng(seed)
    terminated = rng.random((steps, envs)) < 0.15
    truncated = ~terminated & (rng.random((steps, envs)) < 0.15)
    given = []
    for t in range(steps):
        obs = np.stack([np.full(envs, t), np.arange(envs), np.zeros(envs)], 1).astype(np.float32)
        reward = (t * envs + np.arange(envs) + 1).astype(np.float32)
        action = rng.integers(2, size=envs).astype(np.int32)
        next_obs = obs + np.array([1, 0, 0], np.float32)
        given.append((obs, action, reward, next_obs, terminated[t], truncated[t]))
    return given


def filled_buffer(code: Any, buffer: Any, given: list[Any]) -> Any:
    """A buffer's state after ``given`` was added."""
    to_jax = [code.transition.Transition(*(jnp.asarray(x) for x in row)) for row in given]
    state = buffer.init(jax.tree.map(lambda x: x[0], to_jax[0]))
    add = jax.jit(buffer.add)
    for row in to_jax:
        state = add(state, row)
    return state


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


@pytest.mark.parametrize(("steps", "kept"), [(1, [0]), (3, [0, 1, 2]), (5, [0, 1, 2, 3, 4]), (7, [2, 3, 4, 5, 6])])
def test_the_buffer_is_a_ring_that_gives_only_what_it_holds(code: Any, steps: int, kept: list[int]) -> None:
    config = settings(code, NUM_ENVS=2, BUFFER_SIZE=11, BATCH_SIZE=400, GAMMA=0.9)
    buffer, given = code.rb.get_replay_buffer(config), transitions(steps, 2)
    batch = jax.jit(buffer.sample)(filled_buffer(code, buffer, given), jax.random.key(0))
    drawn = {(int(t), int(env)) for t, env, _ in np.asarray(batch.obs)}
    assert drawn == {(t, env) for t in kept for env in (0, 1)}
    for i, (t, env) in enumerate(np.asarray(batch.obs)[:, :2].astype(int)):
        obs, action, reward, next_obs, terminated, _ = (np.asarray(x)[env] for x in given[t])
        np.testing.assert_array_equal(batch.obs[i], obs)
        np.testing.assert_array_equal(batch.next_obs[i], next_obs)
        assert (batch.action[i], batch.reward[i]) == (action, reward)
        # A truncated episode is bootstrapped from its real last observation; a terminated one is not.
        assert float(batch.discount[i]) == pytest.approx(0.9 * (not terminated), abs=1e-6)
    np.testing.assert_array_equal(batch.weight, np.ones(400))


def test_the_buffer_draws_uniformly(code: Any) -> None:
    config = settings(code, NUM_ENVS=4, BUFFER_SIZE=20, BATCH_SIZE=40_000)
    buffer = code.rb.get_replay_buffer(config)
    batch = buffer.sample(filled_buffer(code, buffer, transitions(8, 4)), jax.random.key(0))
    counts = np.bincount(np.asarray(batch.index), minlength=20)
    np.testing.assert_allclose(counts / 40_000, np.full(20, 1 / 20), atol=0.005)


def test_setting_priorities_leaves_the_uniform_buffer_as_it_is(code: Any) -> None:
    buffer = code.rb.get_replay_buffer(settings(code, NUM_ENVS=2, BUFFER_SIZE=10, BATCH_SIZE=4))
    state = filled_buffer(code, buffer, transitions(3, 2))
    after = buffer.set_priorities(state, jnp.arange(4), jnp.ones(4))
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), state, after)))


def test_the_candidate_with_three_steps_sums_them_up_to_the_end_of_the_episode() -> None:
    source = (CANDIDATES / "02_three_steps/rb.py").read_text(encoding="utf-8")
    gamma, envs, rows, steps = 0.9, 2, 12, 17
    with import_learner(DOMAIN, modules={"rb": source}) as code:
        config = settings(code, NUM_ENVS=envs, BUFFER_SIZE=rows * envs, BATCH_SIZE=300, GAMMA=gamma)
        buffer, given = code.rb.get_replay_buffer(config), transitions(steps, envs, seed=4)
        batch = jax.jit(buffer.sample)(filled_buffer(code, buffer, given), jax.random.key(0))
    starts = set()
    for i in range(300):
        t, env = (int(x) for x in np.asarray(batch.obs)[i, :2])
        starts.add(t)
        reward, discount, last = 0.0, 1.0, t
        for k in range(3):
            _, _, rewards, _, terminated, truncated = given[t + k]
            reward, discount, last = reward + gamma**k * rewards[env], gamma ** (k + 1), t + k
            if terminated[env] or truncated[env]:
                discount *= not terminated[env]
                break
        np.testing.assert_allclose(batch.reward[i], reward, rtol=1e-5)
        np.testing.assert_allclose(batch.discount[i], discount, atol=1e-6)
        np.testing.assert_array_equal(batch.next_obs[i], given[last][3][env])
    assert starts == set(range(steps - rows, steps - 2))


def test_a_prioritised_buffer_works_through_the_interface() -> None:
    with import_learner(DOMAIN, modules={"rb": PRIORITISED}) as code:
        config = settings(code, NUM_ENVS=2, BUFFER_SIZE=6, BATCH_SIZE=20_000)
        buffer = code.rb.get_replay_buffer(config, alpha=1.0, beta=1.0)
        state = filled_buffer(code, buffer, transitions(5, 2))
        error = jnp.array([0.5, -1.0, 1.5, 2.0, -2.5, 0.0])
        state = buffer.set_priorities(state, jnp.arange(6), error)
        batch = jax.jit(buffer.sample)(state, jax.random.key(0))
        probability = np.abs(error) / np.abs(error).sum()
        np.testing.assert_allclose(np.bincount(batch.index, minlength=6) / 20_000, probability, atol=0.015)
        expected = (6 * probability[np.asarray(batch.index)]) ** -1.0
        np.testing.assert_allclose(batch.weight, expected / expected.max(), rtol=1e-4)

        # In training, errors reach the buffer: priorities of what was drawn are no longer those of new transitions.
        config = settings(code, LEARNING_STARTS=40, BUFFER_SIZE=200, BATCH_SIZE=16)
        priorities: list[Any] = []
        whole = code.train.get_replay_buffer(config)

        def remember(state: Any, index: Any, td_error: Any) -> Any:
            state = whole.set_priorities(state, index, td_error)
            jax.debug.callback(lambda kept: priorities.append(np.asarray(kept)), state["priority"])
            return state

        code.train.get_replay_buffer = lambda config: whole._replace(set_priorities=remember)
        result = jax.jit(code.train.make_train(config))(jax.random.key(0), 1e-3)
        jax.block_until_ready(result)
        jax.effects_barrier()
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(result["params"]))
    assert len(priorities) == config["TOTAL_TIMESTEPS"] // config["NUM_ENVS"] - 40 // config["NUM_ENVS"] + 1
    assert len(np.unique(priorities[-1])) > 50


@pytest.mark.slow
@pytest.mark.parametrize("dataset", DOMAIN.datasets)
def test_the_dtype_that_observations_are_kept_in_loses_nothing(code: Any, dataset: str) -> None:
    config = DOMAIN.config(dataset, "tiny")
    if config["OBS_DTYPE"] != "bool":
        return
    env, params = gymnax.make(config["ENV_NAME"])
    step = jax.jit(jax.vmap(env.step_env, in_axes=(0, 0, 0, None)))
    obs, state = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(jax.random.key(0), 8), params)
    rng = np.random.default_rng(0)
    for t in range(40):
        np.testing.assert_array_equal(obs, obs.astype(config["OBS_DTYPE"]).astype(jnp.float32))
        action = rng.integers(env.action_space(params).n, size=8)
        obs, state, *_ = step(jax.random.split(jax.random.key(t), 8), state, action, params)


# --- contracts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leading", [(), (7,), (2, 7)])
def test_network_keeps_leading_axes(code: Any, leading: tuple[int, ...]) -> None:
    network = code.networks.QNetwork(4, settings(code))
    obs = jnp.ones((*leading, 12))
    assert network.apply(network.init(jax.random.key(0), obs), obs).shape == (*leading, 4)


def test_what_is_given_wins_over_what_config_py_says() -> None:
    source = 'def make_config(settings):\n    return {"LR": 0.1, "TOTAL_TIMESTEPS": 10**9, "NUM_ENVS": 1}\n'
    with import_learner(DOMAIN, modules={"config": source}) as code:
        config = code.main.get_config(CARTPOLE)
        assert config["LR"] == 0.1
        for key in ("TOTAL_TIMESTEPS", "NUM_ENVS"):
            assert config[key] == CARTPOLE[key]
        with pytest.raises(ValueError, match="immutable"):
            config["TOTAL_TIMESTEPS"] = 10**9
        code.main.make_config = lambda settings: {"GAMMA": 0.9}
        with pytest.raises(ValueError, match=r"make_config.* LR"):
            code.main.get_config(CARTPOLE)


def test_stubs_import_cleanly_and_refuse_to_run(code: Any) -> None:
    config = settings(code)
    with import_learner(DOMAIN, stubs=DOMAIN.modules) as stub:
        network = stub.networks.QNetwork(3, config)
        calls: dict[str, list[Callable[[], Any]]] = {
            "config": [lambda: stub.main.get_config(CARTPOLE)],
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


# --- training ---------------------------------------------------------------------------------------------------------


def test_the_buffer_gets_what_the_environments_gave_and_the_real_end_of_each_episode(code: Any) -> None:
    config = settings(
        code, ENV_NAME="MountainCar-v0", TIME_LIMIT=200, NUM_ENVS=2, TOTAL_TIMESTEPS=2 * 450, LEARNING_STARTS=10**9
    )
    seen: list[Any] = []
    whole = code.rb.get_replay_buffer(config)

    def add(state: Any, transition: Any) -> Any:
        jax.debug.callback(lambda x: seen.append(jax.tree.map(np.asarray, x)), transition, ordered=True)
        return whole.add(state, transition)

    before = code.train.get_replay_buffer
    code.train.get_replay_buffer = lambda config: whole._replace(add=add)
    try:
        result = jax.jit(code.train.make_train(config))(jax.random.key(0), 1e-3)
    finally:
        code.train.get_replay_buffer = before
    jax.effects_barrier()
    assert len(seen) == 450
    assert (np.asarray(result["env_state"].steps) == 450).all()
    for t, (row, following) in enumerate(itertools.pairwise(seen)):
        assert not row.terminated.any()
        assert (row.truncated == ((t + 1) % 200 == 0)).all()  # the time limit
        position, velocity = row.obs[:, 0], row.obs[:, 1]
        velocity = velocity + (row.action - 1) * 0.001 - 0.0025 * np.cos(3 * position)
        np.testing.assert_allclose(row.next_obs[:, 1], velocity, atol=1e-5)
        np.testing.assert_allclose(row.next_obs[:, 0], position + velocity, atol=1e-5)
        assert np.allclose(row.next_obs, following.obs) == (not row.truncated.any())
    returns = np.asarray(result["metrics"]["mean_training_return"])
    assert [t for t, value in enumerate(returns) if not np.isnan(value)] == [199, 399]
    np.testing.assert_allclose(returns[[199, 399]], -200)


def test_the_target_network_is_a_copy_from_every_so_many_gradient_steps(code: Any) -> None:
    pairs: list[Any] = []
    config = settings(code, LEARNING_STARTS=40, TARGET_UPDATE_INTERVAL=4, GRADIENT_STEPS=2, TRAINING_INTERVAL=5)
    whole = code.train.q_loss_fn

    def watched(params: Any, target_params: Any, network: Any, batch: Any, config: Any) -> Any:
        firsts = [jax.lax.stop_gradient(jax.tree.leaves(p)[1]) for p in (params, target_params)]
        jax.debug.callback(lambda *x: pairs.append([np.asarray(y) for y in x]), *firsts, ordered=True)
        return whole(params, target_params, network, batch, config)

    code.train.q_loss_fn = watched
    try:
        jax.jit(code.train.make_train(config))(jax.random.key(0), 1e-2)
    finally:
        code.train.q_loss_fn = whole
    jax.effects_barrier()
    # 100 steps of 4 environments are 20 updates; from the second (40 steps) on, each takes 2 gradient steps.
    assert len(pairs) == 19 * 2
    for step, (_, target) in enumerate(pairs):
        np.testing.assert_array_equal(target, pairs[step - step % 4][0])
        assert step % 4 == 0 or not (target == pairs[step][0]).all()


def test_training_depends_on_its_seed_alone_and_learns(code: Any, cartpole: OffPolicyRLExaminer) -> None:
    config = code.main.get_config(CARTPOLE)
    params, returns, steps = code.main.train_all(config, 0)
    again, _, _ = code.main.train_all(config, 0)
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), params, again)))
    assert returns.shape[:2] == (1, 1)
    assert steps <= config["TOTAL_TIMESTEPS"]
    assert steps == pytest.approx(config["TOTAL_TIMESTEPS"], rel=0.01)
    late = code.main.late_return(returns)[0, 0]
    assert late > 2 * np.nanmean(returns[0, 0, : returns.shape[-1] // 10])

    network = code.networks.QNetwork(2, config)
    policy = code.main.GreedyPolicy(network, jax.tree.map(lambda x: x[0], params), config, 0, steps)
    metrics = cartpole.examine(InProcessLearner(policy), 0)
    assert metrics["return_mean"] > 2 * cartpole.floor(0)["return_mean"]
    assert metrics["env_steps"] == steps


def test_learning_rates_and_seeds_are_trained_together_and_the_best_rate_plays(code: Any) -> None:
    config = settings(code, LR_FACTORS=[1.0, 0.0], NUM_SEEDS=3, LEARNING_STARTS=40, LR=1e-2)
    params, returns, steps = code.main.train_all(config, 5)
    assert returns.shape[:2] == (2, 3)
    assert steps == 2 * 3 * config["TOTAL_TIMESTEPS"]
    # A learning rate of zero leaves each agent as it was initialised, and each was initialised differently.
    kernels = np.asarray(params["params"]["Dense_0"]["kernel"])
    initial = code.networks.QNetwork(2, config)
    keys = jax.random.split(jax.random.key(5), 6)
    for i in range(3):
        init_rng = jax.random.split(keys[3 + i], 3)[0]
        kernel = initial.init(init_rng, jnp.ones(4))["params"]["Dense_0"]["kernel"]
        np.testing.assert_allclose(kernels[1, i], kernel, rtol=1e-6)
        assert not np.allclose(kernels[0, i], kernels[0, (i + 1) % 3])

    network = code.networks.QNetwork(2, config)
    policy = code.main.GreedyPolicy(network, jax.tree.map(lambda x: x[0], params), config, 0, steps)
    obs = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    actions = policy.act(obs, np.ones(12, bool))
    for i in range(12):
        mine = jax.tree.map(lambda x, agent=i % 3: x[0, agent], params)
        assert actions[i] == int(network.apply(mine, obs[i]).argmax())


def test_late_returns_leave_out_where_no_episode_ended(code: Any) -> None:
    returns = np.full((2, 3, 8), np.nan, np.float32)
    returns[0, 0, 5:] = [99, 1, 3]
    returns[0, 1, 7] = 4
    np.testing.assert_allclose(code.main.late_return(returns), [[2, 4, -np.inf], [-np.inf] * 3])


# --- the examiner -----------------------------------------------------------------------------------------------------


def test_a_good_policy_scores_far_above_the_floor(cartpole: OffPolicyRLExaminer) -> None:
    metrics = cartpole.examine(InProcessLearner(Balancer(), env_steps=0), seed=0)
    assert set(metrics) == {"return_mean", *DOMAIN.specification.other_metrics} == set(cartpole.floor(0))
    assert metrics["return_mean"] > 100 + cartpole.floor(0)["return_mean"]
    assert metrics == cartpole.examine(InProcessLearner(Balancer(), env_steps=0), seed=0)
    assert cartpole.floor(0) == cartpole.floor(0) != cartpole.floor(1)


def test_too_many_steps_of_training_fail_the_exam(cartpole: OffPolicyRLExaminer) -> None:
    allowed = CARTPOLE["TOTAL_TIMESTEPS"]
    assert cartpole.examine(InProcessLearner(Balancer(), env_steps=allowed), 0)["env_steps"] == allowed
    learner = InProcessLearner(Balancer(), env_steps=allowed + 1)
    with pytest.raises(RuleBroken, match=rf"{allowed + 1:,} environment steps; the configuration allows {allowed:,}"):
        cartpole.examine(learner, 0)
    assert learner.questions == 1  # env_steps() and nothing else
    several = OffPolicyRLExaminer("Classic/CartPole", "tiny", {**SHORT, "NUM_SEEDS": 2, "LR_FACTORS": [1, 2, 3]})
    assert several.examine(InProcessLearner(Balancer(), env_steps=6 * 400), 0)["env_steps"] == 2400
    with pytest.raises(RuleBroken):
        several.examine(InProcessLearner(Balancer(), env_steps=6 * 400 + 1), 0)


def test_only_the_first_episode_of_each_environment_counts() -> None:
    examiner = OffPolicyRLExaminer("Classic/CartPole", "tiny", {**SHORT, "EVALUATION_STEPS": 500})
    firsts: list[Any] = []

    def act(obs: Any, done: Any) -> Any:
        assert obs.shape == (6, 4) and obs.dtype == np.float32
        firsts.append(done)
        return np.zeros(len(obs), int)

    learner = InProcessLearner(SimpleNamespace(act=act), env_steps=0)
    metrics = examiner.examine(learner, seed=0)
    marks = np.array(firsts)
    assert marks[0].all()
    lengths = np.where(marks[1:].any(0), marks[1:].argmax(0) + 1, len(marks))
    assert metrics["episode_length_mean"] == metrics["return_mean"] == lengths.mean()
    assert learner.questions - 1 == lengths.max() < 30  # the exam ends with the last of the first episodes


def test_an_episode_that_does_not_end_counts_its_return_so_far() -> None:
    short = OffPolicyRLExaminer("Classic/CartPole", "tiny", SHORT)
    metrics = short.examine(InProcessLearner(Balancer(), env_steps=0), 0)
    assert metrics["return_mean"] == metrics["episode_length_mean"] == SHORT["EVALUATION_STEPS"]


@pytest.mark.parametrize(("random_steps", "least", "most"), [(0, 1, 2), (10, 6, 16)])
def test_random_starts_make_deterministic_games_differ(random_steps: int, least: int, most: int) -> None:
    episodes = make_episodes(
        DOMAIN.config("MinAtar/Breakout", "tiny") | {"EVALUATION_EPISODES": 16, "EVALUATION_RANDOM_STEPS": random_steps}
    )
    obs, first = episodes.start(seed=5)
    assert first.all() and obs.shape == (16, 400)
    assert least <= len(np.unique(obs, axis=0)) <= most
    again, _ = episodes.start(seed=5)
    np.testing.assert_array_equal(obs, again)
    returns, lengths = episodes.results()
    assert not returns.any() and not lengths.any()  # what the random actions earned does not count


@pytest.mark.parametrize("answer", [np.zeros(16), np.zeros(15, int), np.full(16, 2), np.full(16, -1)])
def test_answers_that_are_not_actions_end_the_exam(cartpole: OffPolicyRLExaminer, answer: Any) -> None:
    with pytest.raises(ProtocolError, match="act"):
        cartpole.examine(InProcessLearner(SimpleNamespace(act=lambda obs, done: answer), env_steps=0), 0)


# --- exams in a sandbox -----------------------------------------------------------------------------------------------


def exam_of(sandbox: Sandbox, workspace: Path, **changed: str) -> Any:
    """The result of one tiny CartPole exam of the base modules, some of them replaced."""
    task = Task(
        domain=DOMAIN.name,
        modules=tuple(DOMAIN.modules),
        meta_train=("Classic/CartPole",),
        meta_test=("Classic/Acrobot",),
        start="base",
        scale="tiny",
    )
    written = materialise(task, workspace)
    for module, text in changed.items():
        (workspace / "discovered" / f"{module}.py").write_text(text, encoding="utf-8")
    with Host(sandbox) as host:
        return host.run(written, ExamSpec(Setting(DOMAIN, "default", "Classic/CartPole", "tiny"), 0, 200))


@pytest.mark.slow
def test_a_worse_module_lowers_the_score_and_overstepping_fails(sandbox: Sandbox, tmp_path: Path) -> None:
    base = {name: DOMAIN.module_text(name, backend="default", start="base") for name in DOMAIN.modules}
    honest = exam_of(sandbox, tmp_path / "honest")
    assert honest.metrics is not None, honest.message
    assert 0 < honest.metrics["env_steps"] <= CARTPOLE["TOTAL_TIMESTEPS"]

    backwards = base["q_update"].replace("learn_batch.reward +", "-learn_batch.reward +")
    assert backwards != base["q_update"]
    worse = exam_of(sandbox, tmp_path / "worse", q_update=backwards)
    assert worse.metrics is not None, worse.message
    assert worse.metrics["return_mean"] < 0.5 * honest.metrics["return_mean"]

    greedy = base["train"].replace('config["TOTAL_TIMESTEPS"] //', '2 * config["TOTAL_TIMESTEPS"] //')
    assert greedy != base["train"]
    overstepping = exam_of(sandbox, tmp_path / "overstepping", train=greedy)
    assert (overstepping.status, overstepping.metrics) == ("protocol_error", None)
    assert "take fewer in train.py" in overstepping.message
