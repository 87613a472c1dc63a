"""Environments of the package gymnax for meta-test, with the methods of :class:`~.gridworld.GridWorld`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp

from .modes import AgentDesign, Mode
from .optimisers import Adam


class _Entry(NamedTuple):
    """Name in gymnax, widths of the agents' layers, and lifetime in updates."""

    name: str
    hidden: tuple[int, ...]
    lifetime: int


#: Environments by name, with what agents have there in the published code.
EXTERNAL: Final = {
    "cartpole": _Entry("CartPole-v1", (64, 64), 1000),
    "acrobot": _Entry("Acrobot-v1", (64, 64), 1000),
    "mountain_car": _Entry("MountainCar-v0", (64, 64), 1000),
    "asterix": _Entry("Asterix-MinAtar", (256, 256), 100_000),
    "breakout": _Entry("Breakout-MinAtar", (256, 256), 100_000),
    "freeway": _Entry("Freeway-MinAtar", (256, 256), 100_000),
    "space_invaders": _Entry("SpaceInvaders-MinAtar", (256, 256), 100_000),
    "catch": _Entry("Catch-bsuite", (64, 64), 100),
    "deep_sea": _Entry("DeepSea-bsuite", (64, 64), 100),
    "discounting_chain": _Entry("DiscountingChain-bsuite", (64, 64), 100),
}


class _States(NamedTuple):
    """Of W episodes, and what agents see of them."""

    env: Any
    observations: jax.Array


@dataclass(frozen=True)
class GymnaxWorld:
    """An environment of gymnax, whose level is empty.

    Attributes:
        name: in gymnax.
    """

    name: str

    @cached_property
    def _made(self) -> tuple[Any, Any]:
        try:
            gymnax = importlib.import_module("gymnax")
        except ImportError as error:
            raise ImportError(
                f"{self.name} needs the package gymnax: pip install gymnax six, or leave it out"
            ) from error
        env, params = gymnax.make(self.name)
        return env, params

    @property
    def num_actions(self) -> int:
        """Number of actions."""
        env, params = self._made
        return int(env.action_space(params).n)

    @property
    def observation_size(self) -> int:
        """Length of an observation as a vector."""
        env, params = self._made
        size = 1
        for length in env.observation_space(params).shape:
            size *= length
        return size

    @property
    def max_steps(self) -> int:
        """Length of the longest episodes."""
        return int(self._made[1].max_steps_in_episode)

    def reset(self, key: jax.Array, level: Any, workers: int) -> _States:
        """As of grid worlds."""
        env, params = self._made
        observations, states = jax.vmap(env.reset, (0, None))(jax.random.split(key, workers), params)
        return _States(states, observations)

    def step(
        self, key: jax.Array, states: _States, actions: jax.Array, level: Any
    ) -> tuple[_States, jax.Array, jax.Array]:
        """As of grid worlds; time limits are ends of episodes too."""
        env, params = self._made
        keys = jax.random.split(key, len(actions))
        observations, after, rewards, terminated, truncated, _ = jax.vmap(env.step, (0, 0, 0, None))(
            keys, states.env, actions, params
        )
        return _States(after, observations), rewards, terminated | truncated

    def observe(self, states: _States, level: Any) -> jax.Array:
        """Observations as vectors, ``[W, observation_size]``."""
        flat = states.observations.reshape(len(states.observations), -1)
        return flat.astype(jnp.result_type(float))


def external_mode(name: str) -> Mode:
    """An environment of :data:`EXTERNAL` as a mode with one level.

    Raises:
        KeyError: there is none of that name.
        ImportError: gymnax is not installed.
    """
    entry = EXTERNAL[name]
    world, adam = GymnaxWorld(entry.name), Adam(5e-4)
    agent = AgentDesign(entry.hidden, adam, adam, adam)
    return Mode(name, world, lambda _: (), (entry.lifetime, entry.lifetime), world.max_steps, agent)
