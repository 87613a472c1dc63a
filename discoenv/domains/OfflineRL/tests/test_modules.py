"""Formulas of the modules against plain NumPy references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discoenv.domains.OfflineRL.tests.conftest import settings

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")


def batch_of(code: Any, seed: int, size: int = 12) -> Any:
    """Transitions of all kinds: at the goal, and at the ends of recordings."""
    draw = np.random.default_rng(seed)

    def uniform(*shape: int) -> np.ndarray[Any, Any]:
        return draw.uniform(-1, 1, shape).astype(np.float32)

    return code.data.Batch(
        uniform(size, 4),
        uniform(size, 2),
        -(draw.random(size) < 0.8).astype(np.float32),
        uniform(size, 4),
        (np.arange(size) % 3 > 0).astype(np.float32),
        uniform(size, 2),
        (np.arange(size) % 4 > 0).astype(np.float32),
    )


def linear_actor(params: Any, observations: Any) -> Any:
    return jnp.tanh(observations @ params)


def linear_critic(params: Any, observations: Any, actions: Any) -> Any:
    return jnp.concatenate([observations, actions], axis=-1).dot(params).T


def weights(seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(4, 2)).astype(np.float32), draw.normal(size=(6, 3)).astype(np.float32)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_critic_targets_agree_with_numpy(code: Any, alpha: float) -> None:
    batch, (_, critic), (target_actor, target_critic) = batch_of(code, 0), weights(1), weights(2)
    config = settings(DISCOUNT=0.9, ALPHA_CRITIC=alpha)
    key = jax.random.key(7)
    loss, _ = code.critic_loss.compute_critic_loss(
        linear_actor, linear_critic, critic, target_actor, target_critic, batch, key, config
    )
    noise = np.clip(0.2 * np.asarray(jax.random.normal(key, (12, 2))), -0.5, 0.5)
    expected = 0.0
    for row in range(12):
        chosen = np.clip(np.tanh(batch.next_observations[row] @ target_actor) + noise[row], -1, 1)
        members = np.concatenate([batch.next_observations[row], chosen]) @ target_critic
        penalty = ((chosen - batch.next_actions[row]) ** 2).sum() if batch.next_known[row] else 0.0
        following = members.min() - alpha * penalty if batch.masks[row] else 0.0
        target = batch.rewards[row] + 0.9 * following
        values = np.concatenate([batch.observations[row], batch.actions[row]]) @ critic
        expected += ((values - target) ** 2).sum() / 12
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_what_follows_a_goal_or_an_end_does_not_count(code: Any) -> None:
    batch, (_, critic), targets, config = batch_of(code, 3), weights(4), weights(5), settings(ALPHA_CRITIC=0.5)

    def loss(changed: Any) -> float:
        compute = code.critic_loss.compute_critic_loss
        return float(compute(linear_actor, linear_critic, critic, *targets, changed, jax.random.key(0), config)[0])

    elsewhere = np.where(batch.masks[:, None] > 0, batch.next_observations, 9.0)
    assert loss(batch._replace(next_observations=elsewhere)) == loss(batch)
    unknown = np.where(batch.next_known[:, None] > 0, batch.next_actions, 9.0)
    assert loss(batch._replace(next_actions=unknown)) == loss(batch)
    assert loss(batch._replace(next_actions=batch.next_actions + 1.0)) != loss(batch)


def test_actor_loss_and_its_gradient_agree_with_numpy(code: Any) -> None:
    batch, (actor, critic), config = batch_of(code, 6), weights(7), settings(ALPHA_ACTOR=0.3)

    def of(params: Any) -> Any:
        compute = code.actor_loss.compute_actor_loss
        return compute(linear_actor, linear_critic, params, critic, batch, jax.random.key(0), config)[0]

    def reference(params: Any, scale: float | None = None) -> tuple[float, float]:
        actions = np.tanh(batch.observations.astype(np.float64) @ params)
        values = (np.concatenate([batch.observations, actions], axis=1) @ critic.astype(np.float64)).min(axis=1)
        scale = 1.0 / (np.abs(values).mean() + 1e-6) if scale is None else scale
        cloning = ((actions - batch.actions) ** 2).sum(axis=1).mean()
        return 0.3 * cloning - scale * values.mean(), scale

    expected, scale = reference(actor.astype(np.float64))
    np.testing.assert_allclose(of(actor), expected, rtol=1e-5)
    gradient = np.asarray(jax.grad(of)(actor))
    step = np.zeros((4, 2))
    step[1, 1] = 1e-6  # the scale of the values is a constant
    slope = (reference(actor + step, scale)[0] - reference(actor - step, scale)[0]) / 2e-6
    np.testing.assert_allclose(gradient[1, 1], slope, rtol=1e-3)


def test_the_optimiser_is_adam(code: Any) -> None:
    optax = pytest.importorskip("optax")
    ours, theirs = code.optim.create_optimizer(settings(LR=0.01)), optax.adam(0.01)
    params = {"a": jnp.arange(3.0), "b": jnp.ones((2, 2))}
    state, reference = ours.init(params), theirs.init(params)
    for seed in range(5):
        gradients = jax.tree.map(lambda x, seed=seed: jax.random.normal(jax.random.key(seed), x.shape), params)
        changes, state = ours.update(gradients, state, params)
        expected, reference = theirs.update(gradients, reference, params)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), changes, expected)


def test_recordings_become_transitions_that_do_not_leak_into_the_next(code: Any) -> None:
    draw = np.random.default_rng(0)
    arrays = {
        "observations": draw.normal(size=(3, 5, 2)).astype(np.float32),
        "actions": draw.uniform(-1, 1, (3, 4, 1)).astype(np.float32),
        "rewards": draw.normal(size=(3, 4)).astype(np.float32),
        "terminals": np.eye(3, 4, dtype=bool),
    }
    data, normalisation = code.data.load(arrays)
    back = data.observations * normalisation["scale"] + normalisation["mean"]
    following = data.next_observations * normalisation["scale"] + normalisation["mean"]
    for recording in range(3):
        for time in range(4):
            row = 4 * recording + time
            np.testing.assert_allclose(back[row], arrays["observations"][recording, time], atol=1e-5)
            np.testing.assert_allclose(following[row], arrays["observations"][recording, time + 1], atol=1e-5)
            last = time == 3
            assert data.next_known[row] == (not last) and data.masks[row] == (recording != time)
            expected = 0.0 if last else arrays["actions"][recording, time + 1]
            np.testing.assert_array_equal(data.next_actions[row], expected)
    flat = np.concatenate(list(arrays["observations"]))
    np.testing.assert_allclose(normalisation["mean"], flat.mean(axis=0), rtol=1e-5)
    table, unpack = code.data.pack(data)
    jax.tree.map(np.testing.assert_array_equal, unpack(table[3:7]), jax.tree.map(lambda x: x[3:7], data))


def test_batches_are_uniform(code: Any) -> None:
    config = settings(GRADIENT_STEPS=500, BATCH_SIZE=64)
    data = jax.tree.map(lambda x: jnp.asarray(np.repeat(x, 4, axis=0)), batch_of(code, 0))
    indices = np.asarray(code.sampler.draw_indices(jax.random.key(0), data, config))
    assert indices.shape == (500, 64) and indices.dtype == np.int32
    counts = np.bincount(indices.ravel(), minlength=48)
    assert len(counts) == 48 and np.abs(counts / counts.mean() - 1.0).max() < 0.2


def test_networks_have_the_shapes_and_the_ensemble_members_differ(code: Any) -> None:
    config, batch = settings(ENSEMBLE=3), batch_of(code, 1)
    actor, critic = code.networks.Actor(2, config), code.networks.Critic(config)
    params = actor.init(jax.random.key(0), batch.observations)
    actions = actor.apply(params, batch.observations)
    assert actions.shape == (12, 2) and np.abs(actions).max() <= 1.0
    np.testing.assert_allclose(actor.apply(params, batch.observations[5:6]), actions[5:6], atol=1e-6)
    params = critic.init(jax.random.key(0), batch.observations, batch.actions)
    values = np.asarray(critic.apply(params, batch.observations, batch.actions))
    assert values.shape == (3, 12) and np.abs(values[0] - values[1]).max() > 1e-3


def test_actor_and_targets_move_when_they_are_due(code: Any) -> None:
    config = settings(ACTOR_PERIOD=2, TAU=0.25, HIDDEN=4)
    training, batch = code.train.make_train(config, 2), batch_of(code, 2)
    first = jax.jit(training.init)(jax.random.key(0), batch)
    update = jax.jit(training.update)
    second, _ = update(first, batch, jax.random.key(1))
    third, _ = update(second, batch, jax.random.key(2))

    def same(a: Any, b: Any) -> bool:
        return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x == y).all()), a, b)))

    assert same(first["actor"], second["actor"]) and not same(first["critic"], second["critic"])
    assert same(first["target_critic"], second["target_critic"])
    for name in ("actor", "critic"):
        expected = jax.tree.map(lambda old, new: 0.75 * old + 0.25 * new, first[f"target_{name}"], third[name])
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), third[f"target_{name}"], expected)
    assert same(training.policy(third), third["actor"])
