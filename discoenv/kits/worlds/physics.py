"""Tasks of Kinetix (Matthews et al. 2025) as a world: bodies, joints, motors and thrusters in two dimensions.

The green shape must touch the blue one, and no red one. Needs the package ``kinetix-env``, and time to compile.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

#: Sizes by the first letters that Kinetix calls them by.
SIZES = ("s", "m", "l")


def _kinetix(module: str) -> Any:
    """A module of Kinetix.

    Raises:
        ModuleNotFoundError: the package, or one that it needs, is not installed; the message has the command.
    """
    try:
        return importlib.import_module(f"kinetix.{module}")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the worlds of Kinetix need {error.name}, which is not installed: pip install 'kinetix-env>=3,<4'",
            name=error.name,
        ) from None


class PhysicsState(NamedTuple):
    """The simulator's state, and the time."""

    simulation: Any
    time: jax.Array


class Physics:
    """A world of Kinetix; a level is its ``EnvState``, the arrangement that an episode starts from.

    Actions are discrete: each motor's colour forwards or backwards, each thruster's colour, or nothing. Observations
    are Kinetix's flat symbolic ones.

    Args:
        size: ``s``, ``m`` or ``l``: how many shapes and joints a level has.
        max_steps: steps of an episode.
    """

    def __init__(self, size: str, max_steps: int) -> None:
        if size not in SIZES:
            raise ValueError(f"SIZE is {size!r}; of kinetix it must be one of {', '.join(SIZES)}")
        kinetix = _kinetix("environment")
        self.size, self.max_steps = size, max_steps
        self._static = kinetix.static_env_params_from_size(size)
        self._params = kinetix.EnvParams().replace(max_timesteps=max_steps, dense_reward_scale=0.0)
        ued = kinetix.UEDParams()
        self._env = kinetix.make_kinetix_env(
            kinetix.ActionType.DISCRETE,
            kinetix.ObservationType.SYMBOLIC_FLAT,
            None,
            self._params,
            self._static,
            auto_reset=False,
        )
        self._sample = kinetix.sample_kinetix_level
        self._ued = ued
        self._mutate = kinetix.make_mutate_env(self._static, self._params, ued)
        self.num_actions = int(self._env.action_space(self._params).n)
        self.obs_dim = int(self._env.observation_space(self._params).shape[0])

    def sample(self, key: jax.Array) -> Any:
        """A random arrangement of shapes, joints and thrusters."""
        return self._sample(key, self._env.physics_engine, self._params, self._static, self._ued)

    def mutate(self, key: jax.Array, level: Any) -> Any:
        """One edit: a shape, joint or thruster more or less, moved, turned, resized, or with another role."""
        edited = self._mutate(key, level)
        return jax.tree.map(lambda new, old: jnp.asarray(new, jnp.asarray(old).dtype), edited, level)

    def build(self, level: Any) -> Any:
        """The level, with its clock at zero."""
        return level.replace(timestep=0 * level.timestep, last_distance=0 * level.last_distance - 1.0)

    def level(self, fields: Mapping[str, Any]) -> Any:
        """Levels from the arrays of their leaves by name, see :func:`fields_of`."""
        structure = jax.tree.structure(jax.eval_shape(self.sample, jax.random.key(0)))
        return jax.tree.unflatten(structure, [fields[name] for name in sorted(fields)])

    def start(self, board: Any) -> tuple[jax.Array, PhysicsState]:
        """The first observation and state."""
        return self._obs(board), PhysicsState(board, jnp.int32(0))

    def step(self, board: Any, state: PhysicsState, action: jax.Array) -> tuple[Any, ...]:
        """(obs, state, reward, ended, solved); the physics is deterministic."""
        del board
        stepped = self._env.step_env(jax.random.key(0), state.simulation, action, self._params)
        _, simulation, _, done, info = stepped
        time = state.time + 1
        solved = info["GoalR"].astype(bool)
        like = jax.tree.map(lambda new, old: jnp.asarray(new, jnp.asarray(old).dtype), simulation, state.simulation)
        reward = jnp.where(solved, 1.0 - 0.5 * time / self.max_steps, 0.0)
        return self._obs(like), PhysicsState(like, time), reward, done | solved | (time >= self.max_steps), solved

    def place(self, state: PhysicsState) -> jax.Array:
        """Height and column of the first circle, float32[2], which is often the green one."""
        return state.simulation.circle.position[0, ::-1].astype(jnp.float32)

    def _obs(self, simulation: Any) -> jax.Array:
        return jnp.nan_to_num(self._env.get_obs(simulation).reshape(-1).astype(jnp.float32))


def fields_of(levels: Any) -> dict[str, Any]:
    """The arrays of levels by names that sort in the order of the leaves."""
    return {f"leaf_{number:03}": leaf for number, leaf in enumerate(jax.tree.leaves(levels))}


def published_levels(size: str) -> Any:
    """The levels of a size that come with Kinetix, drawn by its authors: 10, 24 or 40 of them, stacked by name."""
    kinetix, saving = _kinetix("environment"), _kinetix("util.saving")
    folder = Path(kinetix.__file__).parents[1] / "levels" / size
    names = [f"{size}/{path.name}" for path in sorted(folder.glob("*.json"))]
    levels, _ = saving.load_evaluation_levels(names, kinetix.static_env_params_from_size(size))
    return levels
