"""The worlds against rules that are stated here once more, and the recordings of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from discoenv.data.generated import WrongData
from discoenv.domains.OfflineRL import recordings, worlds
from discoenv.domains.OfflineRL.behaviours import expert
from discoenv.domains.OfflineRL.evaluation import measure, play
from discoenv.domains.OfflineRL.tests.conftest import DOMAIN, OFFLINE


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", worlds.WORLDS)
def test_observations_are_about_one_and_starts_are_far_from_the_goal(name: str) -> None:
    world = worlds.make(name)
    for seed in range(5):
        goal = world.goal(draws(seed))
        state = world.start(goal, 50, draws(seed))
        obs = world.observe(state)
        assert obs.shape == (50, world.observation_dim) and not world.reached(obs, goal).any()
        assert world.is_start(obs, goal).all()
        for _ in range(30):
            state = world.step(state, draws(seed).uniform(-2, 2, (50, world.action_dim)), draws(seed))
            assert np.abs(world.observe(state)).max() <= 1.0 + 1e-9
        reward = world.reward(world.observe(state), goal)
        assert reward.shape == (50,) and (reward <= 0).all() and (reward >= -1).all()


@pytest.mark.parametrize("dataset", OFFLINE)
def test_a_controller_that_knows_goal_and_world_solves_each_task(dataset: str) -> None:
    config = DOMAIN.config(dataset, "small")
    world = worlds.make(config["WORLD"])
    goal = world.goal(draws(3))
    state = world.start(goal, 40, draws(4))
    made = []
    for _ in range(config["EVALUATION_STEPS"]):
        state = world.step(state, expert(world, goal, state), draws(5))
        made.append((world.reward(world.observe(state), goal), world.reached(world.observe(state), goal)))
    scores, success, _ = measure(world, *(np.stack(each, axis=1) for each in zip(*made, strict=True)))
    assert success.mean() > 0.95 and scores.mean() > 55.0


def test_walls_stop_and_portals_carry_to_an_exit() -> None:
    maze = worlds.Maze("#####\n#.P.#\n#.#.#\n#E.E#\n#####")
    state = np.array([[1.9, 2.5, 0.0, 0.0]] * 3 + [[1.9, 1.5, 0.0, 0.0]] * 200)
    after = maze.step(state, np.ones((203, 2)) * (1.0, 0.0), draws())
    np.testing.assert_allclose(after[:3], [[1.9, 2.5, 0.0, 0.0]] * 3)
    assert {tuple(each) for each in after[3:]} == {(1.5, 3.5, 0.0, 0.0), (3.5, 3.5, 0.0, 0.0)}
    free = maze.step(np.array([[1.5, 1.5, 0.1, -0.2]]), np.array([[-0.5, 3.0]]), draws())
    np.testing.assert_allclose(free, [[1.45, 1.6, -0.05, 0.1]])
    assert maze.lengths.max() == 6  # from one side of the portal to the other, around the wall


def test_shortest_ways_agree_with_floyd_and_warshall() -> None:
    maze = worlds.make("maze_medium")
    assert isinstance(maze, worlds.Maze)
    apart = np.abs(maze.cells[:, None] - maze.cells).sum(axis=-1)
    lengths = np.where(apart <= 1, apart, 10**6)
    for middle in range(len(lengths)):
        lengths = np.minimum(lengths, lengths[:, middle, None] + lengths[middle])
    np.testing.assert_array_equal(lengths, maze.lengths)


def test_a_finger_pushes_discs_out_of_its_way_and_no_further() -> None:
    push = worlds.Push(1)
    state = push.anywhere(500, draws())
    for _ in range(20):
        before = state
        state = push.step(state, draws(1).uniform(-1, 1, (500, 2)), draws())
        gap = np.linalg.norm(state[:, :2] - state[:, 2:], axis=1)
        moved = np.abs(state[:, 2:] - before[:, 2:]).max(axis=1) > 1e-12
        assert (gap > push.TOUCH - 1e-6).mean() > 0.99  # a disc in a corner may be touched by a finger in the corner
        at_edge = (np.abs(state[:, 2:]) > push.EDGE - 1e-9).any(axis=1)
        np.testing.assert_allclose(gap[moved & ~at_edge], push.TOUCH, atol=1e-9)
        assert (np.abs(state[:, 2:]) <= push.EDGE).all()


def test_lamps_switch_with_their_neighbours_when_the_arm_goes_down() -> None:
    lights = worlds.Lights(2, 3)
    state = np.array([[1.5, 0.5, 0.0, 0, 0, 0, 0, 0, 0.0]])
    down = np.array([[0.0, 0.0, 1.0]])
    state = lights.step(state, down, draws())
    np.testing.assert_array_equal(state[0, 3:], [1, 1, 1, 0, 1, 0])
    np.testing.assert_array_equal(lights.step(state, down, draws())[0, 3:], state[0, 3:])  # it must go up first
    up = lights.step(state, -down, draws())
    np.testing.assert_array_equal(lights.step(up, down, draws())[0, 3:], 0)


def test_fewest_presses_agree_with_a_search() -> None:
    lights = worlds.Lights(1, 6)
    fewest = {0: 0}
    for number in range(1, 7):
        for pressed in itertools.combinations(range(6), number):
            lamps = np.zeros(6, int)
            for button in pressed:
                for near in range(max(0, button - 1), min(6, button + 2)):
                    lamps[near] ^= 1
            fewest.setdefault(int(lights.binary(lamps[None])[0]), number)
    assert [fewest.get(number, -1) for number in range(64)] == lights.presses.tolist()


def test_a_pendulum_without_its_motor_keeps_its_energy() -> None:
    pendulum = worlds.Pendulum()
    state = pendulum.start(np.zeros(1), 50, draws()) * (1.0, 0.5)
    energy = []
    for _ in range(100):
        energy.append(0.5 * state[:, 1] ** 2 + pendulum.GRAVITY * np.cos(state[:, 0]))
        state = pendulum.step(state, np.zeros((50, 1)), draws())
    assert np.abs(np.array(energy) - energy[0]).max() < 0.1 * pendulum.GRAVITY
    up = pendulum.observe(np.array([[0.0, 0.0], [np.pi, 0.0]]))
    np.testing.assert_allclose(pendulum.reward(up, np.zeros(1)), [0.0, -1.0], atol=1e-12)


def test_scores_count_the_steps_that_are_left() -> None:
    reached = np.zeros((3, 10), bool)
    reached[0, 3:5] = reached[1, 9] = True
    scores, success, lengths = measure(worlds.make("lights"), reached - 1.0, reached)
    np.testing.assert_allclose(scores, [60.0, 0.0, 0.0])
    assert success.tolist() == [True, True, False] and lengths.tolist() == [4, 10, 10]
    dense, _, _ = measure(worlds.Pendulum(), np.full((2, 8), -0.25), reached[:2, :8])
    np.testing.assert_allclose(dense, 75.0)


def test_an_episode_is_played_in_the_order_of_its_observations() -> None:
    world = worlds.make("push_single")
    goal = world.goal(draws())
    start = world.start(goal, 5, draws())
    played = play(world, goal, start, lambda obs: expert(world, goal, obs.astype(np.float64)), 40, draws())
    assert played.observations.shape == (5, 41, 4) and played.success.all()
    np.testing.assert_allclose(played.observations[:, 0], start, atol=1e-6)
    at = played.observations[np.arange(5), played.lengths].astype(np.float64)
    assert world.reached(at, goal).all()


@pytest.mark.parametrize("dataset", OFFLINE)
def test_recordings_are_what_the_command_makes(dataset: str) -> None:
    made, kept = recordings.make(dataset), recordings.read(dataset)
    np.testing.assert_array_equal(made["observations"].astype(np.float32), kept.observations)
    np.testing.assert_array_equal(made["actions"].astype(np.float32) / recordings.SCALE, kept.actions)
    config = DOMAIN.config(dataset, "full")
    assert kept.actions.shape[:2] == (config["TRAJECTORIES"], config["STEPS"])
    assert np.abs(kept.actions).max() <= 1.0 and np.isfinite(kept.observations).all()


@pytest.mark.parametrize("dataset", [name for name in OFFLINE if name.startswith("Push")])
def test_a_recorded_step_is_a_step_of_the_world(dataset: str) -> None:
    observations, actions = recordings.read(dataset)
    world = worlds.make(recordings.QUALITIES[dataset][0])
    for time in range(actions.shape[1]):
        after = world.step(observations[:, time].astype(np.float64), actions[:, time].astype(np.float64), draws())
        assert np.median(np.abs(after - observations[:, time + 1])) < 1e-3


def test_recordings_that_were_changed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(recordings.file(name).stat().st_size for name in OFFLINE) < 8e6
    monkeypatch.setattr(recordings, "file", lambda dataset: recordings.HASHES)
    with pytest.raises(WrongData, match="has another hash"):
        recordings.read("Lights/play")
