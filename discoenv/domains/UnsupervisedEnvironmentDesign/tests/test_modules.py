"""Base modules: their formulas against plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discoenv.domains.UnsupervisedEnvironmentDesign.tests.conftest import DOMAIN, short_config
from discoenv.testing import import_learner

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

T, A, N = 12, 3, 5
CONFIG = DOMAIN.config("Mazes/Small", "tiny")


def a_play(code: Any, generator: np.random.Generator) -> Any:
    """What happened in N levels: random numbers, and rewards where a level was solved."""
    ended = generator.random((T, A, N)) < 0.25
    solved = ended & (generator.random((T, A, N)) < 0.5)
    reward = (solved * generator.uniform(0.5, 1, (T, A, N))).astype(np.float32)
    value, last = generator.random((T, A, N)).astype(np.float32), generator.random((A, N)).astype(np.float32)
    return code.play.Play(reward, ended, solved, value, np.ones((T, A, N), np.float32), last)


def test_learnability_is_largest_for_levels_that_are_solved_half_of_the_time(generator: np.random.Generator) -> None:
    with import_learner(DOMAIN) as code:
        played = a_play(code, generator)
        scores = np.asarray(code.score.score_levels(jax.tree.map(jnp.asarray, played), CONFIG))
        never = played._replace(ended=np.zeros((T, A, N), bool), solved=np.zeros((T, A, N), bool))
        assert not np.asarray(code.score.score_levels(jax.tree.map(jnp.asarray, never), CONFIG)).any()
    for level in range(N):
        episodes = solved = 0
        for attempt in range(A):
            for t in range(T):
                episodes += played.ended[t, attempt, level]
                solved += played.solved[t, attempt, level]
        p = solved / max(episodes, 1)
        np.testing.assert_allclose(scores[level], p * (1 - p), atol=1e-6)


def test_regret_is_the_best_return_less_the_mean_value(generator: np.random.Generator) -> None:
    with import_learner(DOMAIN, backend="replay") as code:
        played = a_play(code, generator)
        scores = np.asarray(code.score.score_levels(jax.tree.map(jnp.asarray, played), CONFIG))
    for level in range(N):
        expected = np.mean([played.reward[..., level].max() - v for v in played.value[..., level].ravel()])
        np.testing.assert_allclose(scores[level], expected, atol=1e-5)


def a_buffer(code: Any, config: Any, scores: Any) -> Any:
    """A buffer whose first level is 0, the second 1 and so on, with these scores, of KEEP of as many candidates."""
    levels = {"number": jnp.arange(len(scores))}
    buffer = code.buffer.create_buffer({"number": jnp.int32(0)}, config)
    assert not np.isfinite(buffer.scores).any()
    return code.buffer.insert_levels(buffer, levels, jnp.asarray(scores, jnp.float32), config)


def test_the_base_keeps_the_best_of_the_newest() -> None:
    config = {**CONFIG, "KEEP": 3}
    with import_learner(DOMAIN) as code:
        buffer = a_buffer(code, config, [0.1, 0.5, 0.3, 0.9])
        assert sorted(buffer.levels["number"].tolist()) == [1, 2, 3]
        later = code.buffer.insert_levels(
            buffer, {"number": jnp.arange(10, 14)}, jnp.array([0.0, 0.02, 0.01, 0.03]), config
        )
        assert sorted(later.levels["number"].tolist()) == [11, 12, 13]
        levels, index = code.buffer.draw_levels(jax.random.key(0), buffer, 3000, config)
    np.testing.assert_array_equal(levels["number"], np.asarray(buffer.levels["number"])[np.asarray(index)])
    assert (np.bincount(index) > 900).all()


def test_replay_keeps_the_best_of_all_and_draws_by_rank_and_staleness() -> None:
    config = {**CONFIG, "REPLAY_KEEP": 5, "TEMPERATURE": 0.5, "STALENESS": 0.3}
    with import_learner(DOMAIN, backend="replay") as code:
        buffer = a_buffer(code, config, [0.1, 0.5, 0.3])
        assert np.isneginf(buffer.scores).sum() == 2
        _, index = code.buffer.draw_levels(jax.random.key(0), buffer, 3000, config)
        assert set(np.asarray(buffer.scores)[np.asarray(index)].tolist()) == {np.float32(x) for x in (0.1, 0.5, 0.3)}
        buffer = code.buffer.insert_levels(
            buffer, {"number": jnp.arange(10, 14)}, jnp.array([0.0, 0.2, 0.4, 0.05]), config
        )
        assert buffer.levels["number"].tolist() == [1, 12, 2, 11, 0]
        revised = code.buffer.revise_scores(buffer, jnp.array([0, -1, 4]), jnp.array([0.01, 99.0, 0.6]), config)
        np.testing.assert_allclose(revised.scores, [0.01, 0.4, 0.3, 0.2, 0.6])
        assert revised.time.tolist() == [2, 1, 0, 1, 2]
        count = 40_000
        _, index = code.buffer.draw_levels(jax.random.key(1), revised, count, config)
    rank = np.array([5, 2, 3, 4, 1])
    by_score, stale = rank**-2.0, np.array([0, 1, 2, 1, 0])
    expected = 0.7 * by_score / by_score.sum() + 0.3 * stale / stale.sum()
    np.testing.assert_allclose(np.bincount(index, minlength=5) / count, expected, atol=0.01)


def a_rollout(code: Any, env: Any, generator: np.random.Generator, steps: int, envs: int) -> Any:
    parts: dict[str, Any] = {
        name: generator.normal(size=(steps, envs)).astype(np.float32) for name in ("log_prob", "value", "reward")
    }
    parts["log_prob"] -= 1.0
    return code.play.Rollout(
        **parts,
        obs=generator.normal(size=(steps, envs, env.obs_dim)).astype(np.float32),
        action=generator.integers(env.num_actions, size=(steps, envs)),
        ended=generator.random((steps, envs)) < 0.2,
        last_value=generator.normal(size=envs).astype(np.float32),
        fresh=generator.random(envs) < 0.5,
    )


def test_the_first_step_descends_the_loss_of_ppo(generator: np.random.Generator) -> None:
    """One pass and one minibatch of Adam move each parameter by the learning rate, against the gradient's sign."""
    values = short_config("Mazes/Small", NUM_ENVS=4, NUM_STEPS=8, UPDATE_EPOCHS=1, NUM_MINIBATCHES=1, MAX_GRAD_NORM=1e9)
    with import_learner(DOMAIN) as code:
        config = code.run_config.get_config(values)
        env = code.worlds.environments.make(config)
        network, obs = code.network.make_network(config)
        rollout = a_rollout(code, env, generator, 8, 4)
        start, step = code.train_step.make_train_step(config, network)
        params = network.init(jax.random.key(0), obs)
        after = jax.jit(step)(start(params), jax.tree.map(jnp.asarray, rollout), jax.random.key(1)).params

        advantages = np.zeros((8, 4))
        for env_number in range(4):
            following, next_value = 0.0, rollout.last_value[env_number]
            for t in reversed(range(8)):
                on = 1.0 - rollout.ended[t, env_number]
                delta = rollout.reward[t, env_number] + config["GAMMA"] * on * next_value - rollout.value[t, env_number]
                following = delta + config["GAMMA"] * config["GAE_LAMBDA"] * on * following
                advantages[t, env_number], next_value = following, rollout.value[t, env_number]
        target = jnp.asarray(advantages + rollout.value).reshape(-1)
        advantage = jnp.asarray((advantages - advantages.mean()) / advantages.std()).reshape(-1)

        def loss(params: Any) -> Any:
            logits, value = network.apply(params, jnp.asarray(rollout.obs).reshape(32, -1))
            pi = jax.nn.softmax(logits)
            action, old = rollout.action.reshape(-1), rollout.value.reshape(-1)
            ratio = pi[jnp.arange(32), action] / jnp.exp(rollout.log_prob.reshape(-1))
            surrogate = jnp.minimum(ratio * advantage, jnp.clip(ratio, 0.8, 1.2) * advantage)
            near = old + jnp.clip(value - old, -0.2, 0.2)
            errors = jnp.maximum((value - target) ** 2, (near - target) ** 2)
            entropy = -(pi * jnp.log(pi)).sum(-1)
            return -surrogate.mean() + config["VF_COEF"] * errors.mean() / 2 - config["ENT_COEF"] * entropy.mean()

        gradient = jax.jit(jax.grad(loss))(params)
    for before, now, slope in zip(*map(jax.tree.leaves, (params, after, gradient)), strict=True):
        moved = -config["LR"] * slope / (np.abs(slope) + 1e-5)
        np.testing.assert_allclose(now - before, moved, atol=2e-6 + 0.02 * config["LR"])


def test_actions_have_the_probabilities_of_the_policy() -> None:
    log_pi = jnp.log(jnp.array([0.1, 0.6, 0.0, 0.3]))
    with import_learner(DOMAIN) as code:
        drawn = code.play.sample_actions(jnp.broadcast_to(log_pi, (20_000, 4)), (jnp.arange(20_000) + 0.5) / 20_000)
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 20_000, [0.1, 0.6, 0.0, 0.3], atol=1e-4)
