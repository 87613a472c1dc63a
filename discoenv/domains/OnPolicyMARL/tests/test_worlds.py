"""The worlds of teams: rules against plain NumPy, who sees what, and how episodes end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

from discoenv.domains.OnPolicyMARL.tests.conftest import DOMAIN  # noqa: E402
from discoenv.kits.marl_jax import environments, hanabi, kitchen, particles, skirmish, teams  # noqa: E402

OFFLINE = [name for name, entry in DOMAIN.specification.datasets.items() if not entry.gpu]


def legal(key: Any, obs: Any) -> Any:
    """Available actions, drawn uniformly."""
    return jax.random.categorical(key, jnp.where(obs.available, 0.0, -jnp.inf))


def played(env: Any, steps: int, seed: int = 0) -> list[Any]:
    """A hundred random steps: (obs, state, action, next obs, reward, terminated, truncated, info) of each."""
    key = jax.random.key(seed)
    obs, state = jax.jit(env.reset)(key)
    step, act, found = jax.jit(env.step), jax.jit(legal), []
    for _ in range(steps):
        key, action_key, step_key = jax.random.split(key, 3)
        action = act(action_key, obs)
        after, next_state, reward, terminated, truncated, info = step(step_key, state, action)
        found.append((obs, state, action, after, float(reward), bool(terminated), bool(truncated), info))
        obs, state = after, next_state
    return found


@pytest.mark.parametrize("dataset", OFFLINE)
def test_worlds_keep_their_interface(dataset: str) -> None:
    config = DOMAIN.config(dataset, "tiny")
    env = teams.Restarting(environments.make(config["SUITE"], config["ENV_NAME"], config["OPTIONS"]))
    agents, most = env.num_agents, config["EVALUATION_STEPS"]
    lengths: list[int] = []
    length = 0
    for obs, state, action, after, reward, terminated, truncated, info in played(env, most + 5):
        for seen in (obs, after, info["final_observation"]):
            assert seen.own.shape == obs.own.shape and seen.own.dtype == jnp.float32
            assert seen.available.shape == (agents, env.num_actions) and bool(seen.available.any(axis=-1).all())
            assert seen.active.shape == (agents,) and seen.world.shape[0] == agents
            assert np.isfinite(seen.own).all() and np.isfinite(seen.world).all() and np.abs(seen.own).max() < 20
            assert (np.asarray(seen.available).sum(axis=-1) == 1)[~np.asarray(seen.active)].all()
        assert bool(jnp.take_along_axis(obs.available, action[:, None], axis=1).all())
        assert np.isfinite(reward) and not (terminated and truncated)
        scene = np.asarray(env.scene(state))
        assert scene.ndim == 2 and scene.shape[1] == 4 and np.isfinite(scene).all()
        length += 1
        if terminated or truncated:
            lengths, length = [*lengths, length], 0
            first = jax.jit(env.scene)(state)
            assert first.shape == scene.shape
    assert lengths and max(lengths) <= most
    size = f"float32[{obs.own.shape[-1]}]"
    assert size in DOMAIN.directory.joinpath("datasets", dataset, "description.md").read_text(encoding="utf-8")
    assert f"({env.num_actions})" in DOMAIN.directory.joinpath("datasets", dataset, "description.md").read_text()


def test_an_episode_ends_in_its_own_observation_and_the_next_begins_in_another() -> None:
    env = teams.Restarting(particles.Spread(max_steps=3))
    steps = played(env, 7)
    assert [bool(terminated) for *_, terminated, _, _ in steps] == [False, False, True, False, False, True, False]
    for obs, _, _, after, _, terminated, _, info in steps:
        final = info["final_observation"]
        left = np.asarray(final.own)[:, -1]
        assert (left == left[0]).all() and left[0] < np.asarray(obs.own)[0, -1]
        assert bool((final.own == after.own).all()) == (not terminated)
        if terminated:
            assert (
                abs(left[0]) < 1e-6
                and (np.asarray(after.own)[:, -1] == 1).all()
                and not np.asarray(after.own)[:, :2].any()
            )


def test_spread_pays_for_landmarks_that_are_covered() -> None:
    env = particles.Spread()
    for _, state, action, *_, reward, _, _, info in [row[:5] + row[4:] for row in played(env, 10)]:
        position, velocity = np.asarray(state.position, float), np.asarray(state.velocity, float)
        force = 5.0 * np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]])[np.asarray(action)]
        for i in range(3):
            for j in range(3):
                if i != j:
                    delta = position[i] - position[j]
                    distance = np.linalg.norm(delta)
                    force[i] = force[i] + 1e2 * delta / distance * 1e-3 * np.logaddexp(0, (0.3 - distance) / 1e-3)
        position = position + 0.1 * (0.75 * velocity + 0.1 * force)
        landmarks = np.asarray(state.landmarks)
        apart = np.linalg.norm(landmarks[:, None] - position, axis=-1).min(axis=1)
        pairs = sum(np.linalg.norm(position[i] - position[j]) < 0.3 for i in range(3) for j in range(i))
        assert reward == pytest.approx(-apart.sum() - pairs, abs=1e-4)
        assert bool(info["success"]) == (apart < 0.15).all()


def test_the_prey_flees_and_hunters_are_paid_for_touching_it() -> None:
    env = particles.Tag(prey_speed=0.9)
    _, state = jax.jit(env.reset)(jax.random.key(0))
    at = jnp.array([[0.0, 0.0], [0.9, 0.9], [-0.9, -0.9], [0.05, 0.0]])
    state = state._replace(position=at, landmarks=jnp.array([[0.0, 0.8], [0.0, -0.8]]))
    assert float(env.flight(state)[0]) > 0.9  # away from the nearest
    step = jax.jit(env.step)
    _, state, reward, *_, info = step(jax.random.key(0), state, jnp.zeros(3, int))
    distance = np.linalg.norm(np.asarray(state.position[:3] - state.position[3]), axis=-1)
    assert float(reward) == pytest.approx((distance < 0.125).sum() - 0.1 * distance.mean(), abs=1e-5)
    assert bool(info["success"]) == (distance < 0.125).any()
    for _ in range(60):
        state = step(jax.random.key(0), state, jnp.array([1, 1, 1]))[1]
    assert np.abs(np.asarray(state.position)).max() <= 1.2


def test_speakers_see_goals_that_are_not_their_own() -> None:
    env = particles.Reference()
    _, state = jax.jit(env.reset)(jax.random.key(1))
    observe = jax.jit(env._observe)
    own = [np.asarray(observe(state._replace(goals=jnp.array([g, 0]))).own) for g in range(3)]
    assert all((own[0][0] == other[0]).all() for other in own)  # one's own goal is not seen
    assert all((own[0][1] != other[1]).any() for other in own[1:])  # the other one's is
    heard = [np.asarray(observe(state._replace(words=jnp.array([w, 3]))).own) for w in range(3)]
    assert all((heard[0][0] == other[0]).all() and (heard[0][1] != other[1]).any() for other in heard[1:])
    listener = particles.SpeakerListener()
    obs, state = listener.reset(jax.random.key(1))
    np.testing.assert_array_equal(np.asarray(obs.available).sum(axis=-1), [3, 5])
    goals = [np.asarray(jax.jit(listener._observe)(state._replace(goals=jnp.array([g]))).own) for g in range(3)]
    assert all((goals[0][1] == other[1]).all() and (goals[0][0] != other[0]).any() for other in goals[1:])


def test_battles_count_damage_once_and_the_dead_do_nothing() -> None:
    env = skirmish.make("2s3z", {})
    names = list(skirmish.KINDS.values())
    ends = 0
    for obs, state, action, after, reward, terminated, truncated, info in played(teams.Restarting(env), 150):
        health, position = np.asarray(state.health, float), np.asarray(state.position, float)
        kind, cooldown = np.asarray(state.kind), np.asarray(state.cooldown)
        alive = health > 0
        np.testing.assert_array_equal(obs.active, alive[:5])
        assert not np.asarray(obs.own)[~alive[:5]].any()
        damage = np.zeros(10)
        for unit in range(10):
            _, _, strength, reach, _, _ = names[kind[unit]]
            apart = np.linalg.norm(position - position[unit], axis=-1)
            if unit < 5:
                target = 5 + int(action[unit]) - 6 if action[unit] >= 6 else None
                for enemy in range(5):
                    may = alive[unit] and alive[5 + enemy] and apart[5 + enemy] <= reach
                    assert bool(obs.available[unit, 6 + enemy]) == may
                assert bool(obs.available[unit, 0]) == (not alive[unit])
            else:
                target = int(np.where(alive[:5], apart[:5], np.inf).argmin())
                target = target if apart[target] <= reach else None
            if target is not None and alive[unit] and cooldown[unit] <= 0:
                damage[target] += strength
        left = np.maximum(health - damage, 0)
        total = sum(names[k][1] for k in kind[5:])
        won = left[5:].sum() <= 0
        assert reward == pytest.approx((health[5:].sum() - left[5:].sum()) / total + won, abs=1e-5)
        assert bool(info["success"]) == won
        assert terminated == (won or left[:5].sum() <= 0)
        ends += terminated or truncated
        if not terminated and not truncated:
            np.testing.assert_array_equal(after.active, left[:5] > 0)
    assert ends > 2


def test_names_of_skirmishes() -> None:
    assert skirmish.make("5m_vs_6m", {}).num_enemies == 6
    assert skirmish.make("mixed_5", {}).num_agents == 5
    for name in ("", "5x", "m", "3m_vs_", "3m_vs_4m_vs_5m"):
        with pytest.raises(ValueError, match="skirmish"):
            skirmish.make(name, {})
    for suite, name in (("chess", "x"), ("particles", "x"), ("kitchen", "x"), ("hanabi", "x"), ("robots", "x")):
        with pytest.raises(ValueError, match="there is no"):
            environments.make(suite, name)


def test_who_is_out_of_sight_is_not_seen() -> None:
    env = skirmish.make("2m", {})
    _, state = jax.jit(env.reset)(jax.random.key(0))
    far = state._replace(position=jnp.array([[1.0, 1.0], [2.0, 1.0], [15.0, 15.0], [16.0, 15.0]]))
    moved = far._replace(position=far.position.at[2].add(1.0))
    np.testing.assert_array_equal(env._observe(far).own, env._observe(moved).own)
    assert bool((env._observe(far).world != env._observe(moved).world).any())


def test_two_cooks_serve_a_soup() -> None:
    env = kitchen.Kitchen("cramped_room", onions=1, cook_steps=2, max_steps=50)
    _, state = jax.jit(env.reset)(jax.random.key(0))
    # The room's floor is two rows of three cells: 6 7 8 / 11 12 13.
    state = state._replace(cell=jnp.array([6, 13]), facing=jnp.array([2, 3]), hand=jnp.zeros(2, int))
    left, right, up, down, stay, interact = range(6)
    first = [left, interact, right, up, interact, left]
    rewards, hints = [], []
    step = jax.jit(env.step)
    # The first takes an onion (left of cell 6) and puts it into the pot (above cell 7).
    for actions in zip(first, [stay] * 6, strict=True):
        _, state, reward, *_, info = step(jax.random.key(0), state, jnp.array(actions))
        rewards.append(float(reward))
        hints.append(float(info["shaping"]))
    assert hints == pytest.approx([0, 0, 0, 0, 0.15, 0])
    # The second fetches a plate (below cell 11), fills it, and serves (below cell 13).
    plan = [left, left, down, interact, right, up, up, interact, right, down, right, down, interact]
    for action in plan:
        _, state, reward, *_, info = step(jax.random.key(0), state, jnp.array([stay, action]))
        rewards.append(float(reward))
        hints.append(float(info["shaping"]))
    assert sum(rewards) == 1.0 == rewards[-1] and bool(info["success"])
    assert sum(hints) == pytest.approx(0.15 + 0.15 + 0.25)


def test_cooks_do_not_pass_through_each_other() -> None:
    env = kitchen.Kitchen("cramped_room")
    _, state = jax.jit(env.reset)(jax.random.key(0))
    left, right, step = 0, 1, jax.jit(env.step)
    for cells, actions, after in (
        ([6, 7], [right, left], [6, 7]),
        ([6, 8], [right, left], [6, 8]),
        ([6, 7], [right, right], [7, 8]),
        ([6, 7], [left, 4], [6, 7]),
    ):
        found = step(jax.random.key(0), state._replace(cell=jnp.array(cells)), jnp.array(actions))[1]
        assert found.cell.tolist() == after


@pytest.mark.parametrize("name", list(kitchen.LAYOUTS))
def test_cooks_begin_where_they_can_work(name: str) -> None:
    env = kitchen.Kitchen(name)
    starts = np.asarray(jax.jit(jax.vmap(lambda key: env.reset(key)[1].cell))(jax.random.split(jax.random.key(0), 64)))
    assert (starts[:, 0] != starts[:, 1]).all() and np.asarray(env._floor)[starts].all()
    if len(env._regions) == 2:
        assert {int(cell) for cell in starts[:, 0]} <= set(env._regions[0])
        assert {int(cell) for cell in starts[:, 1]} <= set(env._regions[1])


def test_hanabi_is_played_by_its_rules() -> None:
    env = hanabi.make("small", {})
    scores, games = 0.0, 0
    for obs, state, action, _, reward, terminated, _, info in played(teams.Restarting(env), 300):
        me = int(state.turn)
        np.testing.assert_array_equal(obs.active, np.arange(2) == me)
        choice, hands = int(action[me]), np.asarray(state.hands)
        tokens, lives = int(state.tokens), int(state.lives)
        lying = np.asarray(state.lying).copy()
        for colour in range(2):
            assert bool(obs.available[me, 5 + colour]) == (
                tokens > 0 and colour in hands[1 - me][hands[1 - me] >= 0] // 5
            )
        for rank in range(5):
            assert bool(obs.available[me, 7 + rank]) == (tokens > 0 and rank in hands[1 - me][hands[1 - me] >= 0] % 5)
        assert bool(obs.available[me, 3]) == (tokens < 3 and hands[me, 0] >= 0)
        fits = 1 <= choice <= 2 and lying[hands[me, choice - 1] // 5] == hands[me, choice - 1] % 5
        assert reward == float(fits)
        lives -= 1 <= choice <= 2 and not fits
        if fits:
            lying[hands[me, choice - 1] // 5] += 1
        assert bool(info["success"]) == (lying == 5).all()
        assert terminated == (lives == 0 or (lying == 5).all() or int(state.last_turns) + (int(state.drawn) == 20) >= 2)
        scores, games = scores + reward, games + terminated
    assert games >= 10 and 0 < scores / games < 3


def test_a_player_does_not_see_its_own_cards_and_hints_say_which_they_can_be() -> None:
    env = hanabi.make("small", {})
    _, state = jax.jit(env.reset)(jax.random.key(0))
    state = state._replace(hands=jnp.array([[0, 6], [9, 3]]))
    changed = state._replace(hands=jnp.array([[4, 5], [9, 3]]))
    mine, theirs = (np.asarray(jax.jit(env._observe)(each).own) for each in (state, changed))
    np.testing.assert_array_equal(mine[0], theirs[0])
    assert (mine[1] != theirs[1]).any()
    # A hint of colour 1 (action 6) to the second player: its first card is 9 = 5 + 4, its second 3.
    step = jax.jit(env.step)
    hinted = step(jax.random.key(0), state, jnp.array([6, 0]))[1]
    np.testing.assert_array_equal(hinted.colours[1], [[False, True], [True, False]])
    assert bool(hinted.ranks[1].all()) and bool(hinted.colours[0].all()) and int(hinted.tokens) == 2
    ranked = step(jax.random.key(0), state, jnp.array([7 + 4, 0]))[1]
    np.testing.assert_array_equal(ranked.ranks[1], [[False] * 4 + [True], [True] * 4 + [False]])
