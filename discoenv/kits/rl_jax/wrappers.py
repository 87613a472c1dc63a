"""What is put around the environments of environments.py for training: copies, statistics, normalisation.

Each wrapper is pure and has their methods ``reset`` and ``step``. From :class:`Vectorise` outwards, all arrays but
``params`` have a leading axis [NUM_ENVS].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Wrapper:
    """An environment that hands on whatever it does not change."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)


def state_of(kind: type, state: Any) -> Any:
    """The part of a nest of wrappers' states that is a ``kind``, or None."""
    while state is not None and not isinstance(state, kind):
        state = getattr(state, "env_state", None)
    return state


class Vectorise(Wrapper):
    """``num_envs`` independent copies in lockstep."""

    def __init__(self, env: Any, num_envs: int) -> None:
        super().__init__(env)
        self.num_envs = num_envs

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        obs, state = jax.vmap(self._env.reset, in_axes=(0, None))(jax.random.split(key, self.num_envs), params)
        return obs, state

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple[Any, ...]:
        keys = jax.random.split(key, self.num_envs)
        return tuple(jax.vmap(self._env.step, in_axes=(0, 0, 0, None))(keys, state, action, params))


class FreshStarts(Wrapper):
    """In each step, ``count`` of the environments get a new state in which their next episodes will start.

    ``env`` is a vectorised ``Restarting`` environment. Episodes are long compared with NUM_ENVS / count steps, so
    nearly every one starts in another state, at a fraction of the cost of computing one per step and environment.
    """

    def __init__(self, env: Vectorise, count: int) -> None:
        super().__init__(env)
        self._starts = Vectorise(env._env, count)

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple[Any, ...]:
        step_key, reset_key, choice_key = jax.random.split(key, 3)
        obs, state, *outcome = self._env.step(step_key, state, action, params)
        _, fresh = self._starts.reset(reset_key, params)
        chosen = jax.random.choice(choice_key, self.num_envs, (self._starts.num_envs,), replace=False)
        first_state, first_obs = jax.tree.map(
            lambda all_, new: all_.at[chosen].set(new),
            (state.first_state, state.first_obs),
            (fresh.first_state, fresh.first_obs),
        )
        return obs, state._replace(first_state=first_state, first_obs=first_obs), *outcome


class FlattenObservation(Wrapper):
    """Observations as vectors, float32[NUM_ENVS, D]; rewards as float32[NUM_ENVS]."""

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        obs, state = self._env.reset(key, params)
        return _flat(obs), state

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple[Any, ...]:
        obs, state, reward, terminated, truncated, info = self._env.step(key, state, action, params)
        info = {**info, "final_observation": _flat(info["final_observation"])}
        return _flat(obs), state, reward.astype(jnp.float32), terminated, truncated, info


def _flat(obs: jax.Array) -> jax.Array:
    return obs.reshape(obs.shape[0], -1).astype(jnp.float32)


class ClipAction(Wrapper):
    """Continuous actions, float32[NUM_ENVS, A], are clipped to the bounds of the action space."""

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple[Any, ...]:
        space = self._env.action_space(params)
        return tuple(self._env.step(key, state, jnp.clip(action, space.low, space.high), params))


class EpisodeState(NamedTuple):
    """State of :class:`EpisodeStatistics`: the environments' own, and of each the running episode, [NUM_ENVS].

    ``steps`` counts the steps taken since the first reset, over all episodes.
    """

    env_state: Any
    episode_return: jax.Array
    episode_length: jax.Array
    steps: jax.Array


class EpisodeStatistics(Wrapper):
    """Counts steps, and puts return (undiscounted) and length of the episode so far, this step included, into info."""

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, EpisodeState]:
        obs, env_state = self._env.reset(key, params)
        zeros = jnp.zeros(self.num_envs, jnp.int32)
        return obs, EpisodeState(env_state, zeros.astype(jnp.float32), zeros, zeros)

    def step(self, key: jax.Array, state: EpisodeState, action: jax.Array, params: Any) -> tuple[Any, ...]:
        obs, env_state, reward, terminated, truncated, info = self._env.step(key, state.env_state, action, params)
        episode_return, episode_length = state.episode_return + reward, state.episode_length + 1
        info = {**info, "episode_return": episode_return, "episode_length": episode_length}
        goes_on = ~(terminated | truncated)
        state = EpisodeState(env_state, episode_return * goes_on, episode_length * goes_on, state.steps + 1)
        return obs, state, reward, terminated, truncated, info


class RunningMoments(NamedTuple):
    """Mean and variance of all vectors seen so far, float32[...] both, and their number, float32[]."""

    mean: jax.Array
    variance: jax.Array
    count: jax.Array

    @classmethod
    def of_nothing(cls, shape: tuple[int, ...]) -> RunningMoments:
        """Mean 0 and variance 1, forgotten with the first batch."""
        return cls(jnp.zeros(shape), jnp.ones(shape), jnp.float32(1e-4))

    def update(self, batch: jax.Array) -> RunningMoments:
        """With ``batch``, float32[n, ...], seen as well (Chan et al. 1983, eq. 1.5)."""
        n, total = batch.shape[0], self.count + batch.shape[0]
        mean, variance = batch.mean(axis=0), batch.var(axis=0)
        shift = mean - self.mean
        share = n / total
        return RunningMoments(
            self.mean + share * shift,
            (1 - share) * self.variance + share * variance + share * (1 - share) * shift**2,
            total,
        )

    def standardise(self, x: jax.Array) -> jax.Array:
        """(x - mean) / standard deviation, clipped to [-10, 10]."""
        return jnp.clip((x - self.mean) * jax.lax.rsqrt(self.variance + 1e-8), -10.0, 10.0)


class ObservationState(NamedTuple):
    """State of :class:`NormalizeObservation`."""

    env_state: Any
    moments: RunningMoments


class NormalizeObservation(Wrapper):
    """Observations are standardised by the moments of all that were seen in training so far."""

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, ObservationState]:
        obs, env_state = self._env.reset(key, params)
        moments = RunningMoments.of_nothing(obs.shape[1:]).update(obs)
        return moments.standardise(obs), ObservationState(env_state, moments)

    def step(self, key: jax.Array, state: ObservationState, action: jax.Array, params: Any) -> tuple[Any, ...]:
        obs, env_state, reward, terminated, truncated, info = self._env.step(key, state.env_state, action, params)
        moments = state.moments.update(obs)
        info = {**info, "final_observation": moments.standardise(info["final_observation"])}
        state = ObservationState(env_state, moments)
        return moments.standardise(obs), state, reward, terminated, truncated, info


class RewardState(NamedTuple):
    """State of :class:`NormalizeReward`: moments and present values of the discounted return, float32[NUM_ENVS]."""

    env_state: Any
    moments: RunningMoments
    discounted_return: jax.Array


class NormalizeReward(Wrapper):
    """Rewards are divided by the standard deviation of the discounted return; ``info["episode_return"]`` stays."""

    def __init__(self, env: Any, gamma: float) -> None:
        super().__init__(env)
        self._gamma = gamma

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, RewardState]:
        obs, env_state = self._env.reset(key, params)
        return obs, RewardState(env_state, RunningMoments.of_nothing(()), jnp.zeros(self.num_envs))

    def step(self, key: jax.Array, state: RewardState, action: jax.Array, params: Any) -> tuple[Any, ...]:
        obs, env_state, reward, terminated, truncated, info = self._env.step(key, state.env_state, action, params)
        discounted_return = self._gamma * state.discounted_return + reward
        moments = state.moments.update(discounted_return)
        state = RewardState(env_state, moments, discounted_return * ~(terminated | truncated))
        return obs, state, reward * jax.lax.rsqrt(moments.variance + 1e-8), terminated, truncated, info
