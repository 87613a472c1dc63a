"""OnPolicyRL: training on the tiny scale, the modules' effect on the score, and the examiner."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from discoenv.domains.OnPolicyRL.tests.conftest import DOMAIN, MEMORIES, actor_critic
from discoenv.exams.examiner import ProtocolError, RuleBroken
from discoenv.exams.wire import Channel
from discoenv.testing import InProcessLearner, examined, import_learner, write_workspace
from discoenv.testing import handed_over as as_received
from discoenv.testing.policies import acting

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("gymnax")

from discoenv.domains.OnPolicyRL.evaluation import make_episodes  # noqa: E402
from discoenv.domains.OnPolicyRL.examiner import OnPolicyRLExaminer  # noqa: E402

CANDIDATES = sorted((Path(__file__).parents[1] / "candidates").glob("[0-9]*"))
BREAKOUT = DOMAIN.config("MinAtar/Breakout", "tiny")


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    with import_learner(DOMAIN) as modules:
        yield modules


@pytest.fixture(scope="module")
def config(code: Any) -> Any:
    return code.run_config.get_config(BREAKOUT)


@pytest.fixture(scope="module")
def breakout() -> OnPolicyRLExaminer:
    return OnPolicyRLExaminer("MinAtar/Breakout", "tiny", BREAKOUT)


def follow_the_ball(obs: Any, first: Any) -> Any:
    """Plays Breakout by hand: keeps the paddle under the ball."""
    board = obs.reshape(len(obs), 10, 10, 4)
    paddle, ball = (board[..., channel].any(axis=1).argmax(axis=1) for channel in (0, 1))
    return np.where(ball < paddle, 1, np.where(ball > paddle, 2, 0))


def handed_over(code: Any, config: Any, seed: int = 0) -> dict[str, Any]:
    """What main.py hands over with the first learning rate."""
    _, results = code.main.train_agents(code.train.make_train(config), config, seed)
    state: dict[str, Any] = code.main.handed_over(results, 0)
    return state


# --- training ---------------------------------------------------------------------------------------------------------


PENDULUM = {
    **BREAKOUT,
    **{"ENV_NAME": "Pendulum-v1", "CONTINUOUS": True, "NORMALIZE": True},
    **{"NUM_ENVS": 4, "NUM_STEPS": 8, "TOTAL_TIMESTEPS": 96, "EVALUATION_EPISODES": 4, "EVALUATION_STEPS": 5},
}


def test_training_depends_on_its_seed_alone_and_learns(code: Any, config: Any, breakout: OnPolicyRLExaminer) -> None:
    train = jax.jit(code.train.make_train(config))
    first, again, other = (train(jax.random.key(seed), config["LR"]) for seed in (0, 0, 1))
    returns = np.asarray(first["metrics"]["mean_training_return"])
    assert returns.shape == (config["NUM_UPDATES"],)
    assert code.make_env.count_steps(first["env_state"]) == config["TOTAL_TIMESTEPS"]
    same = jax.tree.map(lambda a, b: bool((a == b).all()), first["params"], again["params"])
    assert all(jax.tree.leaves(same))
    same = jax.tree.map(lambda a, b: bool((a == b).all()), first["params"], other["params"])
    assert not all(jax.tree.leaves(same))

    assert np.nanmean(returns[-5:]) > 2 * np.nanmean(returns[:5])
    state = code.main.handed_over(jax.tree.map(lambda x: x[None, None], first), 0)
    metrics = examined(breakout, code.answer, state, 0)
    assert metrics["return_mean"] > 2 + breakout.floor(0)["return_mean"]
    assert metrics["env_steps"] == config["TOTAL_TIMESTEPS"]
    asked = InProcessLearner(code.answer.make(breakout.answering_config, state), state=state)
    assert breakout.examine(asked, 0) == metrics


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["default", *MEMORIES])
def test_learning_rates_and_seeds_are_trained_and_examined_together(backend: str) -> None:
    with import_learner(DOMAIN, backend=backend) as code:
        config = code.run_config.get_config(PENDULUM | {"NUM_SEEDS": 2, "NUM_LEARNING_RATES": 3})
        rates, results = code.main.train_agents(code.train.make_train(config), config, seed=0)
        assert rates == pytest.approx([config["LR"], 5.5 * config["LR"], 10 * config["LR"]])
        assert results["metrics"]["mean_training_return"].shape == (3, 2, config["NUM_UPDATES"])
        assert code.make_env.count_steps(results["env_state"]) == 6 * config["TOTAL_TIMESTEPS"]
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(results["params"])]
        assert all(np.isfinite(leaf).all() for leaf in leaves)
        assert any((leaf[0] != leaf[1]).any() for leaf in leaves)

        examiner = OnPolicyRLExaminer("Pendulum", "tiny", dict(config))
        state = code.main.handed_over(results, 1)
        _, act = code.answer.make_policy(code.run_config.get_config(examiner.answering_config))
        one_agent = code.run_config.get_config({**examiner.answering_config, "NUM_SEEDS": 1})
        start_one, act_one = code.answer.make_policy(one_agent)
        obs = np.random.default_rng(0).normal(size=(2, 2, 2, 3)).astype(np.float32)
        firsts, key = np.array([[[True] * 2] * 2, [[False] * 2] * 2]), np.zeros(2, np.uint32)
        memory, both = code.answer.make_policy(code.run_config.get_config(examiner.answering_config))[0](2), []
        for t in range(2):
            actions, memory = act(state, memory, obs[t], firsts[t], key)
            both.append(actions)
        for agent in range(2):
            taken = {name: state[name] for name in ("params", "moments")}
            mine = jax.tree.map(lambda x, agent=agent: x[agent : agent + 1], taken)
            memory = start_one(2)
            for t in range(2):
                rows = slice(agent, agent + 1)
                alone, memory = act_one(mine, memory, obs[t, rows], firsts[t, rows], key)
                np.testing.assert_allclose(alone[0], both[t][agent], atol=1e-5)

        metrics = examined(examiner, code.answer, state, 0)
        assert metrics["return_mean"] < 0
        assert metrics["env_steps"] == 6 * config["TOTAL_TIMESTEPS"]
        learner = InProcessLearner(code.answer.make(examiner.answering_config, state), state=state)
        assert examiner.examine(learner, 0) == pytest.approx(metrics, rel=1e-4)
        assert learner.questions == 1 + config["EVALUATION_STEPS"]  # the first is start()
        assert examiner.floor(0) != examiner.floor(1)
        with pytest.raises(RuleBroken):  # where one agent may be trained, that was too much
            OnPolicyRLExaminer("Pendulum", "tiny", PENDULUM).check_state(learner.state)


@pytest.mark.slow
@pytest.mark.parametrize("backend", MEMORIES)
def test_policies_with_a_memory_learn(backend: str) -> None:
    breakout = OnPolicyRLExaminer("MinAtar/Breakout", "tiny", BREAKOUT)  # it keeps the program of one backend
    with import_learner(DOMAIN, backend=backend) as code:
        config = code.run_config.get_config(BREAKOUT)
        result = jax.jit(code.train.make_train(config))(jax.random.key(0), config["LR"])
        returns = np.asarray(result["metrics"]["mean_training_return"])
        assert np.nanmean(returns[-5:]) > 2 * np.nanmean(returns[:5])
        state = code.main.handed_over(jax.tree.map(lambda x: x[None, None], result), 0)
        metrics = examined(breakout, code.answer, state, 0)
        assert metrics["return_mean"] > 1.5 + breakout.floor(0)["return_mean"]
        asked = InProcessLearner(code.answer.make(breakout.answering_config, state), state=state)
        assert breakout.examine(asked, 0) == metrics


@pytest.mark.parametrize("backend", ["default", "recurrent", pytest.param("transformer", marks=pytest.mark.slow)])
def test_policies_act_by_their_mode_or_draw_their_actions(backend: str) -> None:
    with import_learner(DOMAIN, backend=backend) as code:
        network = actor_critic(code, code.run_config.get_config(BREAKOUT))
        if backend == "default":
            inputs: tuple[Any, ...] = (jnp.zeros((1, 400)),)
        else:
            inputs = (network.initial_memory(1), jnp.zeros((1, 1, 400)), jnp.ones((1, 1), bool))
        params = jax.vmap(lambda key: network.init(key, *inputs))(jax.random.split(jax.random.key(0), 2))

        def actions(*, greedy: bool) -> Any:
            """Of two agents, 1000 environments each, at two time steps in which all see the same: int[2, 2, 1000]."""
            values = {**BREAKOUT, "ACTION_DIM": 3, "NUM_SEEDS": 2, "EVALUATION_GREEDY": greedy}
            start, act = code.answer.make_policy(code.run_config.get_config(values))
            obs, first = np.ones((2, 1000, 400), np.float32), np.ones((2, 1000), bool)
            state = {"params": params, "moments": {}}
            keys = np.array([[0, 3], [5, 8]], np.uint32)
            return np.stack([act(state, start(1000), obs, first, key)[0] for key in keys])

        modes = actions(greedy=True)
        assert (modes == modes[:1, :, :1]).all()
        drawn = actions(greedy=False)
        np.testing.assert_array_equal(drawn, actions(greedy=False))
        shares = np.stack([(drawn == action).mean(axis=-1) for action in range(3)])
        np.testing.assert_allclose(shares, 1 / 3, atol=0.08)  # fresh networks are close to uniform
        assert (drawn[0] != drawn[1]).any() and (drawn[:, 0] != drawn[:, 1]).any()


#: Advantages that are all zero: nothing is learned from them.
NO_ADVANTAGES = """
import jax.numpy as jnp


def get_targets(traj_batch, last_val, config):
    return jnp.zeros_like(traj_batch.value), traj_batch.value
"""


@pytest.mark.slow
def test_a_better_module_raises_the_score_and_a_worse_one_lowers_it() -> None:
    better = next(path for path in CANDIDATES if "short_horizon" in path.name) / "targets.py"
    modules = {"base": None, "better": better.read_text(encoding="utf-8"), "worse": NO_ADVANTAGES}
    scores = {}
    for name, targets in modules.items():
        with import_learner(DOMAIN, modules={"targets": targets} if targets else {}) as code:
            config = code.run_config.get_config(BREAKOUT | {"NUM_SEEDS": 2})
            two = OnPolicyRLExaminer("MinAtar/Breakout", "tiny", BREAKOUT | {"NUM_SEEDS": 2})
            state = handed_over(code, config)
            scores[name] = np.mean([examined(two, code.answer, state, seed)["return_mean"] for seed in range(3)])
    assert scores["better"] > scores["base"] > 2 + scores["worse"]


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda path: path.name)
def test_candidates_keep_the_interfaces(candidate: Path) -> None:
    with import_learner(DOMAIN, modules=candidate) as code:
        config = code.run_config.get_config(BREAKOUT)
        result = jax.eval_shape(code.train.make_train(config), jax.random.key(0), jnp.float32(0.1))
        assert result["metrics"]["mean_training_return"].shape == (config["NUM_UPDATES"],)


def test_main_trains_and_hands_its_agents_over(tmp_path: Path, breakout: OnPolicyRLExaminer) -> None:
    folder = write_workspace(DOMAIN, tmp_path / "task")
    values = {**BREAKOUT, "TOTAL_TIMESTEPS": 16_384}
    (folder / "config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "exam.sock"))
        listener.listen(1)
        listener.settimeout(300)
        environment = {"PATH": os.environ["PATH"], "EXAM_SOCKET": str(tmp_path / "exam.sock"), "JAX_PLATFORMS": "cpu"}
        process = subprocess.Popen(
            [sys.executable, "main.py"], cwd=folder, env=environment, stdout=-1, stderr=-1, text=True
        )
        try:
            connection, _ = listener.accept()
            channel = Channel(connection)
            state = channel.receive(time.monotonic() + 300)["state"]
            channel.close()
            output, errors = process.communicate(timeout=120)
        finally:
            process.kill()
            process.wait()
    with import_learner(DOMAIN) as code:
        metrics = examined(breakout, code.answer, state, 3)
    assert set(metrics) == {"return_mean", *DOMAIN.specification.other_metrics}
    assert (process.returncode, errors) == (0, "")
    assert "16,384" in output


# --- the examiner -----------------------------------------------------------------------------------------------------


def test_floor_is_fixed_by_the_seed(breakout: OnPolicyRLExaminer) -> None:
    assert breakout.floor(0) == breakout.floor(0)
    assert breakout.floor(0) != breakout.floor(1)


def test_the_floor_of_continuous_actions_is_to_do_nothing() -> None:
    examiner = OnPolicyRLExaminer("Pendulum", "tiny", PENDULUM)
    idle = acting(lambda obs, first: np.zeros((len(obs), 1), np.float32))
    assert examiner.floor(3) == examiner.examine(idle, 3)


def test_a_good_policy_scores_far_above_the_floor(breakout: OnPolicyRLExaminer) -> None:
    metrics = breakout.examine(acting(follow_the_ball), seed=0)
    assert metrics["return_mean"] > 5 + breakout.floor(0)["return_mean"]
    assert metrics == breakout.examine(acting(follow_the_ball), seed=0)


def test_an_episode_that_does_not_end_counts_its_return_so_far() -> None:
    values = {**BREAKOUT, "EVALUATION_STEPS": 40, "EVALUATION_RANDOM_STEPS": 0}
    metrics = OnPolicyRLExaminer("MinAtar/Breakout", "tiny", values).examine(acting(follow_the_ball), 0)
    assert metrics["episode_length_mean"] == 40
    assert metrics["return_mean"] > 1


@pytest.mark.parametrize(("random_steps", "least", "most"), [(0, 1, 2), (10, 6, 16)])
def test_random_starts_make_episodes_differ(random_steps: int, least: int, most: int) -> None:
    episodes = make_episodes(BREAKOUT | {"EVALUATION_RANDOM_STEPS": random_steps})
    obs, first = episodes.start(seed=5)
    assert least <= len(np.unique(obs, axis=0)) <= most
    assert first.all()
    again, _ = episodes.start(seed=5)
    np.testing.assert_array_equal(obs, again)
    returns, lengths = episodes.results()
    assert not returns.any() and not lengths.any()  # what the random actions earned does not count


def test_only_the_first_episode_of_each_environment_counts(breakout: OnPolicyRLExaminer) -> None:
    marks: list[Any] = []

    def idle(obs: Any, first: Any) -> Any:
        assert obs.shape == (16, 400) and obs.dtype == np.float32
        marks.append(first)
        return np.zeros(len(obs), int)

    learner = acting(idle)
    metrics = breakout.examine(learner, seed=0)
    assert learner.questions - 1 == len(marks) < 30  # the exam ends with the last of the first episodes
    assert marks[0].all()

    episodes = make_episodes(BREAKOUT)
    episodes.start(breakout._episode_seed(0))
    ended = np.array([episodes.step(np.zeros(16, int))[1] for _ in marks])
    assert ended.any(axis=0).all()
    assert metrics["episode_length_mean"] == (ended.argmax(axis=0) + 1).mean()
    np.testing.assert_array_equal(ended[:-1].sum(axis=1), [row.sum() for row in marks[1:]])


@pytest.mark.parametrize("backend", ["default", pytest.param("recurrent", marks=pytest.mark.slow)])
def test_what_an_agent_does_in_one_environment_does_not_depend_on_the_others(backend: str) -> None:
    """The order of environments is another one at every step, and an environment's memory goes with it."""
    with import_learner(DOMAIN, backend=backend) as code:
        config = {**BREAKOUT, "NUM_SEEDS": 2, "EVALUATION_STEPS": 6}
        examiner = OnPolicyRLExaminer("MinAtar/Breakout", "tiny", config)
        state = handed_over(code, code.run_config.get_config({**config, "TOTAL_TIMESTEPS": 2048}))
        asked: list[Any] = []
        policy = code.answer.make(examiner.answering_config, state)
        act = policy.act

        def noted(memory: Any, obs: Any, first: Any, key: Any) -> Any:
            asked.append(obs)
            return act(memory, obs, first, key)

        policy.act = noted
        metrics = examiner.examine(InProcessLearner(policy, state=state), 1)
        assert metrics == pytest.approx(examined(examiner, code.answer, state, 1), rel=1e-6)
        assert any((obs[:, 0] != asked[0][:, 0]).any() for obs in asked[1:])


@pytest.mark.parametrize("answer", [np.zeros(16), np.zeros(15, int), np.full(16, 3), np.full(16, -1)])
def test_answers_that_are_not_actions_end_the_exam(breakout: OnPolicyRLExaminer, answer: Any) -> None:
    with pytest.raises(ProtocolError, match="act"):
        breakout.examine(acting(lambda obs, first: answer), 0)


# --- environment steps ------------------------------------------------------------------------------------------------


def test_an_exam_after_more_training_than_allowed_fails_and_says_why(breakout: OnPolicyRLExaminer) -> None:
    allowed = BREAKOUT["TOTAL_TIMESTEPS"]
    assert breakout.examine(acting(follow_the_ball, env_steps=allowed), 0)["env_steps"] == allowed
    state: dict[str, Any] = {"params": {"kernel": np.zeros((1, 2))}, "moments": {}, "env_steps": allowed}
    breakout.check_state(as_received(state))
    with pytest.raises(RuleBroken, match=f"took {allowed + 1:,} environment steps.* allows {allowed:,}"):
        breakout.check_state(as_received({**state, "env_steps": allowed + 1}))


def test_a_floor_takes_no_training(breakout: OnPolicyRLExaminer) -> None:
    assert breakout.floor(0)["env_steps"] == 0
