"""OnPolicyRL: its formulas against plain NumPy, its contracts, training on the tiny scale, and its examiner."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from discoenv.exams import exam
from discoenv.exams.examiner import Array, Learner, ProtocolError
from discoenv.exams.wire import Channel
from discoenv.tasks import stubs
from discoenv.tasks.domain import BUILTIN, Domain

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("gymnax")

from discoenv.domains.OnPolicyRL.evaluation import Episodes  # noqa: E402
from discoenv.domains.OnPolicyRL.examiner import OnPolicyRLExaminer  # noqa: E402

DOMAIN = Domain(BUILTIN / "OnPolicyRL")
GAMES = DOMAIN.datasets
CANDIDATES = sorted((Path(__file__).parents[2] / "agents/candidates/OnPolicyRL").glob("[0-9]*"))
PENDULUM = {
    **DOMAIN.config("MinAtar/Breakout", "tiny"),
    **{"ENV_NAME": "Pendulum-v1", "CONTINUOUS": True, "NUM_ENVS": 4, "NUM_STEPS": 8, "TOTAL_TIMESTEPS": 96},
    **{"EVALUATION_EPISODES": 3, "EVALUATION_STEPS": 5},
}


def write_code(folder: Path, render: Callable[[str, str], str] = stubs.base) -> Path:
    """A dataset's folder of a workspace, its modules rendered as bases or stubs."""
    folder.mkdir()
    for name in DOMAIN.specification.fixed_files:
        shutil.copy(DOMAIN.file(name, dataset=GAMES[0], backend="default"), folder)
    for module in DOMAIN.modules:
        source = render(DOMAIN.module_source(module, backend="default"), f"{module}.py")
        (folder / f"{module}.py").write_text(source, encoding="utf-8")
    shutil.copy(str(exam.__file__), folder / "exam.py")
    return folder


@contextlib.contextmanager
def imported(folder: Path) -> Iterator[SimpleNamespace]:
    """All modules of a folder, imported under their plain names, which then mean again what they meant before."""
    names = [path.stem for path in folder.glob("*.py")]
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(folder))
    try:
        modules: dict[str, ModuleType] = {name: importlib.import_module(name) for name in names}
        yield SimpleNamespace(**modules)
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with imported(write_code(tmp_path_factory.mktemp("on_policy_rl") / "base")) as modules:
        yield modules


@pytest.fixture(scope="module")
def config(code: Any) -> Any:
    return code.main.get_config(DOMAIN.config("MinAtar/Breakout", "tiny"))


@pytest.fixture(scope="module")
def breakout() -> OnPolicyRLExaminer:
    return OnPolicyRLExaminer("MinAtar/Breakout", "tiny", DOMAIN.config("MinAtar/Breakout", "tiny"))


class InProcessLearner(Learner):
    """Answers with a Python object's methods; answers are packed, unpacked and checked as those of a process."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.questions = 0

    def ask(self, method: str, *args: Any, returns: Array) -> np.ndarray[Any, Any]:
        self.questions += 1
        return returns.check(np.asarray(getattr(self._model, method)(*args)), f"{method}()")


class BallTracker:
    """Plays Breakout by hand: keeps the paddle under the ball."""

    def act(self, obs: Any, done: Any) -> Any:
        board = obs.reshape(len(obs), 10, 10, 4)
        paddle, ball = (board[..., channel].any(axis=1).argmax(axis=1) for channel in (0, 1))
        return np.where(ball < paddle, 1, np.where(ball > paddle, 2, 0))


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


@pytest.mark.parametrize("continuous", [False, True])
def test_loss_is_the_clipped_objective_of_the_paper(code: Any, config: Any, continuous: bool) -> None:
    rng = np.random.default_rng(1)
    size, epsilon = 64, config["CLIP_EPS"]
    loc = rng.normal(size=(size, 3)).astype(np.float32)
    log_std = (0.2 * rng.normal(size=3)).astype(np.float32)
    new_value, old_value, targets, gae = (rng.normal(size=size).astype(np.float32) for _ in range(4))
    if continuous:
        action: Any = rng.normal(size=(size, 3)).astype(np.float32)
        sigma = np.exp(log_std)
        log_prob = np.log(np.exp(-(((action - loc) / sigma) ** 2) / 2) / sigma / np.sqrt(2 * np.pi)).sum(1)
        entropy = np.log(sigma * np.sqrt(2 * np.pi * np.e)).sum()
        pi = code.distributions.DiagonalNormal(jnp.asarray(loc), jnp.asarray(log_std))
    else:
        action = rng.integers(3, size=size)
        p = np.exp(loc) / np.exp(loc).sum(1, keepdims=True)
        log_prob = np.log(p[np.arange(size), action])
        entropy = -(p * np.log(p)).sum(1).mean()
        pi = code.distributions.Categorical(jnp.asarray(loc))
    old_log_prob = (log_prob + 0.3 * rng.normal(size=size)).astype(np.float32)
    empty = jnp.zeros(size)
    batch = code.transition.Transition(
        empty, jnp.asarray(action), old_log_prob, old_value, empty, empty, empty, empty, {}
    )
    network = SimpleNamespace(apply=lambda params, obs: (pi, new_value))
    total, (value_loss, actor_loss, entropy_got) = code.loss.loss_actor_and_critic(
        {}, batch, gae, targets, network, config
    )

    ratio = np.exp(log_prob - old_log_prob)
    advantage = (gae - gae.mean()) / (gae.std() + 1e-8)
    expected_actor = -np.minimum(ratio * advantage, np.clip(ratio, 1 - epsilon, 1 + epsilon) * advantage).mean()
    clipped = old_value + np.clip(new_value - old_value, -epsilon, epsilon)
    expected_value = 0.5 * np.maximum((new_value - targets) ** 2, (clipped - targets) ** 2).mean()
    np.testing.assert_allclose(actor_loss, expected_actor, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(value_loss, expected_value, rtol=1e-5)
    np.testing.assert_allclose(entropy_got, entropy, rtol=1e-5)
    expected = expected_actor + config["VF_COEF"] * expected_value - config["ENT_COEF"] * entropy
    np.testing.assert_allclose(total, expected, rtol=1e-4, atol=1e-5)


def test_optimizer_is_adam(code: Any) -> None:
    import optax

    ours, reference = code.optim.scale_by_optimizer(), optax.scale_by_adam(eps=1e-5)
    params = {"w": jnp.zeros(3)}
    our_state, reference_state = ours.init(params), reference.init(params)
    for step in range(5):
        gradients = {"w": jnp.array([1.0, -0.1, 1e-4]) * (step + 1)}
        update, our_state = ours.update(gradients, our_state, params)
        expected, reference_state = reference.update(gradients, reference_state, params)
        np.testing.assert_allclose(update["w"], expected["w"], rtol=1e-4)


def test_schedule_decays_linearly_from_the_learning_rate_to_zero(code: Any, config: Any) -> None:
    schedule = code.schedule.make_schedule_fn(config, 0.01)
    per_update = config["UPDATE_EPOCHS"] * config["NUM_MINIBATCHES"]
    updates = config["NUM_UPDATES"]
    counts = jnp.array([0, per_update - 1, per_update, per_update * updates // 2, per_update * updates])
    expected = 0.01 * np.array([1, 1, 1 - 1 / updates, 0.5, 0])
    np.testing.assert_allclose(jax.vmap(schedule)(counts), expected, atol=1e-7)


def test_distributions_sample_what_they_say(code: Any) -> None:
    keys = jax.random.split(jax.random.key(0), 20_000)
    logits = jnp.array([0.0, 1.0, -1.0])
    discrete = code.distributions.Categorical(logits)
    samples = np.asarray(jax.vmap(discrete.sample)(keys))
    np.testing.assert_allclose(np.bincount(samples) / len(keys), jax.nn.softmax(logits), atol=0.02)
    assert int(discrete.mode()) == 1

    normal = code.distributions.DiagonalNormal(jnp.array([1.0, -2.0]), jnp.array([0.0, 0.7]))
    samples = np.asarray(jax.vmap(normal.sample)(keys))
    np.testing.assert_allclose(samples.mean(0), normal.mode(), atol=0.06)
    np.testing.assert_allclose(samples.std(0), np.exp([0.0, 0.7]), rtol=0.03)
    np.testing.assert_allclose(-np.mean(jax.vmap(normal.log_prob)(samples)), normal.entropy(), atol=0.03)


# --- contracts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("leading", [(), (7,), (2, 7)])
def test_network_keeps_leading_axes(code: Any, config: Any, continuous: bool, leading: tuple[int, ...]) -> None:
    values = code.main.get_config({**config, "CONTINUOUS": continuous})
    network = code.networks.ActorCritic(4, values, code.activation.get_activation(values))
    obs = jnp.ones((*leading, 12))
    pi, value = network.apply(network.init(jax.random.key(0), obs), obs)
    action = pi.sample(seed=jax.random.key(1))
    assert value.shape == pi.log_prob(action).shape == pi.entropy().shape == leading
    assert action.shape == pi.mode().shape == ((*leading, 4) if continuous else leading)


def test_config_derives_its_sizes_and_cannot_be_changed(code: Any) -> None:
    values = DOMAIN.config("MinAtar/Breakout", "full")
    config = code.main.get_config(values)
    assert (config["NUM_UPDATES"], config["MINIBATCH_SIZE"]) == (1220, 1024)
    with pytest.raises(ValueError, match="immutable"):
        config["TOTAL_TIMESTEPS"] = 10**9
    with pytest.raises(ValueError, match="multiple of NUM_MINIBATCHES"):
        code.main.get_config({**values, "NUM_MINIBATCHES": 3})


def test_stubs_import_cleanly_and_refuse_to_run(tmp_path: Path) -> None:
    with imported(write_code(tmp_path / "stub", stubs.stub)) as stub:
        config = stub.main.get_config(DOMAIN.config("MinAtar/Breakout", "tiny"))
        network = stub.networks.ActorCritic(3, config, jnp.tanh)
        calls: dict[str, Callable[[], Any]] = {
            "loss": lambda: stub.loss.loss_actor_and_critic({}, None, None, None, network, config),
            "networks": lambda: network.init(jax.random.key(0), jnp.ones(4)),
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


def test_environments_reset_themselves_and_keep_the_final_observation(code: Any) -> None:
    env, params = code.make_env.make_env({**PENDULUM, "NUM_ENVS": 2})
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
    assert (np.asarray(state.steps) == 4).all()


# --- training ---------------------------------------------------------------------------------------------------------


def test_training_depends_on_its_seed_alone_and_learns(code: Any, config: Any, breakout: OnPolicyRLExaminer) -> None:
    train = jax.jit(code.train.make_train(config))
    first, again, other = (train(jax.random.key(seed), config["LR"]) for seed in (0, 0, 1))
    returns = np.asarray(first["metrics"]["mean_training_return"])
    assert returns.shape == (config["NUM_UPDATES"],)
    assert (np.asarray(first["env_state"].steps) == config["NUM_UPDATES"] * config["NUM_STEPS"]).all()
    same = jax.tree.map(lambda a, b: bool((a == b).all()), first["params"], again["params"])
    assert all(jax.tree.leaves(same))
    same = jax.tree.map(lambda a, b: bool((a == b).all()), first["params"], other["params"])
    assert not all(jax.tree.leaves(same))

    assert np.nanmean(returns[-5:]) > 2 * np.nanmean(returns[:5])
    env, params = code.make_env.make_env(config)
    network = code.networks.ActorCritic(
        code.make_env.get_action_dim(env, params, config), config, code.activation.get_activation(config)
    )
    learner = InProcessLearner(code.main.GreedyPolicy(network, first["params"]))
    assert breakout.examine(learner, 0)["return_mean"] > 2 + breakout.floor(0)["return_mean"]


def test_a_continuous_action_space_is_trained_and_examined(code: Any) -> None:
    config = code.main.get_config(PENDULUM)
    result = jax.jit(code.train.make_train(config))(jax.random.key(0), config["LR"])
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(result["params"]))
    network = code.networks.ActorCritic(1, config, code.activation.get_activation(config))
    examiner = OnPolicyRLExaminer("Pendulum", "tiny", config)
    learner = InProcessLearner(code.main.GreedyPolicy(network, result["params"]))
    assert examiner.examine(learner, 0)["return_mean"] < 0
    assert learner.questions == config["EVALUATION_STEPS"]
    assert examiner.floor(0) != examiner.floor(1)


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda path: path.name)
def test_candidates_keep_the_interfaces(candidate: Path, tmp_path: Path) -> None:
    folder = write_code(tmp_path / "candidate")
    shutil.copytree(candidate, folder, dirs_exist_ok=True)
    with imported(folder) as code:
        config = code.main.get_config(DOMAIN.config("MinAtar/Breakout", "tiny"))
        result = jax.eval_shape(code.train.make_train(config), jax.random.key(0), jnp.float32(0.1))
        assert result["metrics"]["mean_training_return"].shape == (config["NUM_UPDATES"],)


def test_main_trains_and_answers_the_examiner(tmp_path: Path, breakout: OnPolicyRLExaminer) -> None:
    folder = write_code(tmp_path / "task")
    values = {**DOMAIN.config("MinAtar/Breakout", "tiny"), "TOTAL_TIMESTEPS": 16_384}
    (folder / "config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "exam.sock"))
        listener.listen(1)
        listener.settimeout(60)
        environment = {"PATH": os.environ["PATH"], "EXAM_SOCKET": str(tmp_path / "exam.sock"), "JAX_PLATFORMS": "cpu"}
        process = subprocess.Popen(
            [sys.executable, "main.py"], cwd=folder, env=environment, stdout=-1, stderr=-1, text=True
        )
        try:
            connection, _ = listener.accept()
            channel = Channel(connection)
            assert channel.receive(time.monotonic() + 60) == {"ready": True}
            metrics = breakout.examine(Learner(channel, budget_s=60), seed=3)
            channel.close()
            output, errors = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
    assert set(metrics) == {"return_mean", *DOMAIN.specification.other_metrics}
    assert (process.returncode, errors) == (0, "")
    assert "16,384" in output


# --- the examiner -----------------------------------------------------------------------------------------------------


def test_floor_is_fixed_by_the_seed(breakout: OnPolicyRLExaminer) -> None:
    assert breakout.floor(0) == breakout.floor(0)
    assert breakout.floor(0) != breakout.floor(1)


def test_a_good_policy_scores_far_above_the_floor(breakout: OnPolicyRLExaminer) -> None:
    learner = InProcessLearner(BallTracker())
    metrics = breakout.examine(learner, seed=0)
    assert metrics["return_mean"] > 5 + breakout.floor(0)["return_mean"]
    assert metrics == breakout.examine(learner, seed=0)


def test_an_episode_that_does_not_end_counts_its_return_so_far() -> None:
    values = {**DOMAIN.config("MinAtar/Breakout", "tiny"), "EVALUATION_STEPS": 40, "EVALUATION_RANDOM_STEPS": 0}
    metrics = OnPolicyRLExaminer("MinAtar/Breakout", "tiny", values).examine(InProcessLearner(BallTracker()), 0)
    assert metrics["episode_length_mean"] == 40
    assert metrics["return_mean"] > 1


@pytest.mark.parametrize(("random_steps", "least", "most"), [(0, 1, 2), (10, 6, 16)])
def test_random_starts_make_episodes_differ(random_steps: int, least: int, most: int) -> None:
    episodes = Episodes("Breakout-MinAtar", 16, random_steps)
    obs, first = episodes.start(seed=5)
    assert least <= len(np.unique(obs, axis=0)) <= most
    assert first.all()
    again, _ = episodes.start(seed=5)
    np.testing.assert_array_equal(obs, again)
    returns, lengths = episodes.results()
    assert not returns.any() and not lengths.any()  # what the random actions earned does not count


def test_only_the_first_episode_of_each_environment_counts(breakout: OnPolicyRLExaminer) -> None:
    class Idle:
        def __init__(self) -> None:
            self.firsts: list[Any] = []

        def act(self, obs: Any, done: Any) -> Any:
            assert obs.shape == (16, 400) and obs.dtype == np.float32
            self.firsts.append(done)
            return np.zeros(len(obs), int)

    idle = Idle()
    learner = InProcessLearner(idle)
    metrics = breakout.examine(learner, seed=0)
    firsts = np.array(idle.firsts)
    assert firsts[0].all()
    lengths = np.where(firsts[1:].any(0), firsts[1:].argmax(0) + 1, len(firsts))
    assert metrics["episode_length_mean"] == lengths.mean()
    assert learner.questions == lengths.max() < 30  # the exam ends with the last of the first episodes


@pytest.mark.parametrize("answer", [np.zeros(16), np.zeros(15, int), np.full(16, 3), np.full(16, -1)])
def test_answers_that_are_not_actions_end_the_exam(breakout: OnPolicyRLExaminer, answer: Any) -> None:
    with pytest.raises(ProtocolError, match="act"):
        breakout.examine(InProcessLearner(SimpleNamespace(act=lambda obs, done: answer)), 0)
