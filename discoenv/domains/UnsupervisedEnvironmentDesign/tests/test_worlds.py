"""Worlds: their rules against plain Python, and shortest paths against SciPy."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from discoenv.domains.UnsupervisedEnvironmentDesign import heldout
from discoenv.domains.UnsupervisedEnvironmentDesign.tests.conftest import DOMAIN, OFFLINE

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

from discoenv.kits.worlds import environments, grids, jumping, paths  # noqa: E402 - these import JAX

#: Of mazes, which differ in size alone, one.
WORLDS = [name for name in OFFLINE if not name.startswith("Mazes") or name == "Mazes/Small"]
GRIDS = [name for name in WORLDS if not name.startswith("Jumping")]
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))


def world(dataset: str, **changes: Any) -> Any:
    return environments.make({**DOMAIN.config(dataset, "tiny"), **changes})


def some_levels(env: Any, count: int, seed: int = 0) -> Any:
    return jax.jit(jax.vmap(env.sample))(jax.random.split(jax.random.key(seed), count))


def rolled(env: Any, levels: Any, actions: Any) -> Any:
    """Observations, states and the rest of each step, [T, N], of levels that do not start again."""

    def run(levels: Any) -> Any:
        boards = jax.vmap(env.build)(levels)
        obs, state = jax.vmap(env.start)(boards)

        def step(state: Any, action: Any) -> Any:
            obs, state, *rest = jax.vmap(env.step)(boards, state, action)
            return state, (obs, state, *rest)

        return (obs, state), jax.lax.scan(step, state, actions)[1]

    return jax.tree.map(np.asarray, jax.jit(run)(levels))


class PlainGrid:
    """The rules of a grid, cell by cell."""

    def __init__(self, env: Any, level: Any) -> None:
        self.env, self.cells = env, np.array(level.cells)
        self.size = len(self.cells)
        self.at, self.goal, self.item = (divmod(int(x), self.size) for x in (level.start, level.goal, level.item))
        for cell in (self.at, self.goal, *([self.item] if env.item != "none" else [])):
            self.cells[cell] = grids.FREE
        self.direction, self.holds, self.time = 0, False, 0
        self.visits = {self.at: 1}

    def kind(self, cell: tuple[int, int]) -> int:
        inside = 0 <= cell[0] < self.size and 0 <= cell[1] < self.size
        return int(self.cells[cell]) if inside else grids.WALL

    def step(self, action: int) -> tuple[float, bool, bool]:
        """(reward, ended, solved)."""
        self.time += 1
        moves = True
        if self.env.turning:
            moves = action == 2
            self.direction = (self.direction + (3, 1, 0)[action]) % 4
        way = MOVES[self.direction if self.env.turning else action]
        ahead = self.at[0] + way[0], self.at[1] + way[1]
        lost = False
        if moves and self.kind(ahead) != grids.WALL:
            free = True
            if self.env.item == "box" and ahead == self.item:
                behind = ahead[0] + way[0], ahead[1] + way[1]
                free = self.kind(behind) != grids.WALL
                self.item = behind if free else self.item
            if free:
                self.at = ahead
                lost = self.kind(ahead) == grids.LAVA
        self.holds |= self.env.item == "key" and self.at == self.item
        self.visits[self.at] = min(self.visits.get(self.at, 0) + 1, 4)
        solved = (self.item if self.env.item == "box" else self.at) == self.goal
        solved &= self.holds or self.env.item != "key"
        reward = 1 - 0.5 * self.time / self.env.max_steps if solved else 0.0
        return reward, solved or lost or self.time >= self.env.max_steps, solved

    def obs(self) -> list[float]:
        ahead, right = MOVES[self.direction], MOVES[(self.direction + 1) % 4]
        seen = []
        for row in range(5):
            for column in range(-2, 3):
                if self.env.turning:
                    offset = [(4 - row) * ahead[i] + column * right[i] for i in range(2)]
                else:
                    offset = [row - 2, column]
                seen.append((self.at[0] + offset[0], self.at[1] + offset[1]))
        values = [float(self.kind(cell) == grids.WALL) for cell in seen]
        if self.env.lava:
            values += [float(self.kind(cell) == grids.LAVA) for cell in seen]
        first = self.direction if self.env.turning else 0
        around = [(self.at[0] + r, self.at[1] + c) for r, c in (MOVES[(first + i) % 4] for i in range(4))]
        values += [self.visits.get(cell, 0) / 4 for cell in around]

        def towards(target: tuple[int, int], origin: tuple[int, int]) -> list[float]:
            down, right = ((a - b) / self.size for a, b in zip(target, origin, strict=True))
            if self.env.turning:
                for _ in range(self.direction):
                    down, right = -right, down  # the world turns against the agent
                down = -down
            return [down, right, float(np.sign(down)), float(np.sign(right))]

        values += towards(self.goal, self.item if self.env.item == "box" else self.at)
        values.append(self.time / self.env.max_steps)
        if self.env.item != "none":
            values += towards(self.item, self.at)
        if self.env.item == "key":
            values.append(float(self.holds))
        if self.env.item == "box":
            near = [(self.item[0] + r, self.item[1] + c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c]
            values += [float(self.kind(cell) == grids.WALL) for cell in near]
        return values


@pytest.mark.parametrize(("dataset", "turning"), [*((name, False) for name in GRIDS), ("Grids/Lava", True)])
def test_grids_follow_their_rules(dataset: str, turning: bool) -> None:
    env, count, steps = world(dataset, TURNING=turning, MAX_STEPS=30), 24, 30
    levels = some_levels(env, count)
    actions = np.random.default_rng(1).integers(env.num_actions, size=(steps, count))
    (first, _), (obs, _, reward, ended, solved) = rolled(env, levels, actions)
    for number in range(count):
        plain = PlainGrid(env, jax.tree.map(lambda x, number=number: np.asarray(x[number]), levels))
        np.testing.assert_allclose(first[number], plain.obs(), atol=1e-6)
        for t in range(steps):
            expected = plain.step(int(actions[t, number]))
            found = reward[t, number], ended[t, number], solved[t, number]
            np.testing.assert_allclose(found, expected, atol=1e-6)
            if expected[1]:
                break
            np.testing.assert_allclose(obs[t, number], plain.obs(), atol=1e-6)
    assert ended.any(axis=0).all()


def test_tracks_follow_their_rules() -> None:
    """The rules of held-out courses are written twice; both must agree."""
    env = world("Jumping/Tracks")
    levels = some_levels(env, 64)
    actions = np.random.default_rng(1).integers(3, size=(31, 64))
    _, (_, state, _, ended, solved) = rolled(env, levels, actions)
    runs = 0
    for number in range(64):
        floor, ceiling = heldout.as_played(*(np.asarray(x[number]).astype(int) for x in levels))
        now: Any = (int(floor[0]), 0, True)
        for t in range(31):
            now = heldout._after(floor, ceiling, t, now, int(actions[t, number]))
            assert solved[t, number] == (now is not None and t == 30)
            assert ended[t, number] == (now is None or t == 30)
            if now is None:
                break
            assert now == (state.height[t, number], state.speed[t, number], state.stands[t, number])
            runs += 1
    assert runs > 200


@pytest.mark.parametrize("dataset", WORLDS)
def test_random_levels_and_edits_are_valid_and_differ(dataset: str) -> None:
    env = world(dataset)
    levels = some_levels(env, 64)
    edited = jax.jit(jax.vmap(env.mutate))(jax.random.split(jax.random.key(1), 64), levels)
    build = jax.jit(jax.vmap(env.build))
    boards = [build(each) for each in (levels, edited)]
    for before, after in zip(jax.tree.leaves(levels), jax.tree.leaves(edited), strict=True):
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
        changed = (np.asarray(before) != np.asarray(after)).reshape(64, -1).sum(axis=1)
        assert changed.max() <= 1
    different = np.zeros(64, bool)
    for before, after in zip(jax.tree.leaves(levels), jax.tree.leaves(edited), strict=True):
        different |= (np.asarray(before) != np.asarray(after)).reshape(64, -1).any(axis=1)
    assert different.mean() > 0.5
    assert all(np.isfinite(np.asarray(leaf)).all() for board in boards for leaf in jax.tree.leaves(board))


def test_levels_of_nonsense_become_valid() -> None:
    env = world("Grids/Keys")
    wild = grids.GridLevel(jnp.full((8, 8), 77, jnp.int8), jnp.int32(-5), jnp.int32(10**6), jnp.int32(3))
    board = jax.jit(env.build)(wild)
    assert (int(board.start), int(board.goal), int(board.item)) == (0, 63, 3)
    tracks = world("Jumping/Tracks")
    track = jumping.JumpingLevel(jnp.full(32, 99, jnp.int8), jnp.full(32, -9, jnp.int8))
    floor, ceiling = jax.jit(tracks.build)(track)
    assert (np.asarray(ceiling) - np.asarray(floor)).min() >= 2


@pytest.mark.parametrize("size", [5, 9, 13])
def test_shortest_paths_agree_with_scipy(size: int, generator: np.random.Generator) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    csgraph = pytest.importorskip("scipy.sparse.csgraph")
    number = size * size
    blocked = generator.random((40, size, size)) < generator.uniform(0, 0.6, (40, 1, 1))
    goals, starts = generator.integers(number, size=(2, 40))
    blocked.reshape(40, -1)[np.arange(40), goals] = False
    found = np.asarray(jax.jit(paths.distances)(jnp.asarray(blocked), jnp.asarray(goals)))
    lengths = np.asarray(jax.jit(paths.path_length)(jnp.asarray(blocked), jnp.asarray(starts), jnp.asarray(goals)))
    for maze, goal, start, distance, length in zip(blocked, goals, starts, found, lengths, strict=True):
        edges = [
            (row * size + column, (row + r) * size + column + c)
            for row, column in np.argwhere(~maze)
            for r, c in MOVES
            if 0 <= row + r < size and 0 <= column + c < size and not maze[row + r, column + c]
        ]
        pairs = np.array(edges).reshape(-1, 2)
        graph = sparse.coo_matrix((np.ones(len(pairs)), pairs.T), shape=(number, number)).tocsr()
        expected = csgraph.shortest_path(graph, unweighted=True, indices=int(goal))
        expected = np.where(np.isinf(expected) | maze.ravel(), number, expected)
        np.testing.assert_array_equal(distance.ravel(), expected)
        assert length == expected[start]


def test_kinetix_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.split(".")[0] == "kinetix"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "kinetix", None)
    with pytest.raises(ModuleNotFoundError, match="pip install 'kinetix-env"):
        environments.make(DOMAIN.config("Kinetix/Small", "full"))
    with pytest.raises(ValueError, match="must be one of s, m, l"):
        environments.make({**DOMAIN.config("Kinetix/Small", "full"), "SIZE": "xl"})


@pytest.mark.parametrize("changes", [{"ITEM": "sword"}, {"ITEM": "box", "TURNING": True}, {"WORLD": "chess"}])
def test_worlds_that_do_not_exist_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        world("Mazes/Small", **changes)
