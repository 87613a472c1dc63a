"""Writes and reads the trajectories that are learned from.

    python -m discoenv.domains.OfflineRL.recordings

writes ``recordings/<dataset>.npz`` of every dataset, and their hashes, with the behaviours of ``behaviours.py``. The
files are part of the domain; the command makes the same arrays again.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
import typer
from rich.progress import track

from discoenv.data.generated import WrongData

from . import worlds
from .behaviours import Behaviour, Press, PushTo, SwingUp, Walk
from .worlds import Floats, World

FOLDER: Final = Path(__file__).parent / "recordings"
HASHES: Final = FOLDER / "sha256.json"
#: What an action's element of 1 is in a file.
SCALE: Final = 100


class Quality(NamedTuple):
    """How trajectories were recorded.

    Attributes:
        behaviour: makes the behaviour, given the world and a number of copies.
        noise: half of the range of what is added to each element of an action.
        aimless: chance that a copy begins, at a step, to repeat a random action for ``lasting`` steps.
        lasting: see above.
        trajectories, steps: how many, and how long each.
    """

    behaviour: Callable[[Any, int], Behaviour]
    noise: float
    aimless: float
    lasting: int
    trajectories: int
    steps: int


#: By dataset: the name of its world and how it was recorded.
QUALITIES: Final = {
    "Maze/medium-navigate": ("maze_medium", Quality(lambda w, n: Walk(w, n, 4), 0.6, 0.02, 4, 2000, 20)),
    "Maze/medium-noisy": ("maze_medium", Quality(lambda w, n: Walk(w, n, 4), 1.0, 0.08, 5, 2000, 20)),
    "Maze/teleport-navigate": ("maze_teleport", Quality(lambda w, n: Walk(w, n, 5), 0.6, 0.02, 4, 2000, 20)),
    "Maze/teleport-noisy": ("maze_teleport", Quality(lambda w, n: Walk(w, n, 4), 1.0, 0.08, 5, 2000, 20)),
    "Push/single-play": ("push_single", Quality(PushTo, 0.5, 0.02, 3, 2000, 20)),
    "Push/single-noisy": ("push_single", Quality(PushTo, 0.9, 0.05, 4, 2000, 20)),
    "Lights/play": ("lights", Quality(Press, 0.5, 0.05, 3, 2000, 20)),
    "Lights/noisy": ("lights", Quality(Press, 1.0, 0.1, 3, 2000, 20)),
    "Pendulum/mixed": ("pendulum", Quality(lambda w, n: SwingUp(w, n, (0.0, 0.3, 0.6, 0.8)), 0.5, 0.05, 5, 800, 50)),
    "Pendulum/noisy": ("pendulum", Quality(lambda w, n: SwingUp(w, n, (0.4, 0.6)), 1.5, 0.15, 6, 800, 50)),
}


class Recording(NamedTuple):
    """Trajectories of M copies of a world over T steps.

    Attributes:
        observations: float32[M, T + 1, D], before each step and after the last.
        actions: float32[M, T, A], from -1 to 1.
    """

    observations: np.ndarray[Any, np.dtype[np.float32]]
    actions: np.ndarray[Any, np.dtype[np.float32]]


def record(world: World, quality: Quality, draw: np.random.Generator) -> tuple[Floats, np.ndarray[Any, Any]]:
    """Let a behaviour act.

    Returns:
        observations float16[M, T + 1, D], and actions int8[M, T, A] in units of 1 / ``SCALE``.
    """
    count = quality.trajectories
    state = anywhere(world, count, draw)
    behaviour = quality.behaviour(world, count)
    observations, actions = [world.observe(state)], []
    aimless, random = np.zeros(count, int), np.zeros((count, world.action_dim))
    for _ in range(quality.steps):
        behaviour.retarget(state, draw)
        begins = (draw.random(count) < quality.aimless) & (aimless == 0)
        aimless = np.where(begins, quality.lasting, np.maximum(aimless - 1, 0))
        random = np.where(begins[:, None], draw.uniform(-1.0, 1.0, random.shape), random)
        intended = behaviour.act(state) + draw.uniform(-quality.noise, quality.noise, random.shape)
        action = np.clip(np.where(aimless[:, None] > 0, random, intended), -1.0, 1.0)
        whole = np.round(action * SCALE)
        state = world.step(state, whole / SCALE, draw)
        observations.append(world.observe(state))
        actions.append(whole)
    return np.stack(observations, axis=1).astype(np.float16), np.stack(actions, axis=1).astype(np.int8)


def anywhere(world: World, count: int, draw: np.random.Generator) -> Floats:
    """States in which trajectories begin: all over the world."""
    match world:
        case worlds.Maze():
            return world.at(draw.integers(len(world.cells), size=count), draw)
        case worlds.Push() | worlds.Lights():
            return world.anywhere(count, draw)
    hanging = world.start(np.zeros(1), count, draw)
    free = np.stack([draw.uniform(-np.pi, np.pi, count), draw.uniform(-4.0, 4.0, count)], axis=1)
    return np.where(draw.random((count, 1)) < 0.5, hanging, free)


def file(dataset: str) -> Path:
    """Where a dataset's trajectories are."""
    return FOLDER / f"{dataset.replace('/', '-')}.npz"


def read(dataset: str) -> Recording:
    """The trajectories of a dataset.

    Raises:
        WrongData: the file is not the one that belongs to the domain.
    """
    content = file(dataset).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != json.loads(HASHES.read_text(encoding="utf-8"))[dataset]:
        raise WrongData(f"{file(dataset)} has another hash than {HASHES.name} names: install discoenv again")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return Recording(arrays["observations"].astype(np.float32), arrays["actions"].astype(np.float32) / SCALE)


def make(dataset: str) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a dataset's file, made anew."""
    name, quality = QUALITIES[dataset]
    seed = int.from_bytes(hashlib.sha256(f"recordings of {dataset}".encode()).digest()[:16], "big")
    draw = np.random.Generator(np.random.PCG64(seed))
    observations, actions = record(worlds.make(name), quality, draw)
    return {"observations": observations, "actions": actions}


def main(folder: Annotated[Path, typer.Option(help="Where the files go.")] = FOLDER) -> None:
    """Write the trajectories of all datasets."""
    hashes = {}
    for dataset in track(QUALITIES, description="recordings"):
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **make(dataset))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file(dataset).name).write_bytes(content.getvalue())
        hashes[dataset] = hashlib.sha256(content.getvalue()).hexdigest()
    (folder / HASHES.name).write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
