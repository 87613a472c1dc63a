"""A search in a folder: what it writes, and how it goes on after it was killed.

A run's folder has the layout of the published code, with JSON and ``.npz`` where that has gin and pickle:

* ``config.json``, ``seed``, ``README``: what is run; ``metrics.json``: a list per metric;
* ``reload.npz``: the state of the search after its last round. It also holds what the published code keeps apart in
  ``reload_em.pkl`` and ``reload_em.pth``, so that a kill cannot leave parts of different rounds;
* ``archive/archive_<round>.npz``: the elites; ``archive_history.npz``: objectives and measures of the solutions that
  entered the archive, by round; ``failed_levels.npz``: evaluations that came to no result;
* ``dashboard_status.txt``: one line on a run in progress.
"""

from __future__ import annotations

import datetime
import json
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from . import storage
from .experiments import Experiment, as_dict, from_dict
from .search import Evaluate, Round, Search

STATE: Final = "reload.npz"
METRICS: Final = "metrics.json"
#: Names of metrics in ``metrics.json``, and whether a plot of them should begin at 0.
_USE_ZERO: Final = {
    "Cum Time": True,
    "Itr Time": True,
    "Total Evals": True,
    "Mean Evaluation": False,
    "Actual QD Score": True,
    "Archive Size": True,
    "Archive Coverage": True,
    "Best Objective": False,
    "Worst Objective": False,
    "Mean Objective": False,
    "Overall Min Objective": False,
    "Surrogate Loss": True,
    "Surrogate Error Objective": True,
    "Surrogate Error Measure 1": True,
    "Surrogate Error Measure 2": True,
}


def new_folder(root: Path, name: str) -> Path:
    """Path of a folder ``%Y-%m-%d_%H-%M-%S_<dashed-name>_<8 hex digits>`` below ``root``; it is not made."""
    dashed = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "run"
    now = datetime.datetime.now().astimezone()
    return root / f"{now:%Y-%m-%d_%H-%M-%S}_{dashed}_{uuid.uuid4().hex[:8]}"


def run(
    experiment: Experiment,
    seed: int,
    folder: Path,
    *,
    resume: bool = False,
    archive_every: int = -1,
    evaluate: Evaluate | None = None,
    device: str = "cpu",
    on_round: Callable[[Round], None] = lambda done: None,
) -> Search:
    """Run an experiment to its end, writing after each round.

    Args:
        experiment: what is run.
        seed: of everything random.
        folder: of the run; it is made.
        resume: go on from the last round in ``folder``, if there is one; else ``folder`` must not hold a run.
        archive_every: rounds between two files in ``archive/``; -1: the last round alone.
        evaluate: see :class:`Search`.
        device: of the surrogate.
        on_round: called after each round.

    Returns:
        The search, which is done.

    Raises:
        ValueError: the folder holds a run and ``resume`` is false, or a run of another experiment or seed.
    """
    metrics = _begin(experiment, seed, folder, resume)
    search = Search(experiment.problem, experiment.settings, seed, evaluate=evaluate, device=device)
    if (folder / STATE).exists():
        state = storage.load(folder / STATE)
        metrics = state.pop("metrics")
        search.restore(state)
        storage.write_text(folder / METRICS, json.dumps(metrics, indent=1) + "\n")
    while not search.is_done:
        start = time.perf_counter()
        done = search.round()
        _append(metrics, done, time.perf_counter() - start)
        if search.is_done or (archive_every > 0 and done.number % archive_every == 0):
            storage.save(folder / "archive" / f"archive_{done.number}.npz", search.archive.state())
        if search.is_done:
            _write_results(search, folder)
        storage.save(folder / STATE, {**search.state(), "metrics": metrics})
        storage.write_text(folder / METRICS, json.dumps(metrics, indent=1) + "\n")
        storage.write_text(folder / "dashboard_status.txt", status_line(done, search) + "\n")
        on_round(done)
    (folder / "dashboard_status.txt").unlink(missing_ok=True)
    return search


def read(folder: Path) -> tuple[Experiment, int]:
    """Experiment and seed of a run's folder.

    Raises:
        ValueError: it holds no run.
    """
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return from_dict(content), int((folder / "seed").read_text(encoding="ascii"))
    except OSError as error:
        raise ValueError(f"{folder} holds no run: {error.strerror}: {error.filename}") from error


def status_line(done: Round, search: Search) -> str:
    """One line on the last round."""
    return (
        f"round {done.number}: {done.evaluations} of {search.settings.evaluations} evaluations, "
        f"QD-score {done.qd_score:.2f}, coverage {done.coverage:.3f}"
    )


def _begin(experiment: Experiment, seed: int, folder: Path, resume: bool) -> dict[str, Any]:
    """Write what describes the run, or compare with it; metrics without values."""
    if (folder / "config.json").exists():
        if not resume:
            raise ValueError(f"{folder} holds a run: continue it, or choose another folder")
        before = read(folder)
        if before != (experiment, seed):
            raise ValueError(f"{folder} holds a run of {before[0].name} with seed {before[1]}, or of other settings")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        text = f"{experiment.title}, seed {seed}. `python -m {__package__} reload {folder}` continues it.\n"
        storage.write_text(folder / "README", text)
        storage.write_text(folder / "seed", f"{seed}\n")
        storage.write_text(folder / "config.json", json.dumps(as_dict(experiment), indent=1) + "\n")
    return {name: {"use_zero": use_zero, "values": []} for name, use_zero in _USE_ZERO.items()}


def _append(metrics: dict[str, Any], done: Round, seconds: float) -> None:
    before = metrics["Cum Time"]["values"]
    values = {
        "Cum Time": seconds + (before[-1] if before else 0.0),
        "Itr Time": seconds,
        "Total Evals": done.evaluations,
        "Mean Evaluation": done.batch_mean,
        "Actual QD Score": done.qd_score,
        "Archive Size": done.size,
        "Archive Coverage": done.coverage,
        "Best Objective": done.best,
        "Worst Objective": done.worst,
        "Mean Objective": done.mean,
        "Overall Min Objective": done.lowest,
        "Surrogate Loss": done.loss,
        "Surrogate Error Objective": done.errors[0],
        "Surrogate Error Measure 1": done.errors[1],
        "Surrogate Error Measure 2": done.errors[2],
    }
    for name, value in values.items():
        metrics[name]["values"].append(value)


def _write_results(search: Search, folder: Path) -> None:
    state = search.state()
    storage.save(folder / "archive_history.npz", state["accepted"])
    storage.save(folder / "failed_levels.npz", state["failures"])
