"""OffPolicyRL's training on the tiny scale: what reaches the buffer, the target network, seeds and learning rates."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from discoenv.domains.OffPolicyRL.tests.conftest import CARTPOLE, settings
from discoenv.testing import InProcessLearner, examined

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("gymnax")

from discoenv.domains.OffPolicyRL.examiner import OffPolicyRLExaminer  # noqa: E402


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


@pytest.mark.slow
def test_training_depends_on_its_seed_alone_and_learns(code: Any, cartpole: OffPolicyRLExaminer) -> None:
    config = code.run_config.get_config(CARTPOLE)
    params, returns, steps = code.main.train_all(config, 0)
    again, _, _ = code.main.train_all(config, 0)
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), params, again)))
    assert returns.shape[:2] == (1, 1)
    assert steps <= config["TOTAL_TIMESTEPS"]
    assert steps == pytest.approx(config["TOTAL_TIMESTEPS"], rel=0.01)
    late = code.main.late_return(returns)[0, 0]
    assert late > 2 * np.nanmean(returns[0, 0, : returns.shape[-1] // 10])

    state = {"params": code.main.unfreeze(code.main.select(params, 0)), "env_steps": steps}
    metrics = examined(cartpole, code.answer, state, 0)
    asked = InProcessLearner(code.answer.make(cartpole.answering_config, state), state=state)
    assert cartpole.examine(asked, 0) == metrics
    assert metrics["return_mean"] > 2 * cartpole.floor(0)["return_mean"]
    assert metrics["env_steps"] == steps


@pytest.mark.slow
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
    _, act = code.answer.make_policy({**config, "ACTION_DIM": 2})
    obs = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float32)
    state = {"params": code.main.select(params, 0)}
    actions, _ = act(state, {}, obs, np.ones((3, 4), bool), np.zeros(2, np.uint32))
    for agent, i in itertools.product(range(3), range(4)):
        mine = jax.tree.map(lambda x, agent=agent: x[0, agent], params)
        assert actions[agent, i] == int(network.apply(mine, obs[agent, i]).argmax())


def test_late_returns_leave_out_where_no_episode_ended(code: Any) -> None:
    returns = np.full((2, 3, 8), np.nan, np.float32)
    returns[0, 0, 5:] = [99, 1, 3]
    returns[0, 1, 7] = 4
    np.testing.assert_allclose(code.main.late_return(returns), [[2, 4, -np.inf], [-np.inf] * 3])


def test_lines_of_progress_are_windows_in_which_an_episode_ended(code: Any, capsys: pytest.CaptureFixture[str]) -> None:
    returns = np.full((1, 20), np.nan, np.float32)
    returns[0, [5, 11]] = 3.0, 5.0
    code.main.report(returns, {"TOTAL_TIMESTEPS": 1000})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["300", "3.000"],
        ["600", "5.000"],
        ["1,000", "no", "episode", "ended"],
    ]
