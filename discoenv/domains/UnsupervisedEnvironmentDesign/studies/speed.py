"""Times the maze beside the one of jaxued (Coward et al. 2024), in the same mazes, with the same actions.

    pip install --no-deps --target FOLDER jaxued==0.0.1 chex toolz absl-py
    PYTHONPATH=FOLDER python -m discoenv.domains.UnsupervisedEnvironmentDesign.studies.speed --write

Both play by the rules of Minigrid here: turn left, turn right, go on, a view of 5 × 5 cells ahead, and when an episode
ends the same maze starts again. That all episodes end in the same steps is checked first.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer

from discoenv.errors import PackageMissing
from discoenv.kits.worlds.grids import Grid, GridLevel
from discoenv.machine import atomic
from discoenv.machine.sections import replace_section

RESULTS = Path(__file__).resolve().parents[1] / "results.md"
MARKS = ("<!-- speed: written by studies/speed.py -->", "<!-- /speed -->")
SIZE, LIMIT = 13, 250

Program = Callable[[Any], Any]


def restarted(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step of many copies after which those that have ended are as at their start."""

    def stepped(first: Any, carry: Any, action: jax.Array) -> Any:
        obs, state, reward, ended = step(carry[1], action)

        def choose(start: jax.Array, now: jax.Array) -> jax.Array:
            return jnp.where(ended.reshape(-1, *[1] * (now.ndim - 1)), start, now)

        carry = jax.tree.map(choose, first, (obs, state))
        seen = sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in jax.tree.leaves(carry[0]))
        return carry, (reward, ended, seen)  # what is seen is used, so that it has to be computed

    return stepped


def _program(stepped: Callable[..., Any], first: Any) -> Program:
    program: Program = jax.jit(
        lambda actions: jax.lax.scan(lambda carry, action: stepped(first, carry, action), first, actions)[1]
    )
    return program


def ours(levels: GridLevel) -> Program:
    """All steps in our maze, a program of the actions int32[T, N]."""
    env = Grid(SIZE, LIMIT, density=0.5, lava=0.0, item="none", turning=True)
    boards = jax.vmap(env.build)(levels)
    first = jax.vmap(env.start)(boards)

    def step(state: Any, action: jax.Array) -> Any:
        return jax.vmap(env.step)(boards, state, action)[:4]

    stepped = restarted(step)
    return _program(stepped, first)


def theirs(levels: GridLevel) -> Program:
    """The same in the maze of jaxued.

    Raises:
        PackageMissing: it is not installed.
    """
    try:
        jaxued = importlib.import_module("jaxued.environments.maze")
    except ModuleNotFoundError as error:
        raise PackageMissing(
            f"the comparison needs {error.name}: pip install --no-deps --target FOLDER jaxued==0.0.1 chex toolz "
            "absl-py, and run it with PYTHONPATH=FOLDER"
        ) from None
    env = jaxued.Maze(max_height=SIZE, max_width=SIZE)
    params = env.default_params.replace(max_steps_in_episode=LIMIT)
    count = len(levels.start)

    def place(number: jax.Array) -> jax.Array:
        return jnp.stack([number % SIZE, number // SIZE], axis=-1).astype(jnp.uint32)

    used = jnp.arange(SIZE**2)[None] == jnp.stack([levels.start, levels.goal])[..., None]
    walls = (levels.cells != 0) & ~used.any(axis=0).reshape(count, SIZE, SIZE)
    up = jnp.full(count, 3, jnp.uint8)
    size = jnp.full(count, SIZE)
    mazes = jaxued.Level(walls, place(levels.goal), place(levels.start), up, size, size)
    key = jax.random.key(0)
    first = jax.vmap(lambda maze: env.reset_env_to_level(key, maze, params))(mazes)

    def step(state: Any, action: jax.Array) -> Any:
        return jax.vmap(lambda s, a: env.step_env(key, s, a, params)[:4])(state, action)

    stepped = restarted(step)
    # Dtypes of their first state are not those of later ones.
    carry = jax.eval_shape(lambda carry, a: stepped(first, carry, a)[0], first, jnp.zeros(count, jnp.int32))
    first = jax.tree.map(lambda x, like: jnp.asarray(x).astype(like.dtype), first, carry)
    return _program(stepped, first)


def timed(program: Program, actions: jax.Array) -> float:
    """CPU seconds of one run."""
    begin = time.process_time()
    jax.block_until_ready(program(actions))
    return time.process_time() - begin


def main(
    copies: Annotated[int, typer.Option(min=1, help="Mazes that are played in parallel.")] = 256,
    steps: Annotated[int, typer.Option(min=1, help="Steps in each.")] = 2000,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each; the median counts.")] = 7,
    write: Annotated[bool, typer.Option("--write", help="Put the numbers into the domain's results.md.")] = False,
) -> None:
    """Print steps per CPU second of both, in turn, and their ratio."""
    env = Grid(SIZE, LIMIT, density=0.5, lava=0.0, item="none", turning=True)
    levels = jax.jit(jax.vmap(env.sample))(jax.random.split(jax.random.key(0), copies))
    actions = jax.random.choice(jax.random.key(1), jnp.array([0, 1, 2, 2]), (steps, copies))
    programs = {"ours": ours(levels), "jaxued": theirs(levels)}
    ends = {name: np.asarray(program(actions)[1]) for name, program in programs.items()}
    if not np.array_equal(ends["ours"], ends["jaxued"]):
        raise RuntimeError(f"episodes end in other steps: {ends['ours'].sum()} and {ends['jaxued'].sum()} of them")
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(repeats):
        for name, program in programs.items():
            times[name].append(timed(program, actions))
    speed = {name: copies * steps / float(np.median(seconds)) for name, seconds in times.items()}
    found = (
        f"{copies} mazes of {SIZE} × {SIZE} cells, {steps} steps, median of {repeats} runs in turn; all "
        f"{int(ends['ours'].sum()):,} episodes end in the same steps.\n\n"
        "| maze | steps per CPU second | |\n|---|---|---|\n"
        + "".join(f"| {name} | {each:,.0f} | {each / speed['jaxued']:.2f}× |\n" for name, each in speed.items())
    )
    if write:
        atomic.write_text(RESULTS, replace_section(RESULTS.read_text(encoding="utf-8"), *MARKS, found))
    print(found)


if __name__ == "__main__":
    typer.run(main)
