"""The interface of worlds with a team of agents, and what is put around them for training.

    obs, state = env.reset(key)
    obs, state, reward, terminated, truncated, info = env.step(key, state, action)

One world has A agents, which act at the same time and have one reward in common. ``obs`` is an :class:`Observation`
with the leading axis [A]; ``action`` is int32[A], or float32[A, K] where actions are vectors; ``reward`` is float32[],
``terminated`` and ``truncated`` are bool[]; ``info["success"]`` is bool[], whether the team has reached its aim in this
step. A world does not start again by itself: :class:`Restarting` does that.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp


class Observation(NamedTuple):
    """What agents see; all with the same leading axes, the last of which is [A] in a world.

    Attributes:
        own: float32[..., D], what the agent itself sees. Zeros for one that has died.
        available: bool[..., K], which of the K discrete actions it may take, at least one. All true for vectors.
        active: bool[...], whether it has anything to choose: it lives, and it is its turn. Others have one action.
        world: float32[..., G], the state of the world, the same for all agents, for a centralised critic. Where
            training is decentralised, G is 1 and it is 0; so it is, for all G, in the exam.
    """

    own: jax.Array
    available: jax.Array
    active: jax.Array
    world: jax.Array


class World(Protocol):
    """A world as described at the top of the file.

    Attributes:
        num_agents: A.
        num_actions: K, discrete actions, or length of the action vector.
        continuous: whether actions are vectors.
    """

    num_agents: int
    num_actions: int
    continuous: bool

    def reset(self, key: jax.Array) -> tuple[Observation, Any]:
        """A new episode: (obs, state)."""

    def step(self, key: jax.Array, state: Any, action: jax.Array) -> tuple[Any, ...]:
        """One step: (obs, state, reward, terminated, truncated, info)."""

    def scene(self, state: Any) -> jax.Array:
        """What pictures show of a state: float32[E, 4], (x, y, kind, health) of each of E things."""


class Wrapper:
    """A world that hands on whatever it does not change."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)


class Restarting(Wrapper):
    """Starts the next episode in the step that ends one.

    After a step with terminated or truncated, ``obs`` is the first observation of the next episode, and
    ``info["final_observation"]`` is the one in which the last episode ended. After other steps the two are the same.
    """

    def step(self, key: jax.Array, state: Any, action: jax.Array) -> tuple[Any, ...]:
        """One step; see :class:`.teams.World`."""
        step_key, reset_key = jax.random.split(key)
        obs, state, reward, terminated, truncated, info = self._env.step(step_key, state, action)
        ended = terminated | truncated
        start = self._env.reset(reset_key)
        next_obs, state = jax.tree.map(lambda first, goes_on: jnp.where(ended, first, goes_on), start, (obs, state))
        return next_obs, state, reward, terminated, truncated, {**info, "final_observation": obs}


class Decentralised(Wrapper):
    """Observations without the state of the world: ``world`` is one zero, float32[..., 1]."""

    def reset(self, key: jax.Array) -> tuple[Observation, Any]:
        """A new episode; see :class:`.teams.World`."""
        obs, state = self._env.reset(key)
        return obs._replace(world=jnp.zeros_like(obs.world[..., :1])), state

    def step(self, key: jax.Array, state: Any, action: jax.Array) -> tuple[Any, ...]:
        """One step; see :class:`.teams.World`."""
        obs, *outcome = self._env.step(key, state, action)
        return obs._replace(world=jnp.zeros_like(obs.world[..., :1])), *outcome


class Shaped(Wrapper):
    """Rewards times ``scale``, and ``shaping`` times ``info["shaping"]`` added where a world has hints for learners.

    ``info["reward"]`` keeps the reward that counts.
    """

    def __init__(self, env: Any, scale: float, shaping: float) -> None:
        super().__init__(env)
        self._scale, self._shaping = scale, shaping

    def step(self, key: jax.Array, state: Any, action: jax.Array) -> tuple[Any, ...]:
        """One step; see :class:`.teams.World`."""
        obs, state, reward, terminated, truncated, info = self._env.step(key, state, action)
        learned_from = self._scale * (reward + self._shaping * info.get("shaping", 0.0))
        return obs, state, learned_from, terminated, truncated, {**info, "reward": reward}


class Vectorise(Wrapper):
    """``num_envs`` independent copies in lockstep: all arrays have a leading axis [NUM_ENVS]."""

    def __init__(self, env: Any, num_envs: int) -> None:
        super().__init__(env)
        self.num_envs = num_envs

    def reset(self, key: jax.Array) -> tuple[Observation, Any]:
        """A new episode; see :class:`.teams.World`."""
        obs, state = jax.vmap(self._env.reset)(jax.random.split(key, self.num_envs))
        return obs, state

    def step(self, key: jax.Array, state: Any, action: jax.Array) -> tuple[Any, ...]:
        """One step; see :class:`.teams.World`."""
        return tuple(jax.vmap(self._env.step)(jax.random.split(key, self.num_envs), state, action))


class EpisodeState(NamedTuple):
    """State of :class:`EpisodeStatistics`: the worlds' own, and of each the running episode, [NUM_ENVS].

    ``steps`` counts the steps taken since the first reset, over all episodes.
    """

    env_state: Any
    episode_return: jax.Array
    episode_length: jax.Array
    steps: jax.Array


class EpisodeStatistics(Wrapper):
    """Counts steps, and puts return (undiscounted) and length of the episode so far, this step included, into info.

    The return is that of ``info["reward"]``, the reward that counts, and not of what is added for learners.
    """

    def reset(self, key: jax.Array) -> tuple[Observation, EpisodeState]:
        """A new episode; see :class:`.teams.World`."""
        obs, env_state = self._env.reset(key)
        zeros = jnp.zeros(self.num_envs, jnp.int32)
        return obs, EpisodeState(env_state, zeros.astype(jnp.float32), zeros, zeros)

    def step(self, key: jax.Array, state: EpisodeState, action: jax.Array) -> tuple[Any, ...]:
        """One step; see :class:`.teams.World`."""
        obs, env_state, reward, terminated, truncated, info = self._env.step(key, state.env_state, action)
        episode_return, episode_length = state.episode_return + info["reward"], state.episode_length + 1
        info = {**info, "episode_return": episode_return, "episode_length": episode_length}
        goes_on = ~(terminated | truncated)
        state = EpisodeState(env_state, episode_return * goes_on, episode_length * goes_on, state.steps + 1)
        return obs, state, reward, terminated, truncated, info
