"""Outer loops: their gradients, invariances, and runs that go on after they were killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from discoenv.kits.meta_rl.agents import value_update
from discoenv.kits.meta_rl.curation import Curation
from discoenv.kits.meta_rl.evolution import es_gradient
from discoenv.kits.meta_rl.lives import a2c_actor, judged
from discoenv.kits.meta_rl.meta_gradient import meta_gradient_step, meta_loss
from discoenv.kits.meta_rl.modes import TABLES, mode
from discoenv.kits.meta_rl.networks import forward
from discoenv.kits.meta_rl.optimisers import Adam
from discoenv.kits.meta_rl.rollouts import collect
from discoenv.kits.meta_rl.rule_net import LPG, RuleOutputs
from discoenv.kits.meta_rl.settings import EvolutionStrategy, MetaGradient, Settings
from discoenv.kits.meta_rl.training import RULE, advance, init, meta_train

pytestmark = pytest.mark.timeout(900)  # compilation takes most of the time, and depends on what else runs

TINY = Settings(
    env_mode="debug",
    lifetime=(4, 4),
    train_steps=4,
    num_agents=4,
    num_mini_batches=2,
    env_workers=3,
    rollout_steps=4,
    rule=LPG(embedding=4, hidden=6, targets=3),
    outer=MetaGradient(updates=2, rate=0.01),
    curation=Curation("alg_regret", 12),
)
RANDOM = replace(TINY, curation=Curation())
#: Of populations with which parts are tested.
FIRST = replace(RANDOM, env_workers=8)
ES = replace(TINY, outer=EvolutionStrategy(init="network"), curation=Curation())


def first(tree: Any) -> Any:
    return jax.tree.map(lambda x: x[0], tree)


def losses(settings: Settings) -> tuple[Any, Any]:
    """Loss of one agent and its gradient, as a compiled function of the rule, and a rule, in float64."""
    state = init(FIRST)
    life, chosen, key = first(state.lives), settings.mode(), jax.random.key(5)

    def loss(params: Any) -> Any:
        return meta_loss(params, key, life, settings, chosen)[0]

    # The last layers of a new rule hardly move agents: larger ones make all paths count.
    params = jax.tree.map(lambda x: 3 * x + 0.1, state.rule.params)
    return jax.jit(jax.value_and_grad(loss)), params


def slope(value: Any, params: Any, direction: Any, by: float = 1e-6) -> float:
    moved = [jax.tree.map(lambda x, d, s=s: x + s * by * d, params, direction) for s in (1, -1)]
    return float(value(moved[0]) - value(moved[1])) / (2 * by)


def directions(params: Any, count: int) -> list[Any]:
    leaves, structure = jax.tree.flatten(params)
    random = np.random.default_rng(0)
    return [jax.tree.unflatten(structure, [random.normal(size=x.shape) for x in leaves]) for _ in range(count)]


def along(gradient: Any, direction: Any) -> float:
    return float(sum(jnp.vdot(g, d) for g, d in zip(*map(jax.tree.leaves, (gradient, direction)), strict=True)))


@pytest.mark.parametrize(
    "outer", [MetaGradient(updates=3, detached=False), pytest.param(MetaGradient(updates=1), marks=pytest.mark.slow)]
)
def test_the_meta_gradient_is_that_of_finite_differences(outer: MetaGradient) -> None:
    with jax.enable_x64(True):
        evaluated, params = losses(replace(FIRST, outer=outer))
        _, gradient = evaluated(params)
        for direction in directions(params, 3):
            expected = slope(lambda p: evaluated(p)[0], params, direction)
            assert abs(expected) > 1e-4
            assert abs(along(gradient, direction) / expected - 1) < 1e-4


class Repeating:
    """A rule that is given the inputs of its first run in all later ones."""

    def __init__(self, rule: LPG) -> None:
        self.rule, self.inputs, self.calls = rule, list[Any](), 0

    def apply(
        self, params: Any, reward: Any, done: Any, pi: Any, y: Any, y_next: Any, step: Any, lifetime: Any
    ) -> RuleOutputs:
        if self.calls >= len(self.inputs):
            self.inputs.append((pi, y, y_next))
        pi, y, y_next = self.inputs[self.calls]
        self.calls += 1
        return self.rule.apply(params, reward, done, pi, y, y_next, step, lifetime)


@pytest.mark.slow
def test_detached_inputs_are_constants_of_the_meta_gradient() -> None:
    with jax.enable_x64(True):
        settings = replace(FIRST, outer=MetaGradient(updates=3))
        evaluated, params = losses(settings)
        _, gradient = evaluated(params)
        life, key, rule = first(init(FIRST).lives), jax.random.key(5), Repeating(settings.rule)

        def value(params: Any) -> Any:
            rule.calls = 0
            with jax.disable_jit():
                return meta_loss(params, key, life, replace(settings, rule=rule), settings.mode())[0]  # type: ignore[arg-type]

        np.testing.assert_allclose(value(params), evaluated(params)[0])
        (direction,) = directions(params, 1)
        assert abs(along(gradient, direction) / slope(value, params, direction) - 1) < 1e-4


@pytest.mark.slow
def test_mini_batches_make_no_difference() -> None:
    state = init(FIRST)
    chosen = FIRST.mode()

    def stepped(mini_batches: int) -> Any:
        settings = replace(FIRST, num_mini_batches=mini_batches)
        step = jax.jit(lambda rule, lives: meta_gradient_step(jax.random.key(3), rule, lives, settings, chosen))
        return step(state.rule, state.lives)

    (one, lives, _), (four, other, _) = stepped(1), stepped(4)
    # m is a tenth of the gradient after one step of Adam: what Adam divides by its size would be noise.
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-5, atol=1e-8), one.state["m"], four.state["m"])
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), lives.agent, other.agent)
    assert max(float(abs(x).max()) for x in jax.tree.leaves(one.state["m"])) > 1e-5


@pytest.mark.parametrize("settings", [RANDOM, pytest.param(TINY, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_as_if_it_had_not_been(settings: Settings, tmp_path: Path) -> None:
    entries: dict[str, list[Any]] = {"whole": [], "killed": []}

    def log(name: str, last: int | None = None) -> Any:
        def write(step: int, numbers: Any) -> None:
            if last is not None and step > last:
                raise KeyboardInterrupt
            entries[name].append((step, dict(numbers)))

        return write

    whole = meta_train(settings, tmp_path / "whole", logs=[log("whole")], log_every=1)
    with pytest.raises(KeyboardInterrupt):
        meta_train(settings, tmp_path / "killed", logs=[log("killed", 2)], log_every=1, checkpoint_every=1)
    resumed = meta_train(settings, tmp_path / "killed", resume=True, logs=[log("killed")], log_every=1)
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)
    assert entries["whole"] == entries["killed"]
    assert (tmp_path / "whole" / RULE).read_bytes() == (tmp_path / "killed" / RULE).read_bytes()
    # Lifetimes of 4 end after every second step of 2 updates, and only then is there a regret.
    assert [numbers["finished"] for _, numbers in entries["whole"]] == [0, 4, 0, 4]
    assert ["return" in numbers for _, numbers in entries["whole"]] == [False, True, False, True]
    scored = settings.curation.scored
    assert ["regret" in numbers for _, numbers in entries["whole"]] == [False, scored, False, scored]
    assert (whole.lives.agent.step == 0).all()
    assert not scored or (~whole.buffer.new).sum() >= 4
    before = init(settings).rule.params
    assert (before["pi"]["w"] != whole.rule.params["pi"]["w"]).any()


def test_updates_after_the_end_of_a_lifetime_change_nothing() -> None:
    settings = replace(FIRST, outer=MetaGradient(updates=4))
    chosen, state = settings.mode(), init(FIRST)
    after = jax.jit(lambda life: meta_loss(state.rule.params, jax.random.key(1), life, settings, chosen)[1])
    lives = [first(state.lives)._replace(lifetime=jnp.int32(lifetime)) for lifetime in (3, 4, 3)]
    lives[2] = lives[2]._replace(agent=lives[2].agent._replace(step=jnp.int32(3)))
    (shorter, _), (longer, _), (over, stats) = map(after, lives)
    assert (shorter.agent.step, longer.agent.step) == (3, 4)
    jax.tree.map(np.testing.assert_array_equal, over.agent, lives[2].agent)
    assert stats["policy_l2"] == 0


def test_the_value_function_learns() -> None:
    chosen, key = mode("debug"), jax.random.key(0)
    level = jax.jit(chosen.sample)(key)._replace(rewards=jnp.ones(2), p_respawn=jnp.ones(2), p_terminate=jnp.zeros(2))
    level = level._replace(max_steps=jnp.int32(20))
    value = TABLES.value.init([{"w": jnp.zeros((chosen.world.observation_size, 1))}])
    uniform = [{"w": jnp.zeros((chosen.world.observation_size, 5))}]

    def learn(carry: Any, key: Any) -> Any:
        value, states = carry
        states, rollout = collect(key, chosen.world, uniform, states, level, 20)
        value, advantages = value_update(value, rollout, TABLES, 0.99, 0.95)
        return (value, states), (advantages**2).mean()

    states = chosen.world.reset(key, level, 64)
    (value, _), errors = jax.jit(lambda start, keys: jax.lax.scan(learn, start, keys))(
        (value, states), jax.random.split(key, 100)
    )
    assert float(errors[-20:].mean()) < 0.7 * float(errors[0])  # the rest is noise of rewards to come
    assert float(abs(forward(value.params, chosen.world.observe(states, level))).max()) > 0.1


@pytest.mark.slow
def test_a2c_is_better_than_chance() -> None:
    settings = Settings(env_mode="sparse", lifetime=(60, 60), env_workers=16, num_agents=16)
    chosen, keys = settings.mode(), jax.random.split(jax.random.key(0), 8)
    chosen = replace(chosen, sample=mode("debug").sample, world=mode("debug").world, max_steps=10)

    def reached(key: Any) -> Any:
        level = chosen.sample(key)
        level = level._replace(max_steps=jnp.int32(10))
        trained = a2c_actor(key, settings, chosen, level)
        idle = jax.tree.map(jnp.zeros_like, trained)
        return jnp.stack([judged(key, settings, chosen, actor, level) for actor in (trained, idle)])

    trained, random = np.asarray(jax.jit(jax.vmap(reached))(keys)).T
    assert (trained - random).mean() > 2 * (trained - random).std() / 8**0.5


def test_evolution_strategies_ascend_a_quadratic() -> None:
    target = {"a": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}
    pairs, adam = 32, Adam(0.05)

    def play(key: Any, candidates: Any, offset: Any) -> Any:
        fitness = -sum(
            ((candidates[name] - target[name]) ** 2).reshape(2, -1).sum(1) for name in target
        )  # of both candidates
        return fitness + offset, fitness.max()

    def step(trained: Any, key: Any) -> Any:
        offsets = 100 * jax.random.normal(key, (pairs,))  # levels differ, but not within a pair
        gradient, best = es_gradient(key, trained.params, 0.1, play, offsets, 4)
        return adam.step(trained, jax.tree.map(jnp.negative, gradient)), best.mean()

    start = adam.init(jax.tree.map(jnp.zeros_like, target))
    trained, best = jax.jit(lambda t, keys: jax.lax.scan(step, t, keys))(
        start, jax.random.split(jax.random.key(0), 200)
    )
    assert best[0] < -4
    assert best[-1] > -0.1
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=0.2), trained.params, target)


def test_the_gradient_of_an_evolution_strategy_points_to_the_better_ones() -> None:
    def play(key: Any, candidates: Any, given: Any) -> Any:
        return candidates[:, 0] * given, candidates

    signs = jnp.array([1.0, 0.0, -1.0])
    gradient, candidates = es_gradient(jax.random.key(0), jnp.zeros(1), 0.5, play, signs, 1)
    batched, again = es_gradient(jax.random.key(0), jnp.zeros(1), 0.5, play, signs, 3)
    np.testing.assert_allclose(gradient, batched, rtol=1e-6)
    np.testing.assert_array_equal(candidates, again)
    noise = candidates[:, 0, 0] / 0.5
    np.testing.assert_allclose(candidates[:, 1], -candidates[:, 0])
    signs = jnp.array([jnp.sign(noise[0]), -1.0, -jnp.sign(noise[2])])  # of equal ones the second is better
    np.testing.assert_allclose(gradient, [(signs * noise).sum() / (6 * 0.5)], rtol=1e-6)


@pytest.mark.slow
def test_evolution_goes_on_as_if_it_had_not_been_killed(tmp_path: Path) -> None:
    for settings in (ES, replace(ES, outer=EvolutionStrategy(), lifetime=(2, 5), rule=LPG(8, 8, 8, "paper"))):
        whole = meta_train(settings, log_every=1)
        folder = tmp_path / settings.rule.conditioning
        meta_train(replace(settings, train_steps=2), folder, log_every=1)
        jax.tree.map(np.testing.assert_array_equal, whole, meta_train(settings, folder, resume=True, log_every=1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_mode", "curation"),
    [
        ("tabular", "random"),
        ("mazes", "alg_regret"),
        ("all_shortlife", "frozen"),
        ("all_vrandlife", "alg_regret"),
        ("rand_tiny", "random"),
        ("all_randlife", "frozen"),
    ],
)
def test_all_modes_run_with_all_ways_to_choose_levels(env_mode: str, curation: Any) -> None:
    settings = replace(TINY, env_mode=env_mode, curation=Curation(curation, 12))
    settings = replace(settings, lifetime=(2, 6) if "rand" in env_mode else (4, 4))
    _, logs = advance(init(settings), settings, 3)
    assert jnp.isfinite(logs["meta_loss"]).all()
    assert logs["finished"].sum() > 0
    assert (jnp.isfinite(logs["return"]) == (logs["finished"] > 0)).all()
    assert jnp.isfinite(logs["regret"]).any() == (curation == "alg_regret")


@pytest.mark.slow
@pytest.mark.parametrize("settings", [TINY, ES])
def test_without_compilation_the_result_is_the_same(settings: Settings) -> None:
    settings = replace(settings, train_steps=1, num_agents=2, num_mini_batches=1)
    compiled, debugged = (meta_train(settings, log_every=1, debug=debug) for debug in (False, True))
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4), compiled.rule.params, debugged.rule.params
    )


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="choose a divisor"):
        Settings(num_agents=10, num_mini_batches=4)
    with pytest.raises(ValueError, match="env_workers is 0"):
        Settings(env_workers=0)
    with pytest.raises(ValueError, match="there is no mode 'tabula'"):
        Settings(env_mode="tabula")
