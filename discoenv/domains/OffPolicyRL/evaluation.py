"""The environments that policies are examined in, one vectorised compiled step at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from discoenv.exams import exported

FloatArray = np.ndarray[Any, np.dtype[np.float32]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]


class _Progress(NamedTuple):
    """State of the episodes: the environments' own, and per environment what its first episode came to so far."""

    env_state: Any
    episode_return: jax.Array
    episode_length: jax.Array
    finished: jax.Array


class Episodes:
    """``count`` parallel environments with discrete actions, of each of which the first episode is measured.

    Compiled code is kept, so that an instance is worth reusing. What is traced for the first one is exported, so that
    later processes need not even import the simulator.

    Args:
        env_name: a name that gymnax knows.
        time_limit: steps after which an episode is truncated.
        count: number N of environments.
        random_steps: each episode starts after 0 to ``random_steps`` uniformly random actions, so that deterministic
            games do not give N times the same episode, and a memorised sequence of actions is of no use (random
            starts, as in Mnih et al. 2015). What they earn does not count.

    Attributes:
        count: N.
        action_dim: number of actions.
    """

    def __init__(self, env_name: str, time_limit: int, count: int, random_steps: int = 0) -> None:
        settings = {"env_name": env_name, "time_limit": time_limit, "count": count, "random_steps": random_steps}
        programs = exported.load(define, settings, folder=Path(__file__).parent, packages=("gymnax",))
        self.count = count
        self.action_dim: int = programs.facts["action_dim"]
        self._reset, self._step = programs.functions["reset"], programs.functions["step"]

    def start(self, seed: int) -> tuple[FloatArray, BoolArray]:
        """Begin new episodes; ``seed``, below 2**31, fixes their randomness.

        Returns:
            obs: float32[N, D], flattened.
            first: bool[N], whether it is the first observation of an episode; here always.
        """
        self._time = 0
        self._progress, self._step_key, obs = self._reset(np.int32(seed))
        return np.asarray(obs), np.ones(self.count, bool)

    def step(self, action: np.ndarray[Any, Any]) -> tuple[FloatArray, BoolArray, bool]:
        """Take one step in each environment; one that has finished goes on with its next, unmeasured episode.

        Args:
            action: int[N].

        Returns:
            obs and first as in :meth:`start`, and whether the measured episodes of all environments have ended.
        """
        stepped = self._step(self._progress, self._step_key, np.int32(self._time), action.astype(np.int32))
        self._progress, obs, first, finished = stepped
        self._time += 1
        return np.asarray(obs), np.asarray(first), bool(finished)

    def results(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Undiscounted return float64[N] and length int64[N] of each first episode, up to now if it has not ended."""
        progress = _Progress(*self._progress)
        return (
            np.asarray(progress.episode_return).astype(np.float64),
            np.asarray(progress.episode_length).astype(np.int64),
        )


def define(settings: Mapping[str, Any]) -> exported.Definition:
    """The programs ``reset(seed)`` and ``step(progress, key, time, action)`` of :class:`Episodes`, and ``action_dim``.

    ``progress`` is a tuple of the fields of :class:`_Progress`, its ``env_state`` the list of the state's leaves.
    """
    import gymnax  # noqa: PLC0415 - which takes longer than loading what has been exported

    count, random_steps = settings["count"], settings["random_steps"]
    env, params = gymnax.make(settings["env_name"])
    params = params.replace(max_steps_in_episode=settings["time_limit"])
    action_dim = int(env.action_space(params).n)
    reset_all = jax.vmap(env.reset, in_axes=(0, None))
    step_all = jax.vmap(env.step, in_axes=(0, 0, 0, None))

    def begin(key: jax.Array) -> tuple[jax.Array, Any]:
        reset_key, count_key, random_key = jax.random.split(key, 3)
        start: tuple[jax.Array, Any] = reset_all(jax.random.split(reset_key, count), params)
        random_counts = jax.random.randint(count_key, (count,), 0, random_steps + 1)

        def random_step(carry: Any, inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
            time, key = inputs
            action_key, step_key = jax.random.split(key)
            action = jax.random.randint(action_key, (count,), 0, action_dim)
            stepped = step_all(jax.random.split(step_key, count), carry[1], action, params)
            moves = time < random_counts

            def choose(new: jax.Array, old: jax.Array) -> jax.Array:
                return jnp.where(moves.reshape(-1, *[1] * (new.ndim - 1)), new, old)

            return jax.tree.map(choose, (stepped[0], stepped[1]), carry), None

        if random_steps:  # a loop over nothing would be compiled as well
            inputs = jnp.arange(random_steps), jax.random.split(random_key, random_steps)
            start, _ = jax.lax.scan(random_step, start, inputs)
        return start

    def reset(seed: jax.Array) -> tuple[tuple[Any, ...], jax.Array, jax.Array]:
        key, step_key = jax.random.split(jax.random.key(seed))
        obs, env_state = begin(key)
        zeros = jnp.zeros(count)
        progress = _Progress(jax.tree.leaves(env_state), zeros, zeros.astype(int), zeros.astype(bool))
        return tuple(progress), step_key, _flat(obs)

    key = jax.random.key(0)
    structure = jax.tree.structure(jax.eval_shape(begin, key)[1])

    def step(
        progress: tuple[Any, ...], key: jax.Array, time: jax.Array, action: jax.Array
    ) -> tuple[tuple[Any, ...], jax.Array, jax.Array, jax.Array]:
        leaves, episode_return, episode_length, finished = progress
        keys = jax.random.split(jax.random.fold_in(key, time), count)
        env_state = jax.tree.unflatten(structure, leaves)
        obs, env_state, reward, terminated, truncated, _ = step_all(keys, env_state, action, params)
        first = terminated | truncated
        after = _Progress(
            jax.tree.leaves(env_state),
            episode_return + reward * ~finished,
            episode_length + ~finished,
            finished | first,
        )
        return tuple(after), _flat(obs), first, after.finished.all()

    progress, *_ = jax.eval_shape(reset, np.int32(0))
    functions: Mapping[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "reset": (reset, (np.int32(0),)),
        "step": (step, (progress, key, np.int32(0), np.zeros(count, np.int32))),
    }
    return exported.Definition(functions, {"action_dim": action_dim})


def _flat(obs: jax.Array) -> jax.Array:
    return obs.reshape(obs.shape[0], -1).astype(jnp.float32)
