"""A robot of Brax whose joints belong to several agents, after MABrax (Rutherford et al. 2024) and MaMuJoCo (Peng et
al. 2021). Torques are clipped to [-1, 1]. Reward: the robot's. A fall terminates, ``max_steps`` truncate. Success: the
robot still stands at the end.

Each agent sees the whole robot and, one-hot, which of the agents it is.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp

from .teams import Observation, World

#: The robot, and how many joints each agent has, in Brax's order.
SPLITS: Final = {
    "ant_4x2": ("ant", 4, 2),
    "halfcheetah_6x1": ("halfcheetah", 6, 1),
    "hopper_3x1": ("hopper", 3, 1),
    "walker2d_2x3": ("walker2d", 2, 3),
    "humanoid_17x1": ("humanoid", 17, 1),
}


def make(name: str, options: Mapping[str, Any]) -> World:
    """One of ``SPLITS``; ``options`` are arguments of :class:`Robot`."""
    if name not in SPLITS:
        raise ValueError(f"there is no team {name!r} of a robot; ENV_NAME must be one of {', '.join(SPLITS)}")
    return Robot(*SPLITS[name], **options)


class Motion(NamedTuple):
    """Brax's own state, and the number of steps of the episode."""

    brax: Any
    time: jax.Array


class Robot:
    """The robot ``name`` of Brax, with ``agents`` agents of ``joints`` joints each; ``pipeline`` is Brax's physics."""

    continuous = True

    def __init__(self, name: str, agents: int, joints: int, pipeline: str = "spring", max_steps: int = 1000) -> None:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():  # it announces what it lacks
            warnings.simplefilter("ignore")
            from brax import envs

            self._env = envs.get_environment(name, backend=pipeline)
        if self._env.action_size != agents * joints:
            raise ValueError(f"the robot {name} has {self._env.action_size} joints, not {agents} times {joints}")
        self.num_agents, self.num_actions, self.max_steps = agents, joints, max_steps

    def reset(self, key: jax.Array) -> tuple[Observation, Motion]:
        """A new episode; see :class:`.teams.World`."""
        state = self._env.reset(key)
        return self._observe(state.obs), Motion(state, jnp.int32(0))

    def step(self, key: jax.Array, state: Motion, action: jax.Array) -> tuple[Any, ...]:
        """One step; see :class:`.teams.World`."""
        del key
        after = self._env.step(state.brax, jnp.clip(action, -1.0, 1.0).reshape(-1))
        time, terminated = state.time + 1, after.done.astype(bool)
        truncated = (time >= self.max_steps) & ~terminated
        obs = self._observe(after.obs)
        return obs, Motion(after, time), after.reward, terminated, truncated, {"success": truncated}

    def _observe(self, obs: jax.Array) -> Observation:
        agents = self.num_agents
        own = jnp.concatenate([jnp.broadcast_to(obs, (agents, len(obs))), jnp.eye(agents)], axis=-1)
        world = jnp.broadcast_to(obs, (agents, len(obs)))
        return Observation(own, jnp.ones((agents, self.num_actions), bool), jnp.ones(agents, bool), world)

    def scene(self, state: Motion) -> jax.Array:
        """What pictures show; see :class:`.teams.World`."""
        place = state.brax.pipeline_state.x.pos
        return jnp.stack([place[:, 0], place[:, 2], jnp.zeros(len(place)), jnp.ones(len(place))], axis=-1)
