"""The simulators, behind one interface; their packages are imported where they are used.

    obs, state = env.reset(key, params)
    obs, state, reward, terminated, truncated, info = env.step(key, state, action, params)

An environment starts its next episode by itself: after a step with terminated or truncated, ``obs`` is the first
observation of the next episode, and ``info["final_observation"]`` is the one in which the last episode ended. After
any other step the two are the same.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


def make(suite: str, name: str, *, pipeline: str = "", time_limit: int | None = None) -> tuple[Any, Any]:
    """One environment, not vectorised, and its parameters.

    Args:
        suite: the package that has it: gymnax, brax or craftax.
        name: what that package calls it.
        pipeline: of brax, the physics: see :class:`Brax`.
        time_limit: of gymnax, steps after which an episode is truncated; None: the environment's own.

    Raises:
        ValueError: there is no such suite.
    """
    match suite:
        case "gymnax":
            with plotting_later():
                import gymnax  # each suite is imported only if it is wanted

            env, params = gymnax.make(name)
            return env, params if time_limit is None else params.replace(max_steps_in_episode=time_limit)
        case "brax":
            return Restarting(Brax(name, pipeline)), None
        case "craftax":
            env = Craftax(name)
            return Restarting(env), env.default_params
    raise ValueError(f"there is no suite {suite!r}; SUITE must be gymnax, brax or craftax")


class _Later(ModuleType):
    """In the place of a module, which is imported when something of it is used first."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def plotting_later() -> Iterator[None]:
    """While simulators are imported, what they only draw with is not: that would take longer than all the rest."""
    later = [_Later(name) for name in ("matplotlib.pyplot", "seaborn") if name not in sys.modules]
    sys.modules.update((module.__name__, module) for module in later)
    try:
        yield
    finally:
        for module in later:
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]


class Discrete(NamedTuple):
    """The actions 0 ... n-1."""

    n: int

    def sample(self, key: jax.Array) -> jax.Array:
        """int32[], uniform."""
        return jax.random.randint(key, (), 0, self.n)


class Box(NamedTuple):
    """Action vectors with all elements between ``low`` and ``high``."""

    low: float
    high: float
    shape: tuple[int, ...]

    def sample(self, key: jax.Array) -> jax.Array:
        """float32[*shape], uniform."""
        return jax.random.uniform(key, self.shape, minval=self.low, maxval=self.high)


class RestartingState(NamedTuple):
    """The simulator's state, and the state and observation in which the next episode will start."""

    env_state: Any
    first_state: Any
    first_obs: jax.Array


class Restarting:
    """Starts each episode of a simulator in the state in which its first one started: computing another costs more.

    ``wrappers.FreshStarts`` replaces that state now and then where it matters.
    """

    def __init__(self, env: Any) -> None:
        self._env = env

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, RestartingState]:
        """As described at the top of the file."""
        obs, state = self._env.reset(key, params)
        return obs, RestartingState(state, state, obs)

    def step(self, key: jax.Array, state: RestartingState, action: jax.Array, params: Any) -> tuple[Any, ...]:
        """As described at the top of the file."""
        obs, env_state, reward, terminated, truncated = self._env.step(key, state.env_state, action, params)
        start, now = (state.first_obs, state.first_state), (obs, env_state)
        ended = terminated | truncated
        next_obs, env_state = jax.tree.map(lambda first, goes_on: jnp.where(ended, first, goes_on), start, now)
        state = state._replace(env_state=env_state)
        return next_obs, state, reward, terminated, truncated, {"final_observation": obs}


class BraxState(NamedTuple):
    """Brax's own state, and the number of steps of the running episode."""

    brax: Any
    time: jax.Array


class Brax:
    """A robot of Brax (Freeman et al. 2021), without resets; ``pipeline`` is spring, positional, generalized or mjx.

    Actions are torques, float32[A] in [-1, 1]. A fall terminates, the 1000th step truncates.
    """

    max_steps = 1000

    def __init__(self, name: str, pipeline: str) -> None:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():  # it announces what it lacks
            warnings.simplefilter("ignore")
            from brax import envs

            self._env = envs.get_environment(name, backend=pipeline)

    def action_space(self, params: Any) -> Box:
        """All torques between -1 and 1."""
        return Box(-1.0, 1.0, (self._env.action_size,))

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, BraxState]:
        """Observation and state of a new episode."""
        state = self._env.reset(key)
        return state.obs, BraxState(state, jnp.int32(0))

    def step(self, key: jax.Array, state: BraxState, action: jax.Array, params: Any) -> tuple[Any, ...]:
        """(obs, state, reward, terminated, truncated); the physics is deterministic."""
        after, time = self._env.step(state.brax, action), state.time + 1
        terminated = after.done.astype(bool)
        return after.obs, BraxState(after, time), after.reward, terminated, (time >= self.max_steps) & ~terminated


class Craftax:
    """Craftax or Craftax-Classic (Matthews et al. 2024) with symbolic observations, without resets."""

    def __init__(self, name: str) -> None:
        with plotting_later():
            from craftax.craftax_env import make_craftax_env_from_name

        self._env = make_craftax_env_from_name(name, auto_reset=False)
        self.default_params = self._env.default_params

    def action_space(self, params: Any) -> Discrete:
        """All actions are always allowed; those that make no sense do nothing."""
        return Discrete(int(self._env.action_space(params).n))

    def reset(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        """Observation and state of a new episode, in a new world."""
        obs, state = self._env.reset(key, params)
        return obs, state

    def step(self, key: jax.Array, state: Any, action: jax.Array, params: Any) -> tuple[Any, ...]:
        """(obs, state, reward, terminated, truncated)."""
        obs, after, reward, done, _ = self._env.step(key, state, action, params)
        # The simulator ends an episode for one reason; it was the time limit if it would not have ended without it.
        endless = params.replace(max_timesteps=jnp.iinfo(jnp.int32).max)
        terminated = self._env.is_terminal(after, endless)
        return obs, after, reward, terminated, done & ~terminated
