"""The kit rl_jax: simulators, wrappers, distributions and the optimiser against plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
pytest.importorskip("gymnax")

from discoenv.kits.rl_jax import adam, distributions, environments, wrappers  # noqa: E402


class Counter:
    """An environment without resets, of which everything is known: it counts up from a random start."""

    def reset(self, key: Any, params: Any) -> tuple[Any, Any]:
        start = jax.random.randint(key, (), 0, 1000)
        return start[None].astype(float), start

    def step(self, key: Any, state: Any, action: Any, params: Any) -> tuple[Any, ...]:
        state = state + 1
        return state[None].astype(float), state, 1.0, state % 5 == 0, (state % 5 == 1) & (action == 1)


def test_simulators_without_resets_start_again_where_they_started() -> None:
    env = environments.Restarting(Counter())
    obs, state = env.reset(jax.random.key(3), None)
    start = float(obs[0])
    now = start
    for _ in range(20):
        obs, state, _, terminated, _, info = env.step(jax.random.key(0), state, jnp.int32(0), None)
        now += 1
        assert info["final_observation"] == now
        assert bool(terminated) == (now % 5 == 0)
        now = start if terminated else now
        assert float(obs[0]) == now


def test_fresh_starts_change_where_next_episodes_begin_and_nothing_else() -> None:
    env = wrappers.FreshStarts(wrappers.Vectorise(environments.Restarting(Counter()), 8), 2)
    obs, state = env.reset(jax.random.key(3), None)
    before = np.asarray(state.first_state)
    after, stepped, *_ = env.step(jax.random.key(4), state, jnp.zeros(8, int), None)
    assert (np.asarray(stepped.first_state) != before).sum() == 2
    np.testing.assert_array_equal(stepped.first_obs[:, 0], stepped.first_state)
    goes_on = np.asarray(obs[:, 0]) % 5 != 4
    np.testing.assert_array_equal(after[goes_on, 0], obs[goes_on, 0] + 1)


# --- normalisation ----------------------------------------------------------------------------------------------------


class Noise:
    """Vectorised environments whose observations and rewards are given."""

    num_envs = 4

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.obs = rng.normal(5.0, 3.0, (21, 4, 2)).astype(np.float32)
        self.reward = rng.normal(1.0, 2.0, (21, 4)).astype(np.float32)
        self.done = rng.random((21, 4)) < 0.2

    def reset(self, key: Any, params: Any) -> tuple[Any, int]:
        return self.obs[0], 0

    def step(self, key: Any, state: int, action: Any, params: Any) -> tuple[Any, ...]:
        t = state + 1
        final = {"final_observation": self.obs[t] + 1}
        return self.obs[t], t, self.reward[t], self.done[t], np.zeros(4, bool), final


def test_observations_are_standardised_by_all_that_were_seen() -> None:
    noise = Noise()
    env = wrappers.NormalizeObservation(noise)
    obs, state = env.reset(None, None)
    for t in range(1, 21):
        obs, state, *_, info = env.step(None, state, None, None)
        seen = noise.obs[: t + 1].reshape(-1, 2).astype(np.float64)
        mean, std = seen.mean(0), seen.std(0)
        np.testing.assert_allclose(obs, (noise.obs[t] - mean) / std, atol=1e-3)
        np.testing.assert_allclose(info["final_observation"], (noise.obs[t] + 1 - mean) / std, atol=1e-3)
    assert float(state.moments.standardise(np.full(2, 1e9, np.float32)).max()) == 10.0


def test_rewards_are_divided_by_the_standard_deviation_of_the_discounted_return() -> None:
    noise = Noise()
    env = wrappers.NormalizeReward(noise, gamma=0.9)
    _, state = env.reset(None, None)
    running, seen = np.zeros(4), []
    for t in range(1, 21):
        _, state, reward, *_ = env.step(None, state, None, None)
        running = 0.9 * running + noise.reward[t]
        seen.append(running)
        np.testing.assert_allclose(reward, noise.reward[t] / np.std(seen), rtol=2e-3)
        running = running * ~noise.done[t]


# --- distributions and optimiser --------------------------------------------------------------------------------------


def test_distributions_sample_what_they_say() -> None:
    keys = jax.random.split(jax.random.key(0), 20_000)
    logits = jnp.array([0.0, 1.0, -1.0])
    discrete = distributions.Categorical(logits)
    samples = np.asarray(jax.vmap(discrete.sample)(keys))
    np.testing.assert_allclose(np.bincount(samples) / len(keys), jax.nn.softmax(logits), atol=0.02)
    assert int(discrete.mode()) == 1

    normal = distributions.DiagonalNormal(jnp.array([1.0, -2.0]), jnp.array([0.0, 0.7]))
    samples = np.asarray(jax.vmap(normal.sample)(keys))
    np.testing.assert_allclose(samples.mean(0), normal.mode(), atol=0.06)
    np.testing.assert_allclose(samples.std(0), np.exp([0.0, 0.7]), rtol=0.03)
    np.testing.assert_allclose(-np.mean(jax.vmap(normal.log_prob)(samples)), normal.entropy(), atol=0.03)


def test_optimizer_is_adam() -> None:
    import optax

    ours, reference = adam.scale_by_optimizer(), optax.scale_by_adam(eps=1e-5)
    params = {"w": jnp.zeros(3)}
    our_state, reference_state = ours.init(params), reference.init(params)
    for step in range(5):
        gradients = {"w": jnp.array([1.0, -0.1, 1e-4]) * (step + 1)}
        update, our_state = ours.update(gradients, our_state, params)
        expected, reference_state = reference.update(gradients, reference_state, params)
        np.testing.assert_allclose(update["w"], expected["w"], rtol=1e-4)
