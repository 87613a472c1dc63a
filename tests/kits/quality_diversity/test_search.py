"""Searches: every variant uses its budget exactly, and one that was killed ends as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from discoenv.kits.quality_diversity import storage  # noqa: E402
from discoenv.kits.quality_diversity.archives import Array, IntArray  # noqa: E402
from discoenv.kits.quality_diversity.experiments import (  # noqa: E402
    Experiment,
    as_dict,
    changed,
    experiment,
    from_dict,
    names,
)
from discoenv.kits.quality_diversity.problems import Evaluation, new_archive  # noqa: E402
from discoenv.kits.quality_diversity.runs import METRICS, STATE, new_folder, read, run  # noqa: E402
from discoenv.kits.quality_diversity.search import Search  # noqa: E402

MAZES = [name for name in names() if name.startswith("maze/")]


def tiny(name: str = "maze/dsage", **changes: Any) -> Experiment:
    """Four rounds or more of little work."""
    numbers = {"evaluations": 40, "initial": 10, "inner_iterations": 6, "epochs": 1, "width": 4, "random_batch": 10}
    return changed(experiment(name, "test"), **{**numbers, **changes})


def same(one: Any, other: Any) -> None:
    """Assert that nested dictionaries of arrays and plain values are equal, to the last bit."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            same(one[key], other[key])
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", names())
def test_experiments_survive_a_file(name: str) -> None:
    for size in ("full", "small", "test"):
        made = experiment(name, size)
        assert from_dict(json.loads(json.dumps(as_dict(made)))) == made
        dims, coarse = made.problem.dims, made.problem.coarse
        assert all(fine % few == 0 for fine, few in zip(dims, coarse, strict=True))


def test_published_numbers() -> None:
    dsage = experiment("maze/dsage")
    assert (dsage.settings.evaluations, dsage.settings.inner_iterations) == (100_000, 10_000)
    assert (dsage.problem.emitter_count, dsage.problem.batch_size) == (5, 30)
    assert experiment("maze/dsage_basic_long").settings.model.epochs == 6400
    assert experiment("platformer/dsage").settings.model.recent is None
    assert not experiment("platformer/dsage_only_down").settings.model.ancillary
    assert experiment("maze/dsage_only_anc").settings.selection == "all"


@pytest.mark.parametrize("name", MAZES)
def test_the_budget_is_used_exactly(name: str, tmp_path: Path) -> None:
    counted = 0

    def evaluate(solutions: Array, seeds: IntArray) -> Evaluation:
        nonlocal counted
        counted += len(solutions)
        return made.problem.evaluate(solutions, seeds)

    made = experiment(name, "test")
    search = run(made, 3, tmp_path / "run", evaluate=evaluate)
    assert search.evaluations == counted == 10
    with pytest.raises(ValueError, match="all 10 evaluations"):
        search.round()
    metrics = json.loads((tmp_path / "run" / METRICS).read_text())
    assert metrics["Total Evals"]["values"][-1] == 10
    assert metrics["Actual QD Score"]["values"][-1] == search.archive.qd_score()
    # The archive is that of its history, and of the best evaluations.
    history = storage.load(tmp_path / "run/archive_history.npz")
    again = new_archive(made.problem)
    again.add(np.zeros((len(history["objectives"]), 64)), history["objectives"], history["measures"])
    np.testing.assert_array_equal(again.objectives, search.archive.objectives)


def test_predictions_do_not_enter_the_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A surrogate that promises too much changes which solutions are evaluated, and nothing else."""
    search = Search(tiny().problem, tiny().settings, 0)
    assert search.surrogate is not None
    honest = search.surrogate.predict

    def lie(levels: Array) -> tuple[Array, Array, None]:
        objectives, measures, _ = honest(levels)
        return objectives + 1e6, measures, None

    monkeypatch.setattr(search.surrogate, "predict", lie)
    while not search.is_done:
        search.round()
    elites = search.archive.elites()
    assert elites.objectives.max() <= 1
    np.testing.assert_array_equal(elites.measures[:, 0], elites.solutions.sum(axis=1))


@pytest.mark.parametrize("name", ["maze/dsage", "maze/me", "maze/dr"])
def test_failed_evaluations_are_counted_and_left_out(name: str) -> None:
    made = tiny(name)

    def evaluate(solutions: Array, seeds: IntArray) -> Evaluation:
        good = made.problem.evaluate(solutions, seeds)
        return replace(good, failed=seeds % 3 == 0)

    search = Search(made.problem, made.settings, 0, evaluate=evaluate)
    while not search.is_done:
        search.round()
    assert search.evaluations == 40
    assert 3 < len(search.failures) < 30
    assert all(seed % 3 == 0 for _, seed in search.failures)
    bad = {solution.tobytes() for solution, _ in search.failures}
    assert not bad & {solution.tobytes() for solution in search.archive.elites().solutions}
    if name == "maze/dsage":
        assert len(search.experience) == 40 - len(search.failures)


@pytest.mark.parametrize("name", ["maze/dsage", "maze/dsage_basic", "maze/dsage_rsample", "maze/me", "maze/dr"])
def test_a_restored_search_goes_on_as_if_it_had_not_been_stopped(name: str, tmp_path: Path) -> None:
    made = tiny(name)
    whole = Search(made.problem, made.settings, 5)
    while not whole.is_done:
        whole.round()
    search = Search(made.problem, made.settings, 5)
    while not search.is_done:
        search.round()
        storage.save(tmp_path / "state.npz", search.state())
        search = Search(made.problem, made.settings, 5)
        search.restore(storage.load(tmp_path / "state.npz"))
    same(search.state(), whole.state())


PROGRAM = """
import sys
from pathlib import Path
import torch
from discoenv.kits.quality_diversity.runs import read, run
torch.set_num_threads(1)
folder = Path(sys.argv[1])
run(*read(folder), folder, resume=True, on_round=lambda done: print(done.number, flush=True))
"""


@pytest.mark.timeout(900)
def test_a_run_that_is_killed_three_times_ends_as_one_that_is_not(tmp_path: Path) -> None:
    """SIGKILL comes after a random part of a round, three times, the last time while a file may be written."""
    made = tiny(evaluations=60)
    torch.set_num_threads(1)
    run(made, 7, tmp_path / "whole")
    folder = tmp_path / "killed"
    run(replace(made, settings=replace(made.settings, evaluations=10)), 7, folder)
    storage.write_text(folder / "config.json", json.dumps(as_dict(made)))
    for number in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            if number < 2:
                os.kill(process.pid, signal.SIGKILL)
            else:
                process.kill()
        (folder / f".{STATE}.part").write_bytes(b"half a fi")
    subprocess.run([sys.executable, "-c", PROGRAM, str(folder)], check=True, cwd=Path.cwd(), capture_output=True)
    one, other = storage.load(folder / STATE), storage.load(tmp_path / "whole" / STATE)
    assert one["rounds"] > 4
    for each in (one, other):
        for timed in ("Cum Time", "Itr Time"):
            del each["metrics"][timed]
    same(one, other)
    names_ = sorted(path.name for path in (tmp_path / "whole/archive").iterdir())
    assert (folder / "archive" / names_[-1]).read_bytes() == (tmp_path / "whole/archive" / names_[-1]).read_bytes()


def test_a_runs_folder(tmp_path: Path) -> None:
    made = experiment("maze/dsage", "test")
    folder = new_folder(tmp_path, "maze/dsage_only anc")
    assert folder.match("????-??-??_??-??-??_maze-dsage-only-anc_????????")
    run(made, 4, folder, archive_every=1)
    expected = {"config.json", "seed", "README", METRICS, STATE, "archive", "archive_history.npz", "failed_levels.npz"}
    assert {path.name for path in folder.iterdir()} == expected
    rounds = len(json.loads((folder / METRICS).read_text())["Total Evals"]["values"])
    assert {path.name for path in (folder / "archive").iterdir()} == {f"archive_{n}.npz" for n in range(rounds)}
    assert read(folder) == (made, 4)
    with pytest.raises(ValueError, match="holds a run"):
        run(made, 4, folder)
    with pytest.raises(ValueError, match="with seed 4"):
        run(made, 5, folder, resume=True)
    with pytest.raises(ValueError, match="holds no run"):
        read(tmp_path)


def test_only_plain_things_are_stored(tmp_path: Path) -> None:
    tree = {"a": {"b": np.arange(3), "c": 2**100}, "d": [1.5, "x", None], "e": {}}
    storage.save(tmp_path / "x.npz", tree)
    same(storage.load(tmp_path / "x.npz"), tree)
    with pytest.raises(TypeError):
        storage.save(tmp_path / "x.npz", {"a": object()})
    with pytest.raises(ValueError, match="slash"):
        storage.save(tmp_path / "x.npz", {"a/b": 1})
    same(storage.load(tmp_path / "x.npz"), tree)
