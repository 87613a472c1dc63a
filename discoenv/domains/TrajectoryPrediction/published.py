"""Published scenes, as DiscoGen uses them: 850 each of Argoverse 2, nuScenes and Waymo, at ten times per second.

    python -m discoenv.domains.TrajectoryPrediction.published Argoverse2

fetches the scenes, a pickle each, reads them without running them (see :mod:`.pickles`), and puts one ``.npz`` of plain
arrays into the cache; ``--folder`` takes pickles that are here already. Exams read that file, and never the network.

The scenes are derived from data with licences of their own: Argoverse 2 (CC BY-NC-SA 4.0), nuScenes (CC BY-NC-SA 4.0,
with terms of use), Waymo Open Dataset (Waymo Dataset License Agreement for Non-Commercial Use). All three are for
non-commercial use; who fetches them has to accept these terms.
"""

from __future__ import annotations

import io
import json
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from discoenv.data.downloads import DatasetUnavailable, cache_root
from discoenv.data.generated import WrongData

from . import pickles
from .roads import Floats
from .scenes import Scenes

#: Where the scenes are, by the names of datasets.
REPOSITORIES: Final = {
    "Argoverse2": "saeedrmd/trajectory-prediction-argoverse2",
    "nuScenes": "saeedrmd/trajectory-prediction-nuscenes",
    "Waymo": "saeedrmd/trajectory-prediction-waymo",
}
LICENCES: Final = {
    "Argoverse2": "CC BY-NC-SA 4.0, https://www.argoverse.org/about.html#terms-of-use",
    "nuScenes": "CC BY-NC-SA 4.0 and terms of use, https://www.nuscenes.org/terms-of-use",
    "Waymo": "Waymo Dataset License Agreement for Non-Commercial Use, https://waymo.com/open/terms",
}
HOST = "https://huggingface.co"
#: Shapes of a scene's arrays, all that is read of a pickle.
SHAPES: Final[Mapping[str, tuple[int, ...]]] = {
    "obj_trajs": (32, 21, 2),
    "obj_trajs_mask": (32, 21),
    "map_polylines": (128, 20, 2),
    "map_polylines_mask": (128, 20),
    "track_index_to_predict": (),
    "center_gt_trajs": (60, 2),
    "center_gt_trajs_mask": (60,),
}
#: Shares of the scenes that are held out, and that are for validation.
_HELD_OUT, _VALIDATION = 0.2, 0.1
#: Degrees by which scenes are turned, and metres by which what was seen is moved, so that none is known by its bytes.
_TURN, _MOVE = 5.0, 0.02
_TIMEOUT_S: Final = 60.0


def scene(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The arrays of one pickle, checked: shapes as in ``SHAPES``, finite numbers.

    Raises:
        WrongData: something is missing or is not what it should be.
    """
    arrays = {}
    for key, shape in SHAPES.items():
        if key not in found:
            raise WrongData(f"{name} has no {key}; it has {', '.join(sorted(found)) or 'nothing'}")
        array = np.asarray(found[key])
        if key == "track_index_to_predict":
            array = array.reshape(-1)[:1].reshape(()) if array.size else array
        if array.shape != shape or array.dtype.kind not in "biuf" or not np.isfinite(array).all():
            raise WrongData(f"{name}: {key} is {array.dtype} of shape {array.shape}; expected finite {shape}")
        arrays[key] = array
    if not 0 <= int(arrays["track_index_to_predict"]) < SHAPES["obj_trajs"][0]:
        raise WrongData(f"{name}: track_index_to_predict is {int(arrays['track_index_to_predict'])}")
    return arrays


def joined(all_scenes: list[dict[str, Any]]) -> Scenes:
    """Scenes of pickles as ours: the focal road user first and at the origin, the others and the lanes by distance."""
    columns = {key: np.stack([each[key] for each in all_scenes]) for key in SHAPES}
    tracks, seen = columns["obj_trajs"].astype(np.float32), columns["obj_trajs_mask"] > 0.5
    lanes, on_map = columns["map_polylines"].astype(np.float32), columns["map_polylines_mask"] > 0.5
    future, known = columns["center_gt_trajs"].astype(np.float32), columns["center_gt_trajs_mask"] > 0.5
    rows, focal = np.arange(len(tracks))[:, None], columns["track_index_to_predict"].astype(np.int64)
    usable = seen[rows[:, 0], focal, -1] & known.any(axis=1)
    origin = tracks[rows[:, 0], focal, -1]
    tracks = (tracks - origin[:, None, None]) * seen[..., None]
    lanes = (lanes - origin[:, None, None]) * on_map[..., None]
    future = (future - origin[:, None]) * known[..., None]
    near = np.where(seen[..., -1], np.linalg.norm(tracks[:, :, -1], axis=-1), 1e5 - seen.sum(axis=-1))
    near[rows[:, 0], focal] = -1.0
    order = np.argsort(near, axis=1, kind="stable")
    far = np.where(on_map, np.linalg.norm(lanes, axis=-1), 1e5).min(axis=-1)
    nearest = np.argsort(far, axis=1, kind="stable")
    found = Scenes(
        tracks[rows, order],
        seen[rows, order],
        lanes[rows, nearest],
        on_map[rows, nearest],
        future,
        known,
        np.zeros(len(tracks), np.int64),
        np.zeros(len(tracks), bool),
        np.arange(len(tracks)),
    )
    return found.take(usable)


def part(
    name: str,
    root: Path | None,
    which: str,
    count: int | None,
    config: Mapping[str, Any],
    halves: np.random.Generator,
    draw: np.random.Generator,
) -> Scenes:
    """Scenes of ``train``, ``validation`` or ``test``: which are which is drawn, and each is changed a little.

    Args:
        name: one of ``REPOSITORIES``.
        root: folder of the ``.npz``; None: the cache.
        which: the part.
        count: most scenes; None: all.
        config: AGENTS and LANES, how many of them are kept.
        halves: draws which scenes are in which part: the same for all three.
        draw: draws how they are changed.

    Raises:
        DatasetUnavailable: they have not been fetched.
    """
    whole = read(name, root)
    order = halves.permutation(len(whole))
    first, second = round(_HELD_OUT * len(whole)), round((_HELD_OUT + _VALIDATION) * len(whole))
    rows = {"test": order[:first], "validation": order[first:second], "train": order[second:]}[which][:count]
    chosen = whole.take(rows)
    angle = np.radians(draw.uniform(-_TURN, _TURN, len(chosen)))
    moved = draw.uniform(-_MOVE, _MOVE, chosen.agents.shape) * chosen.agents_mask[..., None]
    moved -= moved[:, :1, -1:]  # the focal road user stays at the origin
    agents = (chosen.agents + moved * chosen.agents_mask[..., None]).astype(np.float32)
    return Scenes(
        _turned(agents, angle)[:, : config["AGENTS"]],
        chosen.agents_mask[:, : config["AGENTS"]],
        _turned(chosen.lanes, angle)[:, : config["LANES"]],
        chosen.lanes_mask[:, : config["LANES"]],
        _turned(chosen.future, angle),
        chosen.future_mask,
        chosen.kind,
        chosen.decision,
        chosen.world,
    )


def _turned(points: Floats, angle: Floats) -> Floats:
    """Points float32[B, ..., 2], turned by angles [B]."""
    c, s = (function(angle).reshape(-1, *(1,) * (points.ndim - 2)) for function in (np.cos, np.sin))
    x, y = points[..., 0], points[..., 1]
    return np.stack([c * x - s * y, s * x + c * y], axis=-1).astype(np.float32)


# --- the file in the cache --------------------------------------------------------------------------------------------


def place(name: str, root: Path | None = None) -> Path:
    """Where the ``.npz`` of a set lies.

    Raises:
        ValueError: there is no such set.
    """
    if name not in REPOSITORIES:
        raise ValueError(f"there is no set of scenes {name!r}; there are {', '.join(REPOSITORIES)}")
    return (root or cache_root() / "TrajectoryPrediction") / f"{name}.npz"


def read(name: str, root: Path | None = None) -> Scenes:
    """All scenes of a set.

    Raises:
        DatasetUnavailable: they have not been fetched, or the file is damaged.
    """
    path = place(name, root)
    command = f"python -m discoenv.domains.TrajectoryPrediction.published {name}"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            columns = {key: arrays[key] for key in SHAPES}
    except FileNotFoundError:
        raise DatasetUnavailable(
            f"the scenes of {name} have not been fetched: {path} is missing. They are for non-commercial use only "
            f"({LICENCES[name]}). If you accept that, run `{command}`"
        ) from None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DatasetUnavailable(f"{path} is damaged ({error}): remove it, and run `{command}`") from error
    return joined([{key: column[row] for key, column in columns.items()} for row in range(len(columns["obj_trajs"]))])


def convert(name: str, pickled: Iterator[tuple[str, bytes]], root: Path | None = None) -> Path:
    """Write the ``.npz`` of a set from its pickles, by name; none of them is run.

    Raises:
        WrongData: one of them is not what it should be, or there is none.
    """
    found = [scene(pickles.read(data, file), file) for file, data in pickled]
    if not found:
        raise WrongData(f"there are no pickles of {name}")
    path = place(name, root)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    columns = {key: np.stack([each[key] for each in found]) for key in SHAPES}
    np.savez_compressed(file, **columns)  # type: ignore[arg-type]
    partial = path.with_suffix(".partial")
    partial.write_bytes(file.getvalue())
    partial.replace(path)
    return path


def local(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The pickles of a folder, in the order of their names."""
    for path in sorted(folder.glob("**/*.pkl")):
        yield path.name, path.read_bytes()


def remote(name: str, host: str = HOST) -> Iterator[tuple[str, bytes]]:
    """The pickles of a set, fetched one after another.

    Raises:
        DatasetUnavailable: the host cannot be reached, or answers something else.
    """
    repository = REPOSITORIES[name]
    url: str | None = f"{host}/api/datasets/{repository}/tree/main?recursive=true"
    try:
        while url:
            listing, url = _listing(url)
            for entry in sorted(listing, key=lambda each: str(each.get("path"))):
                path = str(entry.get("path"))
                if path.endswith(".pkl"):
                    address = f"{host}/datasets/{repository}/resolve/main/{urllib.parse.quote(path)}"
                    yield path, _get(address)[0]
    except (OSError, ValueError) as error:
        raise DatasetUnavailable(
            f"the scenes of {name} could not be fetched from {host}/datasets/{repository}: {error}. If you have them, "
            "name their folder with --folder"
        ) from error


def _listing(url: str) -> tuple[list[dict[str, Any]], str | None]:
    """The entries of one page, and the URL of the next one."""
    data, link = _get(url)
    entries = json.loads(data)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{url} is no list of files")
    following = link.partition("<")[2].partition(">")[0] if 'rel="next"' in link else None
    return entries, following or None


def _get(url: str) -> tuple[bytes, str]:
    """Content of a URL, at most ``pickles.LARGEST`` bytes, and its header ``Link``."""
    if urllib.parse.urlsplit(url).scheme not in ("https", "http"):
        raise ValueError(f"{url}: only http and https URLs are fetched")
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 (the scheme was checked)
        data: bytes = answer.read(pickles.LARGEST + 1)
        return data, answer.headers.get("Link") or ""


def main(
    name: Annotated[str, typer.Argument(help="Argoverse2, nuScenes or Waymo.")],
    folder: Annotated[Path | None, typer.Option(help="Pickles that are here already.")] = None,
) -> None:
    """Fetch a set and convert it, without running its pickles."""
    place(name)  # raises, if there is no such set
    print(f"{name}: {LICENCES[name]}. For non-commercial use only.")
    print(f"{convert(name, local(folder) if folder else remote(name))}: written")


if __name__ == "__main__":
    typer.run(main)
