"""The worlds, and the interface that they share. All functions are of one level and one copy; use ``jax.vmap``.

    level = env.sample(key)                 # domain randomisation: a random level, which may be trivial or unsolvable
    level = env.mutate(key, level)          # one small edit, as in ACCEL (Parker-Holder et al. 2022)
    board = env.build(level)                # once per level: makes it valid, and what steps look up
    obs, state = env.start(board)
    obs, state, reward, ended, solved = env.step(board, state, action)
    level = env.level(fields)               # from arrays by name
    place = env.place(state)                # float32[2], row and column of the agent, for pictures

A level is a pytree of arrays of fixed shapes and dtypes: a NamedTuple, but for Kinetix. Dynamics are deterministic. An
episode ends when it is solved, lost, or MAX_STEPS long; ``step`` does not start another one. The only reward is that of
the step that solves: 1 at once, 0.5 if it took MAX_STEPS steps. ``env.obs_dim`` and ``env.num_actions`` are ints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .grids import Grid
from .jumping import Jumping


def make(config: Mapping[str, Any]) -> Any:
    """The world of a configuration: WORLD, MAX_STEPS, and what else that world has.

    Raises:
        ValueError: there is no such world.
        ModuleNotFoundError: WORLD is kinetix, and the package is not installed.
    """
    steps = int(config["MAX_STEPS"])
    match config["WORLD"]:
        case "grid":
            return Grid(
                int(config["SIZE"]),
                steps,
                density=float(config["DENSITY"]),
                lava=float(config["LAVA"]),
                item=config["ITEM"],
                turning=bool(config["TURNING"]),
            )
        case "jumping":
            return Jumping(int(config["SIZE"]), steps)
        case "kinetix":
            from .physics import Physics  # noqa: PLC0415 - needs a package that the others do without

            return Physics(str(config["SIZE"]), steps)
    raise ValueError(f"there is no world {config['WORLD']!r}; WORLD must be grid, jumping or kinetix")
