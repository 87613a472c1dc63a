"""The ten sets of OGBench (Park et al. 2025, OGBench: benchmarking offline goal-conditioned RL), for scale ``full``.

    python -m discoenv.domains.OfflineRL.published cube-single-play

fetches the recordings of one set into the cache. Exams read that file, and never the network. Their worlds are those of
the package ``ogbench``, stepped by MuJoCo in the examiner's process; it is imported when the first exam needs it. Each
exam is the first single task of its world: what is drawn from the exam's seed is how starts and goals differ from it.
"""

from __future__ import annotations

import functools
import importlib
import shutil
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
import typer

from discoenv.data.downloads import DatasetUnavailable, cache_root
from discoenv.data.generated import WrongData

from .evaluation import Act, Played
from .recordings import Recording
from .worlds import Booleans, Floats

#: Sets by the names of datasets: each is recorded in the world of the same name.
SETS: Final = (
    "antmaze-large-navigate",
    "antmaze-giant-navigate",
    "antsoccer-arena-navigate",
    "humanoidmaze-medium-navigate",
    "humanoidmaze-large-navigate",
    "cube-single-play",
    "cube-double-play",
    "scene-play",
    "puzzle-3x3-play",
    "puzzle-4x4-play",
)
HOST: Final = "https://rail.eecs.berkeley.edu/datasets/ogbench"
PACKAGE: Final = "ogbench==1.2.2"
_TIMEOUT_S: Final = 60.0


class Arrays(NamedTuple):
    """One set: M recordings of T steps.

    Attributes:
        recording: observations and actions.
        info: what rewards follow from, float[M, T, ...] at each step's end: "qpos", and "button_states" where there are
            buttons.
    """

    recording: Recording
    info: Mapping[str, np.ndarray[Any, Any]]


def split(arrays: Mapping[str, Any], name: str) -> Arrays:
    """Recordings of a set's flat arrays, in which "terminals" marks the last observation of each.

    Raises:
        WrongData: an array is missing or has another length, numbers are not finite, or recordings differ in length.
    """
    needed = ("observations", "actions", "terminals", "qpos")
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise WrongData(f"{name} lacks {', '.join(missing)}; it has {', '.join(sorted(arrays)) or 'nothing'}")
    keys = [*needed, *(key for key in ("button_states",) if key in arrays)]
    columns = {key: np.asarray(arrays[key]) for key in keys}
    total = len(columns["observations"])
    for key, column in columns.items():
        if len(column) != total or column.dtype.kind not in "biuf" or not np.isfinite(column).all():
            raise WrongData(f"{name}: {key} is {column.dtype} of shape {column.shape}; expected {total} finite rows")
    ends = np.flatnonzero(columns["terminals"]) + 1
    lengths = np.diff(ends, prepend=0)
    if not len(ends) or ends[-1] != total or (lengths != lengths[0]).any() or lengths[0] < 2:
        raise WrongData(f"{name}: its recordings are {sorted(set(lengths.tolist()))} rows long; expected one length")
    whole = {key: column.reshape(len(ends), lengths[0], *column.shape[1:]) for key, column in columns.items()}
    recording = Recording(whole["observations"].astype(np.float32), whole["actions"][:, :-1].astype(np.float32))
    return Arrays(recording, {key: whole[key][:, 1:] for key in keys[3:]})


def place(name: str, root: Path | None = None) -> Path:
    """Where a set lies.

    Raises:
        ValueError: there is no such set.
    """
    if name not in SETS:
        raise ValueError(f"there is no set {name!r}; there are {', '.join(SETS)}")
    return (root or cache_root() / "OfflineRL") / f"{name}-v0.npz"


def read(name: str, root: Path | None = None) -> Arrays:
    """A set that was fetched.

    Raises:
        DatasetUnavailable: it was not, or the file is damaged.
    """
    path = place(name, root)
    command = f"python -m discoenv.domains.OfflineRL.published {name}"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return split({key: arrays[key] for key in arrays.files}, path.name)
    except FileNotFoundError:
        raise DatasetUnavailable(
            f"the recordings of {name} have not been fetched: {path} is missing. They are part of OGBench (MIT "
            f"licence), some hundred megabytes. Run `{command}`"
        ) from None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, WrongData) as error:
        raise DatasetUnavailable(f"{path} is damaged ({error}): remove it, and run `{command}`") from error


def fetch(name: str, root: Path | None = None, host: str = HOST) -> Path:
    """Fetch a set, and look whether it is one.

    Raises:
        DatasetUnavailable: the host cannot be reached.
        WrongData: what it sent is no set.
    """
    path = place(name, root)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    address = f"{host}/{path.name}"
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer, partial.open("wb") as file:  # noqa: S310
            shutil.copyfileobj(answer, file)
    except (OSError, ValueError) as error:
        partial.unlink(missing_ok=True)
        raise DatasetUnavailable(
            f"{address} could not be fetched: {error}. If you have the file, put it at {path}"
        ) from error
    try:
        with np.load(partial, allow_pickle=False) as arrays:
            split({key: arrays[key] for key in arrays.files}, address)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        partial.unlink()
        raise WrongData(f"{address} is no set of recordings: {error}") from error
    partial.replace(path)
    return path


@functools.cache
def environments(name: str, count: int) -> list[Any]:
    """Copies of the world of a set with its first single task, Gymnasium environments.

    Raises:
        DatasetUnavailable: ``ogbench`` is not installed.
    """
    try:
        gymnasium = importlib.import_module("gymnasium")
        importlib.import_module("ogbench")  # which registers its worlds
    except ImportError as error:
        raise DatasetUnavailable(
            f"the worlds of OGBench need the package ogbench, which could not be imported ({error}): "
            f"pip install '{PACKAGE}'"
        ) from error
    world = "-".join(name.split("-")[:-1])
    return [gymnasium.make(f"{world}-singletask-task1-v0") for _ in range(count)]


class Published:
    """Recordings and episodes of one set, with what examiners ask of both; see ``simulated.Simulated``."""

    def __init__(self, name: str, config: Mapping[str, Any], root: Path | None = None) -> None:
        self._name, self._config, self._root = name, config, root
        self._arrays: Arrays | None = None

    @property
    def arrays(self) -> Arrays:
        """The set, the first TRAJECTORIES recordings of it; null: all."""
        if self._arrays is None:
            found, most = read(self._name, self._root), self._config["TRAJECTORIES"]
            recording = Recording(*(part[:most] for part in found.recording))
            self._arrays = Arrays(recording, {key: part[:most] for key, part in found.info.items()})
        return self._arrays

    @property
    def recording(self) -> Recording:
        """As of ``simulated.Simulated``."""
        return self.arrays.recording

    @property
    def observation_dim(self) -> int:
        """Length of an observation."""
        length: int = self.recording.observations.shape[-1]
        return length

    @property
    def action_dim(self) -> int:
        """Length of an action."""
        length: int = self.recording.actions.shape[-1]
        return length

    def goal(self, draw: np.random.Generator) -> Floats:
        """A seed of the world's chance: its tasks are fixed but for that."""
        return draw.integers(2**31, size=1).astype(np.float64)

    def rewards(self, goal: Floats) -> tuple[Floats, Booleans]:
        """Rewards float32[M, T] and terminals bool[M, T], as OGBench makes them of its recordings."""
        world = environments(self._name, 1)[0]
        relabel = importlib.import_module("ogbench.relabel_utils")
        shape = self.recording.actions.shape[:2]
        flat = {key: part.reshape(-1, *part.shape[2:]) for key, part in self.arrays.info.items()}
        _seed(world, int(goal[0]))
        relabel.relabel_dataset(self._name, world, flat)
        return flat["rewards"].reshape(shape), flat["masks"].reshape(shape) == 0

    def episodes(self, act: Act, goal: Floats, starts: np.random.Generator, chance: np.random.Generator) -> Played:
        """EVALUATION_EPISODES episodes side by side, a world each; a finished one stands still."""
        count, steps = self._config["EVALUATION_EPISODES"], self._config["EVALUATION_STEPS"]
        copies = environments(self._name, count)
        seeds = starts.integers(2**31, size=count)
        obs = np.stack([_seed(world, int(one)) for world, one in zip(copies, seeds, strict=True)]).astype(np.float32)
        success, over, lengths, seen = np.zeros(count, bool), np.zeros(count, bool), np.full(count, steps), [obs]
        for step in range(steps):
            if over.all():
                break
            actions = np.clip(act(obs), -1.0, 1.0).astype(np.float32)
            obs = obs.copy()
            for row in np.flatnonzero(~over):
                obs[row], _, terminated, truncated, info = copies[row].step(actions[row])
                success[row] = bool(info.get("success", terminated))
                over[row] = success[row] or truncated
                lengths[row] = step + 1 if success[row] else steps
            seen.append(obs)
        return Played(100.0 * success, success, lengths, np.stack(seen, axis=1))


def _seed(world: Any, seed: int) -> Any:
    """Begin an episode; where the world draws from NumPy's global generator, that is seeded, too."""
    before = np.random.get_state()  # OGBench draws from it
    np.random.seed(seed)
    obs, _ = world.reset(seed=seed)
    np.random.set_state(before)
    return obs


def main(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(SETS)}.")],
    folder: Annotated[Path | None, typer.Option(help="Where it goes; by default the cache.")] = None,
) -> None:
    """Fetch a set."""
    print(f"{fetch(name, folder)}: written")


if __name__ == "__main__":
    typer.run(main)
