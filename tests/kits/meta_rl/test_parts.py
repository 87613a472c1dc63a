"""Rule, optimisers, curation, checkpoints and logs, each alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from discoenv.kits.meta_rl.checkpoints import load_tree, save_tree
from discoenv.kits.meta_rl.curation import Buffer, Curation
from discoenv.kits.meta_rl.lives import of_those
from discoenv.kits.meta_rl.logs import JsonLines, TensorBoard, WeightsAndBiases
from discoenv.kits.meta_rl.optimisers import Adam, Sgd
from discoenv.kits.meta_rl.rule_net import LPG, lifetime_features


def numbers(tree: Any) -> int:
    return sum(x.size for x in jax.tree.leaves(tree))


def test_the_rule_has_as_many_parameters_as_published() -> None:
    shapes = jax.eval_shape(LPG().init, jax.random.key(0))
    conditioned = jax.eval_shape(LPG(conditioning="paper").init, jax.random.key(0))
    assert numbers(shapes) == 203_946
    assert numbers(conditioned) == 203_946 + 1_536


def test_lifetime_features() -> None:
    step, lifetime = jnp.int32(5), jnp.int32(20)
    assert lifetime_features("none", step, lifetime).shape == (0,)
    np.testing.assert_allclose(lifetime_features("paper", step, lifetime), [0.25, np.log(20)], rtol=1e-6)
    np.testing.assert_array_equal(lifetime_features("repo_raw", step, lifetime), [5, 20])
    with pytest.raises(ValueError, match="paper or repo_raw"):
        lifetime_features("raw", step, lifetime)  # type: ignore[arg-type]


def test_nothing_passes_the_end_of_an_episode_backwards() -> None:
    rule, key = LPG(hidden=8), jax.random.key(0)
    shapes = jax.eval_shape(rule.init, key)
    params = jax.tree.map(lambda x: jnp.asarray(np.random.default_rng(0).normal(size=x.shape), x.dtype), shapes)
    reward, pi = jax.random.normal(key, (1, 6)), jnp.full((1, 6), 0.2)
    y = jax.nn.softmax(jax.random.normal(key, (1, 7, 8)))
    done = jnp.zeros((1, 6), bool).at[0, 2].set(True)

    def pi_hat(reward: Any, y: Any) -> Any:
        return rule.apply(params, reward, done, pi, y[:, :-1], y[:, 1:], jnp.int32(0), jnp.int32(1)).pi_hat[0]

    compiled = jax.jit(pi_hat)
    base = compiled(reward, y)
    later = compiled(reward.at[0, 4].add(1.0), y.at[0, 3].set(y[0, 0]))
    np.testing.assert_array_equal(base[:3], later[:3])
    assert (base[3:5] != later[3:5]).all()


def test_optimisers_equal_those_of_optax() -> None:
    optax = pytest.importorskip("optax")
    params = {"a": jnp.array([1.0, -2.0, 3.0]), "b": jnp.ones(2)}
    gradients = [jax.tree.map(lambda x, i=i: x * (i - 1.5), params) for i in range(4)]
    schedule = optax.exponential_decay(0.1, 1, 0.9, end_value=0.08)
    pairs: list[tuple[Any, Any]] = [
        (Sgd(2.0, 0.5), optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(2.0))),
        (Adam(0.1, 0.9, 0.08), optax.adam(schedule)),
    ]
    for ours, theirs in pairs:
        trained, other, state = ours.init(params), params, theirs.init(params)
        for gradient in gradients:
            trained = ours.step(trained, gradient)
            updates, state = theirs.update(gradient, state)
            other = optax.apply_updates(other, updates)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), trained.params, other)


@pytest.mark.parametrize("optimiser", [Sgd(1.0), Adam(1.0)])
def test_steps_can_be_differentiated_where_gradients_are_zero(optimiser: Any) -> None:
    def after(x: Any) -> Any:
        trained = optimiser.step(optimiser.init(jnp.ones(3)), jnp.array([0.0, 0.0, 1.0]) * x)
        return optimiser.step(trained, jnp.zeros(3)).params.sum()

    slope = jax.jit(jax.grad(after))
    assert jnp.isfinite(slope(0.0))
    assert jnp.isfinite(slope(2.0))


def test_functions_are_computed_for_wanted_indices_alone() -> None:
    calls = []

    def squares(indices: Any) -> Any:
        calls.append(indices.tolist())
        return indices.astype(float) ** 2

    wanted = np.zeros(12, bool)
    wanted[[1, 4, 7, 8, 11]] = True
    with jax.disable_jit():
        found = of_those(squares, jnp.asarray(wanted), 2)
    np.testing.assert_array_equal(found, np.where(wanted, np.arange(12.0) ** 2, 0))
    assert len(calls) == 3  # groups of 2, for 5 of 12


# --- curation ---------------------------------------------------------------------------------------------------------


class Numbered:
    """A mode whose levels are numbers, which are different in each draw."""

    def sample(self, key: Any) -> Any:
        return jax.random.uniform(key)

    def sample_lifetime(self, key: Any) -> Any:
        return jax.random.randint(key, (), 1, 9)


NUMBERED: Any = Numbered()
INIT = jax.jit(lambda curation, agents: curation.init(jax.random.key(0), NUMBERED, agents), static_argnums=(0, 1))
SELECT = jax.jit(lambda curation, *given: curation.select(given[0], NUMBERED, *given[1:]), static_argnums=0)


def regret_buffer(size: int = 12, agents: int = 3) -> tuple[Any, Any]:
    choice, buffer = INIT(Curation("alg_regret", size), agents)
    return choice, buffer


def test_the_buffer_starts_without_scores_and_its_levels_are_in_use_once() -> None:
    choice, buffer = regret_buffer()
    assert len(set(choice.slots.tolist())) == 3
    np.testing.assert_array_equal(np.flatnonzero(buffer.active), np.sort(choice.slots))
    assert buffer.new.all()


def select(curation: Curation, buffer: Any, slots: Any, finished: Any, scores: Any, seed: int = 1) -> tuple[Any, Any]:
    choice, after = SELECT(curation, jax.random.key(seed), buffer, slots, jnp.asarray(finished), scores)
    return choice, after


def test_only_levels_of_finished_agents_are_scored_and_replaced() -> None:
    choice, before = regret_buffer()
    curation = Curation("alg_regret", 12, p_replay=0.0)
    chosen, after = select(curation, before, choice.slots, [True, False, True], jnp.array([0.5, 9.0, -0.25]))
    old = choice.slots.tolist()
    assert chosen.slots[1] == old[1]
    assert not {chosen.slots[0].item(), chosen.slots[2].item()} & set(old)
    assert [after.score[i].item() for i in old] == [0.5, 0.0, -0.25]
    assert [after.new[i].item() for i in old] == [False, True, False]
    # All others keep the mark that they have no score: they cannot be replayed with a score of 0.
    assert after.new.sum() == 12 - 2
    assert sorted(np.flatnonzero(after.active).tolist()) == sorted(chosen.slots.tolist())
    np.testing.assert_array_equal(chosen.levels, after.levels[chosen.slots])


def test_two_levels_are_refreshed_when_two_agents_finish() -> None:
    choice, before = regret_buffer()
    finished = [True, False, True]
    _, after = select(Curation("alg_regret", 12, p_replay=0.0), before, choice.slots, finished, jnp.zeros(3))
    changed = after.levels != before.levels
    assert changed.sum() == 2
    assert not changed[choice.slots].any()


def scored_buffer(scores: Any) -> Buffer:
    _, buffer = regret_buffer(len(scores))
    no = jnp.zeros(len(scores), bool)
    made: Buffer = buffer._replace(score=jnp.asarray(scores), active=no, new=no)
    return made


def test_rank_replays_the_highest_regret() -> None:
    scores = [0.1, 0.9, -1.0, 0.8, 0.3, 0.7, -0.5, 0.2, 0.35, 0.4, 0.45, 0.5]
    buffer = scored_buffer(scores)
    buffer = buffer._replace(active=buffer.active.at[jnp.array([1, 0, 2])].set(True))
    curation = Curation("alg_regret", 12, p_replay=1.0)
    chosen, after = select(curation, buffer, jnp.array([1, 0, 2]), [True] * 3, jnp.array([0.05, 0.6, -2.0]))
    assert set(chosen.slots.tolist()) == {3, 5, 0}  # 6, 7 and 4 were the lowest of the others, and are fresh
    assert after.new.sum() == 3


def test_proportional_replays_high_regret_more_often() -> None:
    # Levels 6 to 8 were just played, the first three are refreshed: eight levels with 2.0 and one with -8.0 are left.
    buffer = scored_buffer([-9.0, -9.0, -9.0, 2.0, 2.0, -8.0, 0.0, 0.0, 0.0, 2.0, 2.0, 2.0])
    buffer = buffer._replace(active=buffer.active.at[jnp.array([6, 7, 8])].set(True))
    curation = Curation("alg_regret", 12, p_replay=1.0, transform="proportional")
    low = 0
    for seed in range(10):
        scores = jnp.array([2.0, 2.0, 2.0])
        chosen, _ = select(curation, buffer, jnp.array([6, 7, 8]), [True] * 3, scores, seed)
        assert len(set(chosen.slots.tolist())) == 3
        low += 5 in chosen.slots.tolist()
    assert low <= 1


def test_without_enough_scored_levels_none_is_replayed() -> None:
    choice, buffer = regret_buffer()
    chosen, _ = select(Curation("alg_regret", 12, p_replay=1.0), buffer, choice.slots, [True] * 3, jnp.zeros(3))
    assert set(chosen.slots.tolist()) == set(choice.slots.tolist())  # those just scored, and no other
    few = buffer._replace(active=buffer.active.at[:].set(True).at[:9].set(False))
    assert few.new.all()


def test_frozen_levels_come_from_the_first_buffer() -> None:
    curation = Curation("frozen", 5)
    choice, buffer = curation.init(jax.random.key(0), NUMBERED, 3)
    chosen, after = select(curation, buffer, choice.slots, [True] * 3, jnp.zeros(3))
    jax.tree.map(np.testing.assert_array_equal, buffer, after)
    assert ((chosen.slots >= 0) & (chosen.slots < 5)).all()
    np.testing.assert_array_equal(chosen.levels, buffer.levels[chosen.slots])


@pytest.mark.parametrize(
    ("curation", "reason"),
    [
        (Curation("alg_regret", 5), "make it 6"),
        (Curation("regret"), "random, frozen or alg_regret"),  # type: ignore[arg-type]
        (Curation(transform="softmax"), "rank or proportional"),  # type: ignore[arg-type]
        (Curation(temperature=0), "above 0"),
    ],
)
def test_curation_that_cannot_work_is_refused(curation: Curation, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        curation.check(3)


# --- files ------------------------------------------------------------------------------------------------------------


def test_checkpoints_name_what_does_not_fit(tmp_path: Path) -> None:
    tree = {"a": jnp.arange(3), "b": [jnp.ones((2, 2)), jnp.array(True)]}
    save_tree(tmp_path / "new" / "x.npz", tree)
    loaded = load_tree(tmp_path / "new" / "x.npz", jax.tree.map(jnp.zeros_like, tree))
    jax.tree.map(np.testing.assert_array_equal, tree, loaded)
    assert [x.dtype for x in jax.tree.leaves(loaded)] == [x.dtype for x in jax.tree.leaves(tree)]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.npz"]
    with pytest.raises(ValueError, match=r"lacks c, and has b/0, b/1"):
        load_tree(tmp_path / "new" / "x.npz", {"a": jnp.arange(3), "c": jnp.ones(1)})
    with pytest.raises(ValueError, match=r"b/0 has shape \(2, 2\), not \(4,\)"):
        load_tree(tmp_path / "new" / "x.npz", {"a": jnp.arange(3), "b": [jnp.ones(4), jnp.array(True)]})


def test_a_log_loses_what_came_after_the_step_from_which_the_run_goes_on(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "log.jsonl")
    for step in (1, 2, 3):
        log(step, {"return": 0.5 * step})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "ret')  # killed in the middle of a line
    JsonLines(tmp_path / "log.jsonl", 2)(3, {"return": 9.0})
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [{"step": 1, "return": 0.5}, {"step": 2, "return": 1.0}, {"step": 3, "return": 9.0}]


def test_missing_packages_of_logs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(ImportError, match="pip install wandb"):
        WeightsAndBiases(project="none")
    pytest.importorskip("tensorboardX")
    TensorBoard(tmp_path)(1, {"return": 1.0})
    assert list(tmp_path.iterdir())
