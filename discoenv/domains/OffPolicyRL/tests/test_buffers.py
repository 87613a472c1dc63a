"""OffPolicyRL's replay buffers: what they hold and give, and others that fit the interface."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discoenv.domains.OffPolicyRL.tests.conftest import CANDIDATES, DOMAIN, settings
from discoenv.testing import import_learner

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
gymnax = pytest.importorskip("gymnax")

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


@pytest.mark.slow
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
        assert config["OBS_DTYPE"] == "float32"  # what agents see in any case
        return
    env, params = gymnax.make(config["ENV_NAME"])
    step = jax.jit(jax.vmap(env.step_env, in_axes=(0, 0, 0, None)))
    obs, state = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(jax.random.key(0), 8), params)
    rng = np.random.default_rng(0)
    for t in range(40):
        np.testing.assert_array_equal(obs, obs.astype(config["OBS_DTYPE"]).astype(jnp.float32))
        action = rng.integers(env.action_space(params).n, size=8)
        obs, state, *_ = step(jax.random.split(jax.random.key(t), 8), state, action, params)
