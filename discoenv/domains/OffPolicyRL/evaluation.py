"""The environments that policies are examined in, one vectorised jitted step at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnax
import jax
import jax.numpy as jnp
import numpy as np

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

    Compiled code is kept, so that an instance is worth reusing.

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
        env, params = gymnax.make(env_name)
        params = params.replace(max_steps_in_episode=time_limit)
        self.count = count
        self.action_dim = int(env.action_space(params).n)
        reset_all = jax.vmap(env.reset, in_axes=(0, None))
        step_all = jax.vmap(env.step, in_axes=(0, 0, 0, None))

        def reset(key: jax.Array) -> tuple[_Progress, jax.Array]:
            reset_key, count_key, random_key = jax.random.split(key, 3)
            obs, env_state = reset_all(jax.random.split(reset_key, count), params)
            random_counts = jax.random.randint(count_key, (count,), 0, random_steps + 1)

            def random_step(carry: Any, inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
                time, key = inputs
                action_key, step_key = jax.random.split(key)
                action = jax.random.randint(action_key, (count,), 0, self.action_dim)
                stepped = step_all(jax.random.split(step_key, count), carry[1], action, params)
                moves = time < random_counts

                def choose(new: jax.Array, old: jax.Array) -> jax.Array:
                    return jnp.where(moves.reshape(-1, *[1] * (new.ndim - 1)), new, old)

                return jax.tree.map(choose, (stepped[0], stepped[1]), carry), None

            inputs = (jnp.arange(random_steps), jax.random.split(random_key, random_steps))
            (obs, env_state), _ = jax.lax.scan(random_step, (obs, env_state), inputs)
            zeros = jnp.zeros(count)
            return _Progress(env_state, zeros, zeros.astype(int), zeros.astype(bool)), _flat(obs)

        def step(
            progress: _Progress, key: jax.Array, time: jax.Array, action: jax.Array
        ) -> tuple[_Progress, jax.Array, jax.Array, jax.Array]:
            keys = jax.random.split(jax.random.fold_in(key, time), count)
            obs, env_state, reward, terminated, truncated, _ = step_all(keys, progress.env_state, action, params)
            first = terminated | truncated
            progress = _Progress(
                env_state,
                progress.episode_return + reward * ~progress.finished,
                progress.episode_length + ~progress.finished,
                progress.finished | first,
            )
            return progress, _flat(obs), first, progress.finished.all()

        self._reset, self._step = jax.jit(reset), jax.jit(step)

    def start(self, seed: int) -> tuple[FloatArray, BoolArray]:
        """Begin new episodes; ``seed`` fixes their randomness.

        Returns:
            obs: float32[N, D], flattened.
            first: bool[N], whether it is the first observation of an episode; here always.
        """
        reset_key, self._step_key = jax.random.split(jax.random.key(seed))
        self._time = 0
        self._progress, obs = self._reset(reset_key)
        return np.asarray(obs), np.ones(self.count, bool)

    def step(self, action: np.ndarray[Any, Any]) -> tuple[FloatArray, BoolArray, bool]:
        """Take one step in each environment; one that has finished goes on with its next, unmeasured episode.

        Args:
            action: int[N].

        Returns:
            obs and first as in :meth:`start`, and whether the measured episodes of all environments have ended.
        """
        step = self._step(self._progress, self._step_key, self._time, action.astype(np.int32))
        self._progress, obs, first, finished = step
        self._time += 1
        return np.asarray(obs), np.asarray(first), bool(finished)

    def results(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Undiscounted return float64[N] and length int64[N] of each first episode, up to now if it has not ended."""
        return (
            np.asarray(self._progress.episode_return).astype(np.float64),
            np.asarray(self._progress.episode_length).astype(np.int64),
        )


def _flat(obs: jax.Array) -> jax.Array:
    return obs.reshape(obs.shape[0], -1).astype(jnp.float32)
