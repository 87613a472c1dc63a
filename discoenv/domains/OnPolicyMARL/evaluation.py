"""Evaluation episodes of teams: worlds that only an examiner steps, and policies that it asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from discoenv.examiners import jax_export
from discoenv.kits import marl_jax
from discoenv.kits.marl_jax import environments, teams

Floats = np.ndarray[Any, np.dtype[np.float32]]
Booleans = np.ndarray[Any, np.dtype[np.bool_]]
Rollout = Callable[..., tuple[Any, ...]]

#: What episodes depend on; see ``environments.make``. EVALUATION_EPISODES is the number N of worlds.
SETTINGS: Final = ("SUITE", "ENV_NAME", "OPTIONS", "EVALUATION_EPISODES")
#: Episodes of which pictures are made.
SHOWN: Final = 2


class Moment(NamedTuple):
    """What the agents of N worlds see before they act.

    Attributes:
        own: float32[N, A, D].
        available: bool[N, A, K], which actions they may take.
        first: bool[N], whether it is the first moment of an episode.
    """

    own: Floats
    available: Booleans
    first: Booleans


class Results(NamedTuple):
    """Of the first episode of each world: undiscounted return float[N], length int[N], success bool[N] so far."""

    returns: np.ndarray[Any, Any]
    lengths: np.ndarray[Any, Any]
    success: np.ndarray[Any, Any]


class _Progress(NamedTuple):
    """State of the episodes: leaves of the worlds' own, and per world what its first episode came to so far."""

    env_state: list[jax.Array]
    episode_return: jax.Array
    episode_length: jax.Array
    success: jax.Array
    finished: jax.Array


class Episodes:
    """Parallel worlds, of each of which the first episode is measured, one compiled step at a time.

    Args:
        config: a dataset's configuration, of which ``SETTINGS`` count.

    Attributes:
        count: N.
        agents: A.
        actions: K, number of discrete actions, or length of the action vector.
        continuous: whether actions are vectors.
        world_dim: length of the state of the world that centralised critics see in training.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        settings = {name: config[name] for name in SETTINGS}
        programs = jax_export.load(
            define,
            settings,
            folder=Path(__file__).parent,
            packages=("brax",) if settings["SUITE"] == "robots" else (),
            also=(Path(marl_jax.__file__).parent,),
        )
        facts = programs.facts
        self.count, self.agents = int(settings["EVALUATION_EPISODES"]), int(facts["agents"])
        self.actions, self.continuous = int(facts["actions"]), bool(facts["continuous"])
        self.world_dim = int(facts["world_dim"])
        self._reset, self._step = programs.functions["reset"], programs.functions["step"]

    def start(self, seed: int) -> Moment:
        """Begin new episodes; ``seed``, below 2**31, fixes their randomness."""
        self._time = 0
        self._progress, self._key, own, available, scene = self._reset(np.int32(seed))
        self._scenes = [np.asarray(scene)]
        return Moment(np.asarray(own), np.asarray(available), np.ones(self.count, bool))

    def step(self, action: np.ndarray[Any, Any]) -> tuple[Moment, bool]:
        """Take one step in each world; one that has finished goes on with its next, unmeasured episode.

        Args:
            action: int[N, A], available ones, or float[N, A, K] if continuous.

        Returns:
            What is seen next, and whether the measured episodes of all worlds have ended.
        """
        action = action.astype(np.float32 if self.continuous else np.int32)
        stepped = self._step(self._progress, self._key, np.int32(self._time), action)
        self._progress, own, available, first, finished, scene = stepped
        self._time += 1
        self._scenes.append(np.asarray(scene))
        return Moment(np.asarray(own), np.asarray(available), np.asarray(first)), bool(finished)

    def results(self) -> Results:
        """Of each first episode, up to now if it has not ended."""
        return _results(_Progress(*self._progress))

    def scenes(self) -> Floats:
        """What pictures show of some episodes: float32[T, SHOWN, E, 4], see ``World.scene``."""
        return np.stack(self._scenes)

    def rollout(self, start: Callable[[int], Any], act: Callable[..., Any], count: int, steps: int) -> Rollout:
        """All episodes as one compiled program.

        Args:
            start, act: policies of ``count`` teams, as pure functions: ``start(n)`` is the memory of n agents of each
                team, ``act(state, memory, own, first, available, key)`` gives actions and the memory after them.
            count: number S of trained teams; worlds are shared among them, the first N / S being the first's.
            steps: that are played at most.

        Returns:
            ``run(state, keys, seed) -> (results, scenes)``, with keys uint32[steps, S, N / S, A, 2], and the seed of
            :meth:`start`; scenes as of :meth:`scenes`, repeating the last one.
        """
        n, agents = self.count // count, self.agents

        def rows(x: jax.Array) -> jax.Array:
            """[N, A, ...] as [S, n A, ...]."""
            return x.reshape(count, n * agents, *x.shape[2:])

        def run(state: Any, keys: jax.Array, seed: jax.Array) -> tuple[Results, jax.Array]:
            progress, step_key, own, available, scene = self._reset(seed)

            def goes_on(carry: Any) -> jax.Array:
                time, finished, *_ = carry
                return (time < steps) & ~finished

            def step(carry: Any) -> Any:
                time, _, progress, own, available, first, memory, scenes = carry
                each = jnp.broadcast_to(first[:, None], (self.count, agents))
                key = keys[time].reshape(count, n * agents, 2)
                action, memory = act(state, memory, rows(own), rows(each), rows(available), key)
                action = action.reshape(self.count, agents, *action.shape[2:])
                action = action.astype(jnp.float32 if self.continuous else jnp.int32)
                progress, own, available, first, finished, scene = self._step(progress, step_key, time, action)
                scenes = jnp.where((jnp.arange(steps + 1) > time)[:, None, None, None], scene, scenes)
                return time + 1, finished, progress, own, available, first, memory, scenes

            scenes = jnp.broadcast_to(scene, (steps + 1, *scene.shape))
            first, memory = jnp.ones(self.count, bool), start(n * agents)
            begin = (jnp.int32(0), jnp.bool_(False), progress, own, available, first, memory, scenes)
            *_, progress, _, _, _, _, scenes = jax.lax.while_loop(goes_on, step, begin)
            progress = _Progress(*progress)
            return Results(progress.episode_return, progress.episode_length, progress.success), scenes

        compiled: Rollout = jax.jit(run)
        return compiled


def _results(progress: _Progress) -> Results:
    return Results(
        np.asarray(progress.episode_return).astype(np.float64),
        np.asarray(progress.episode_length).astype(np.int64),
        np.asarray(progress.success),
    )


def define(settings: Mapping[str, Any]) -> jax_export.Definition:
    """The programs ``reset(seed)`` and ``step(progress, key, time, action)``, and what goes with them."""
    env = teams.Restarting(environments.make(settings["SUITE"], settings["ENV_NAME"], settings["OPTIONS"]))
    count = settings["EVALUATION_EPISODES"]
    reset_all, step_all, scene_all = jax.vmap(env.reset), jax.vmap(env.step), jax.vmap(env.scene)
    example, state = jax.eval_shape(env.reset, jax.random.key(0))
    structure = jax.tree.structure(state)

    def scenes(state: Any) -> jax.Array:
        shown: jax.Array = scene_all(jax.tree.map(lambda x: x[:SHOWN], state))
        return shown

    def reset(seed: jax.Array) -> tuple[Any, ...]:
        key, step_key = jax.random.split(jax.random.key(seed))
        obs, env_state = reset_all(jax.random.split(key, count))
        zeros = jnp.zeros(count)
        nothing = zeros.astype(bool)
        progress = _Progress(jax.tree.leaves(env_state), zeros, zeros.astype(int), nothing, nothing)
        return tuple(progress), step_key, obs.own, obs.available, scenes(env_state)

    def step(progress: tuple[Any, ...], key: jax.Array, time: jax.Array, action: jax.Array) -> tuple[Any, ...]:
        leaves, episode_return, episode_length, success, finished = progress
        keys = jax.random.split(jax.random.fold_in(key, time), count)
        obs, env_state, reward, terminated, truncated, info = step_all(
            keys, jax.tree.unflatten(structure, leaves), action
        )
        first = terminated | truncated
        after = _Progress(
            jax.tree.leaves(env_state),
            episode_return + reward * ~finished,
            episode_length + ~finished,
            success | (info["success"] & ~finished),
            finished | first,
        )
        return tuple(after), obs.own, obs.available, first, after.finished.all(), scenes(env_state)

    progress, key, *_ = jax.eval_shape(reset, np.int32(0))
    shape = (count, env.num_agents)
    action = np.zeros((*shape, env.num_actions), np.float32) if env.continuous else np.zeros(shape, np.int32)
    return jax_export.Definition(
        {"reset": (reset, (np.int32(0),)), "step": (step, (progress, key, np.int32(0), action))},
        {
            "agents": env.num_agents,
            "actions": env.num_actions,
            "continuous": env.continuous,
            "world_dim": example.world.shape[-1],
        },
    )
