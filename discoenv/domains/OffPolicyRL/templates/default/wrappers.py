"""Wrappers of gymnax environments; each is pure and follows their interface.

    obs, state = env.reset(key, params)
    obs, state, reward, terminated, truncated, info = env.step(key, state, action, params)

An environment starts a new episode by itself: after a step with terminated or truncated, ``obs`` is the first
observation of the next episode, and ``info["final_observation"]`` is the one in which the last episode ended. After
any other step the two are the same.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


class Wrapper:
    """An environment that hands on whatever it does not change."""

    def __init__(self, env):
        self._env = env

    def __getattr__(self, name):
        return getattr(self._env, name)


class FlattenObservation(Wrapper):
    """Observations as vectors, float32[D]."""

    def reset(self, key, params):
        obs, state = self._env.reset(key, params)
        return _flat(obs), state

    def step(self, key, state, action, params):
        obs, state, reward, terminated, truncated, info = self._env.step(key, state, action, params)
        info = {**info, "final_observation": _flat(info["final_observation"])}
        return _flat(obs), state, reward.astype(jnp.float32), terminated, truncated, info


def _flat(obs):
    return jnp.ravel(obs).astype(jnp.float32)


@struct.dataclass
class EpisodeState:
    """State of :class:`EpisodeStatistics`: the environment's own, and scalars of the running episode.

    ``steps`` counts the steps taken since the first reset, over all episodes.
    """

    env_state: Any
    episode_return: jax.Array
    episode_length: jax.Array
    steps: jax.Array


class EpisodeStatistics(Wrapper):
    """Counts steps, and puts return (undiscounted) and length of the episode so far, this step included, into info."""

    def reset(self, key, params):
        obs, env_state = self._env.reset(key, params)
        return obs, EpisodeState(env_state, jnp.float32(0), jnp.int32(0), jnp.int32(0))

    def step(self, key, state, action, params):
        obs, env_state, reward, terminated, truncated, info = self._env.step(key, state.env_state, action, params)
        episode_return, episode_length = state.episode_return + reward, state.episode_length + 1
        info = {**info, "episode_return": episode_return, "episode_length": episode_length}
        goes_on = ~(terminated | truncated)
        state = EpisodeState(env_state, episode_return * goes_on, episode_length * goes_on, state.steps + 1)
        return obs, state, reward, terminated, truncated, info


class Vectorise(Wrapper):
    """``num_envs`` independent copies in lockstep: all arrays but ``params`` get a leading axis [num_envs]."""

    def __init__(self, env, num_envs):
        super().__init__(env)
        self.num_envs = num_envs

    def reset(self, key, params):
        return jax.vmap(self._env.reset, in_axes=(0, None))(jax.random.split(key, self.num_envs), params)

    def step(self, key, state, action, params):
        keys = jax.random.split(key, self.num_envs)
        return jax.vmap(self._env.step, in_axes=(0, 0, 0, None))(keys, state, action, params)
