"""The environments that policies are examined in, one vectorised jitted step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .templates.default import environments

FloatArray = np.ndarray[Any, np.dtype[np.float32]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]


class _Progress(NamedTuple):
    """State of the episodes: the environments' own, and per environment what its first episode came to so far."""

    env_state: Any
    episode_return: jax.Array
    episode_length: jax.Array
    finished: jax.Array


class Episodes:
    """``count`` parallel environments, of each of which the first episode is measured.

    Compiled code is kept, so that an instance is worth reusing.

    Args:
        config: says which environment, as ``environments.make`` describes, and:

            * EVALUATION_EPISODES, the number N of environments;
            * EVALUATION_RANDOM_STEPS: each episode starts after 0 to that many uniformly random actions, so that
              deterministic games do not give N times the same episode, and a memorised sequence of actions is of no use
              (random starts, as in Mnih et al. 2015). What they earn does not count.

    Attributes:
        count: N.
        action_dim: length A of the action vector if the action space is continuous; None if it is discrete.
        low, high: bounds, inclusive: int[] of a discrete action; float[] or float[A] of an action vector.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        env, params = environments.make(config)
        space = env.action_space(params)
        discrete = not config["CONTINUOUS"]
        self.count = count = int(config["EVALUATION_EPISODES"])
        random_steps = int(config["EVALUATION_RANDOM_STEPS"])
        self.action_dim: int | None = None if discrete else space.shape[0]
        self.low = np.asarray(0 if discrete else space.low)
        self.high = np.asarray(space.n - 1 if discrete else space.high)

        def reset(key: jax.Array) -> tuple[_Progress, jax.Array, jax.Array, jax.Array]:
            reset_key, count_key, steps_key = jax.random.split(key, 3)
            obs, env_state = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(reset_key, count), params)
            random_counts = jax.random.randint(count_key, (count,), 0, random_steps + 1)

            def random_step(carry: Any, inputs: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
                time, key = inputs
                action_key, step_key = jax.random.split(key)
                actions = jax.vmap(space.sample)(jax.random.split(action_key, count))
                stepped = jax.vmap(env.step, in_axes=(0, 0, 0, None))(
                    jax.random.split(step_key, count), carry[1], actions, params
                )
                moves = time < random_counts

                def choose(new: jax.Array, old: jax.Array) -> jax.Array:
                    return jnp.where(moves.reshape(-1, *[1] * (new.ndim - 1)), new, old)

                return jax.tree.map(choose, (stepped[0], stepped[1]), carry), None

            if random_steps:  # a loop over nothing would be compiled as well
                times = jnp.arange(random_steps)
                (obs, env_state), _ = jax.lax.scan(
                    random_step, (obs, env_state), (times, jax.random.split(steps_key, random_steps))
                )
            zeros = jnp.zeros(count)
            progress = _Progress(env_state, zeros, zeros.astype(int), zeros.astype(bool))
            return progress, _flat(obs), jnp.ones(count, bool), jnp.bool_(False)

        def step(
            progress: _Progress, key: jax.Array, time: jax.Array, action: jax.Array
        ) -> tuple[_Progress, jax.Array, jax.Array, jax.Array]:
            keys = jax.random.split(jax.random.fold_in(key, time), count)
            obs, env_state, reward, terminated, truncated, _ = jax.vmap(env.step, in_axes=(0, 0, 0, None))(
                keys, progress.env_state, action, params
            )
            done = terminated | truncated
            progress = _Progress(
                env_state,
                progress.episode_return + reward * ~progress.finished,
                progress.episode_length + ~progress.finished,
                progress.finished | done,
            )
            return progress, _flat(obs), done, progress.finished.all()

        self._reset, self._step = jax.jit(reset), jax.jit(step)

    def start(self, seed: int) -> tuple[FloatArray, BoolArray]:
        """Begin new episodes; ``seed`` fixes their randomness.

        Returns:
            obs: float32[N, D], flattened.
            first: bool[N], whether it is the first observation of an episode; here always.
        """
        reset_key, self._step_key = jax.random.split(jax.random.key(seed))
        self._time = 0
        self._progress, obs, first, _ = self._reset(reset_key)
        return np.asarray(obs), np.asarray(first)

    def step(self, action: np.ndarray[Any, Any]) -> tuple[FloatArray, BoolArray, bool]:
        """Take one step in each environment; one that has finished goes on with its next, unmeasured episode.

        Args:
            action: int[N], or float[N, A] (clipped to the bounds of the action space).

        Returns:
            obs and first as in :meth:`start`, and whether the measured episodes of all environments have ended.
        """
        if self.action_dim is None:
            action = action.astype(np.int32)
        else:
            action = np.clip(action, self.low, self.high).astype(np.float32)
        self._progress, obs, first, finished = self._step(self._progress, self._step_key, self._time, action)
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
