"""The modules of OnPolicyMARL against plain NumPy: targets, losses with masks, networks, memories."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.domains.OnPolicyMARL.tests.conftest import BACKENDS, BATTLE, DOMAIN, SPREAD, actor_critic
from discoenv.tasks.ladder import ladder_of, method_text, methods_of
from discoenv.testing import import_learner

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

STEPS, ENVS, AGENTS, ACTIONS = 12, 3, 4, 5


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    with import_learner(DOMAIN) as modules:
        yield modules


@pytest.fixture(scope="module")
def config(code: Any) -> Any:
    return code.run_config.get_config(SPREAD)


def rollout(code: Any, rng: Any, shape: tuple[int, ...] = (STEPS, ENVS, AGENTS)) -> Any:
    """A rollout of noise in which agents die, and episodes end in both ways."""
    teams = shape[:-1]
    terminated = rng.random(teams) < 0.15
    truncated = ~terminated & (rng.random(teams) < 0.15)
    active = rng.random(shape) < 0.7
    active[..., 0] |= ~active.any(axis=-1)
    obs = code.marl_jax.teams.Observation(
        rng.normal(size=(*shape, 6)).astype(np.float32),
        rng.random((*shape, ACTIONS)) < 0.6,
        active,
        np.zeros((*shape, 1), np.float32),
    )
    obs.available[..., 0] = True
    noise = {name: rng.normal(size=shape).astype(np.float32) for name in ("log_prob", "value", "final_value")}
    parts = {
        **noise,
        "obs": obs,
        "action": rng.integers(ACTIONS, size=shape),
        "reward": np.repeat(rng.normal(size=(*teams, 1)).astype(np.float32), shape[-1], axis=-1),
        "terminated": np.repeat(terminated[..., None], shape[-1], axis=-1),
        "truncated": np.repeat(truncated[..., None], shape[-1], axis=-1),
    }
    if "first" in code.transition.Transition._fields:
        parts["first"] = rng.random(shape) < 0.2
    return code.transition.Transition(**parts)


def gae(data: Any, last_val: Any, gamma: float, lambda_: float) -> Any:
    """Advantages float[T, N, A] by the definition: sums of TD errors up to the end of the episode."""
    steps, envs, agents = data.value.shape
    expected = np.zeros(data.value.shape)
    for env in range(envs):
        for agent in range(agents):
            for t in range(steps):
                for k in range(t, steps):
                    after = last_val[env, agent] if k + 1 == steps else data.value[k + 1, env, agent]
                    if data.terminated[k, env, agent]:
                        after = 0.0
                    if data.truncated[k, env, agent]:
                        after = data.final_value[k, env, agent]
                    delta = data.reward[k, env, agent] + gamma * after - data.value[k, env, agent]
                    expected[t, env, agent] += (gamma * lambda_) ** (k - t) * delta
                    if data.terminated[k, env, agent] or data.truncated[k, env, agent]:
                        break
    return expected


def test_advantages_are_those_of_the_definition(code: Any, config: Any) -> None:
    rng = np.random.default_rng(0)
    data, last_val = rollout(code, rng), rng.normal(size=(ENVS, AGENTS)).astype(np.float32)
    advantages, targets = code.targets.get_targets(jax.tree.map(jnp.asarray, data), jnp.asarray(last_val), config)
    expected = gae(data, last_val, config["GAMMA"], config["GAE_LAMBDA"])
    np.testing.assert_allclose(advantages, expected, atol=1e-5)
    np.testing.assert_allclose(targets, expected + data.value, atol=1e-5)


def test_nothing_leaks_over_the_end_of_an_episode(code: Any, config: Any) -> None:
    rng = np.random.default_rng(1)
    data, last_val = rollout(code, rng), jnp.zeros((ENVS, AGENTS))
    ended = np.asarray(data.terminated | data.truncated)
    end = int(ended[2:-2, 0, 0].argmax()) + 2
    assert ended[end, 0, 0]
    before, _ = code.targets.get_targets(jax.tree.map(jnp.asarray, data), last_val, config)
    later = np.arange(STEPS)[:, None, None] > end
    other = data._replace(reward=data.reward + 5 * later, value=data.value - 3 * later)
    after, _ = code.targets.get_targets(jax.tree.map(jnp.asarray, other), last_val, config)
    np.testing.assert_array_equal(before[: end + 1, 0], after[: end + 1, 0])
    assert bool((before[end + 1 :, 0] != after[end + 1 :, 0]).any())


def test_values_of_the_dead_are_those_of_the_living(code: Any) -> None:
    rng = np.random.default_rng(2)
    value, active = rng.normal(size=(7, AGENTS)).astype(np.float32), rng.random((7, AGENTS)) < 0.5
    active[0], active[1] = False, True
    found = np.asarray(code.transition.team_value(jnp.asarray(value), jnp.asarray(active)))
    for row in range(7):
        alive = value[row][active[row]]
        mean = alive.mean() if len(alive) else 0.0
        np.testing.assert_allclose(found[row], np.where(active[row], value[row], mean), atol=1e-6)
    other = np.where(active, value, 99.0)  # whatever the critic says of the dead
    np.testing.assert_array_equal(found, code.transition.team_value(jnp.asarray(other), jnp.asarray(active)))


def loss_of(code: Any, config: Any, data: Any, logits: Any, value: Any, advantages: Any, targets: Any) -> Any:
    """The loss of a network that answers these logits and values."""
    pi = code.rl_jax.distributions.Categorical(jnp.asarray(logits))
    data = jax.tree.map(jnp.asarray, data)
    if "first" in code.transition.Transition._fields:
        network = SimpleNamespace(apply=lambda params, memory, obs, first: (memory, pi, jnp.asarray(value)))
        return code.loss.loss_actor_and_critic({}, {}, data, jnp.asarray(advantages), targets, network, config)
    network = SimpleNamespace(apply=lambda params, obs: (pi, jnp.asarray(value)))
    return code.loss.loss_actor_and_critic({}, data, jnp.asarray(advantages), targets, network, config)


@pytest.mark.parametrize("backend", ["default", "recurrent"])
def test_the_loss_is_the_mean_over_agents_that_could_choose(backend: str) -> None:
    rng = np.random.default_rng(3)
    with import_learner(DOMAIN, backend=backend) as code:
        config = code.run_config.get_config(SPREAD)
        data = rollout(code, rng)
        active = data.obs.active
        shape = active.shape
        logits = rng.normal(size=(*shape, ACTIONS)).astype(np.float32)
        log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        log_prob = np.take_along_axis(log_p, data.action[..., None], axis=-1)[..., 0]
        data = data._replace(log_prob=(log_prob + 0.4 * rng.normal(size=shape)).astype(np.float32))
        value, advantages, targets = (rng.normal(size=shape).astype(np.float32) for _ in range(3))
        total, (value_loss, actor_loss, entropy, ratio) = loss_of(
            code, config, data, logits, value, advantages, targets
        )
        dead = {"log_prob": -data.log_prob, "value": 9 * data.value}
        other = data._replace(**{name: np.where(active, getattr(data, name), x) for name, x in dead.items()})
        noise = np.where(active, advantages, 1e3)
        again = loss_of(code, config, other, logits, np.where(active, value, 7.0), noise, targets)
    a, r = advantages[active], np.exp(log_prob - data.log_prob)
    np.testing.assert_allclose(ratio, r, rtol=1e-4)
    r = r[active]
    if backend == "default":
        a = (a - a.mean()) / a.std()
    np.testing.assert_allclose(actor_loss, -np.minimum(r * a, np.clip(r, 0.8, 1.2) * a).mean(), atol=1e-5)
    old, now, goal = data.value[active], value[active], targets[active]
    clipped = old + np.clip(now - old, -0.2, 0.2)
    np.testing.assert_allclose(value_loss, 0.5 * np.maximum((now - goal) ** 2, (clipped - goal) ** 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(entropy, -(np.exp(log_p) * log_p).sum(axis=-1)[active].mean(), rtol=1e-5)
    expected = actor_loss + config["VF_COEF"] * value_loss - config["ENT_COEF"] * entropy
    np.testing.assert_allclose(total, expected, rtol=1e-6)
    np.testing.assert_allclose(again[0], total, rtol=1e-5)  # what the dead are said to have done does not count


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_shared_network_answers_for_each_agent_alone(backend: str) -> None:
    """Permuting agents permutes the answers; and what one sees does not change what another does."""
    rng = np.random.default_rng(4)
    with import_learner(DOMAIN, backend=backend, dataset="Skirmish/2s3z_vs_2s4z") as code:
        config = code.run_config.get_config(BATTLE)
        network = code.networks.ActorCritic(ACTIONS, config, code.activation.activation)
        data = rollout(code, rng)
        obs = jax.tree.map(jnp.asarray, data.obs._replace(world=rng.normal(size=(STEPS, ENVS, AGENTS, 3))))
        if backend == "recurrent":
            first = jnp.asarray(data.first)
            memory = jnp.asarray(rng.normal(size=(ENVS, AGENTS, config["HSIZE"])).astype(np.float32))
            params = network.init(jax.random.key(0), memory, obs, first)

            def answers(agents: Any, obs: Any) -> Any:
                taken = jax.tree.map(lambda x: x[:, :, agents], (obs, first))
                _, pi, value = network.apply(params, memory[:, agents], *taken)
                return pi.logits, value
        else:
            params = network.init(jax.random.key(0), obs)

            def answers(agents: Any, obs: Any) -> Any:
                pi, value = network.apply(params, jax.tree.map(lambda x: x[:, :, agents], obs))
                return pi.logits, value

        everyone = np.arange(AGENTS)
        logits, value = answers(everyone, obs)
        order = np.array([2, 0, 3, 1])
        permuted = answers(order, obs)
        np.testing.assert_allclose(permuted[0], logits[:, :, order], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(permuted[1], value[:, :, order], rtol=1e-5, atol=1e-5)
        changed = obs._replace(own=obs.own.at[:, :, 0].add(1.0))
        other = answers(everyone, changed)
        np.testing.assert_allclose(other[0][:, :, 1:], logits[:, :, 1:], rtol=1e-6)
        assert bool((other[0][:, :, 0] != logits[:, :, 0]).any())
    assert bool(jnp.where(obs.available, True, logits < -1e9).all())
    world = np.asarray(answers(everyone, obs._replace(world=obs.world + 1))[1])
    assert (np.abs(world - value).max() > 1e-3) == (backend == "centralised")


def test_memories_are_forgotten_where_an_episode_begins_and_steps_may_be_read_together() -> None:
    rng = np.random.default_rng(5)
    with import_learner(DOMAIN, backend="recurrent") as code:
        config = code.run_config.get_config(SPREAD)
        network = code.networks.ActorCritic(ACTIONS, config, code.activation.activation)
        data = rollout(code, rng)
        obs, first = jax.tree.map(jnp.asarray, (data.obs, data.first))
        shape = first.shape[1:]
        memory = network.initial_memory(shape)
        assert memory.shape == (*shape, config["HSIZE"]) and not memory.any()
        memory = memory + jnp.asarray(rng.normal(size=memory.shape).astype(np.float32))
        params = network.init(jax.random.key(0), memory, obs, first)
        last, pi, value = network.apply(params, memory, obs, first)

        now = memory
        for t in range(STEPS):
            one = jax.tree.map(lambda x, t=t: x[t : t + 1], (obs, first))
            now, pi_now, value_now = network.apply(params, now, *one)
            np.testing.assert_allclose(pi_now.logits[0], pi.logits[t], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(value_now[0], value[t], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(now, last, rtol=1e-4, atol=1e-5)

        # Where an agent's episode begins, nothing of before it matters; elsewhere it does.
        begins = first.at[:].set(False).at[5, 0, 0].set(True)
        _, before, _ = network.apply(params, memory, obs, begins)
        changed = obs._replace(own=obs.own.at[:5].add(1.0))
        _, after, _ = network.apply(params, memory + 1, changed, begins)
        np.testing.assert_allclose(after.logits[5:, 0, 0], before.logits[5:, 0, 0], rtol=1e-6)
        assert bool((after.logits[5:, 0, 1] != before.logits[5:, 0, 1]).any())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["default", "recurrent"])
def test_training_bootstraps_from_the_observation_in_which_an_episode_was_cut(backend: str) -> None:
    """The rollout that targets get, in a battle that is cut after three steps: values, masks, ends."""
    seen: list[Any] = []
    text = """
import jax
from seen import note


def get_targets(traj_batch, last_val, config):
    jax.debug.callback(note, traj_batch, last_val)
    return traj_batch.reward, traj_batch.value
"""
    values = {**BATTLE, "OPTIONS": {"max_steps": 3}, "TOTAL_TIMESTEPS": 32}
    import sys
    from types import ModuleType

    module = ModuleType("seen")
    module.note = lambda *arguments: seen.append(jax.tree.map(np.asarray, arguments))  # type: ignore[attr-defined]
    sys.modules["seen"] = module
    try:
        with import_learner(
            DOMAIN, backend=backend, dataset="Skirmish/2s3z_vs_2s4z", modules={"targets": text}
        ) as code:
            config = code.run_config.get_config(values)
            jax.block_until_ready(jax.jit(code.train.make_train(config))(jax.random.key(0), 0.0))
            jax.effects_barrier()
    finally:
        del sys.modules["seen"]
    ((data, last_val),) = seen
    assert data.value.shape == (8, 4, 2) and last_val.shape == (4, 2)
    assert data.truncated[2].all() and data.truncated[5].all() and data.truncated.sum() == 16
    assert (data.final_value[2] != data.value[3]).all() and not data.final_value[0].any()
    if backend == "recurrent":
        np.testing.assert_array_equal(data.first[0], True)
        np.testing.assert_array_equal(data.first[1:], (data.terminated | data.truncated)[:-1])


# --- the ladder -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "gamma", "lambda_"),
    [("td0", 0.99, 0.0), ("monte_carlo", 0.99, 1.0), ("gae_90", 0.99, 0.9), ("short_horizon", 0.9, 0.95)],
)
def test_targets_of_the_ladder(method: str, gamma: float, lambda_: float) -> None:
    rng = np.random.default_rng(0)
    with import_learner(DOMAIN, modules={"targets": method_text(DOMAIN, "targets", method)}) as code:
        config = code.run_config.get_config({**SPREAD, "GAMMA": 0.99})
        data, last_val = rollout(code, rng), np.ones((ENVS, AGENTS), np.float32)
        advantages, _ = code.targets.get_targets(jax.tree.map(jnp.asarray, data), jnp.asarray(last_val), config)
    np.testing.assert_allclose(advantages, gae(data, last_val, gamma, lambda_), atol=1e-4)


def test_returns_may_end_at_death() -> None:
    rng = np.random.default_rng(0)
    with import_learner(DOMAIN, modules={"targets": method_text(DOMAIN, "targets", "end_at_death")}) as code:
        config = code.run_config.get_config(SPREAD)
        data, last_val = rollout(code, rng), np.ones((ENVS, AGENTS), np.float32)
        advantages, _ = code.targets.get_targets(jax.tree.map(jnp.asarray, data), jnp.asarray(last_val), config)
    active = data.obs.active
    dies = np.concatenate([active[:-1] & ~active[1:], np.zeros_like(active[:1])]) & ~data.truncated
    expected = gae(data._replace(terminated=data.terminated | dies), last_val, config["GAMMA"], config["GAE_LAMBDA"])
    np.testing.assert_allclose(advantages, expected, atol=1e-4)


@pytest.mark.parametrize("method", ladder_of(DOMAIN)["loss"].methods)
def test_losses_of_the_ladder_ignore_the_dead(method: str) -> None:
    rng = np.random.default_rng(6)
    with import_learner(DOMAIN, modules={"loss": method_text(DOMAIN, "loss", method)}) as code:
        config = code.run_config.get_config(SPREAD)
        data = rollout(code, rng)
        active, shape = data.obs.active, data.obs.active.shape
        logits = rng.normal(size=(*shape, ACTIONS)).astype(np.float32)
        value, advantages, targets = (rng.normal(size=shape).astype(np.float32) for _ in range(3))
        total, parts = loss_of(code, config, data, logits, value, advantages, targets)
        noise = np.where(active, advantages, 1e3)
        again, _ = loss_of(code, config, data, logits, np.where(active, value, 7.0), noise, targets)
    assert np.isfinite(total) and len(parts) == 4 and parts[3].shape == shape
    np.testing.assert_allclose(again, total, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("number", range(5))
def test_every_method_trains(number: int) -> None:
    """The methods with this number, one of each module, make one team, which is trained shortly."""
    methods: dict[str, list[str]] = {}
    for module, name in methods_of(DOMAIN, "default"):
        methods.setdefault(module, []).append(name)
    chosen = {module: names[number % len(names)] for module, names in methods.items()}
    texts = {module: method_text(DOMAIN, module, method) for module, method in chosen.items()}
    with import_learner(DOMAIN, dataset="Skirmish/2s3z_vs_2s4z", modules=texts) as code:
        config = code.run_config.get_config(BATTLE)
        _, results = code.main.train_agents(code.train.make_train(config), config, seed=0)
        state = code.main.handed_over(results, 0)
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(state["params"])), chosen
    assert state["env_steps"] == config["TOTAL_TIMESTEPS"], chosen


def test_the_base_network_is_the_domain_s(code: Any, config: Any) -> None:
    assert actor_critic(code, config).action_dim == 5
    assert max(len(ladder.methods) for ladder in ladder_of(DOMAIN).values()) == 5
