"""Run directories are named by time and name, and go on where they were."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from discoenv.experiment import RunDirectory


def test_the_name_contains_time_name_and_a_random_id(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "logs", "MAP-Elites (tiny, Maze)", config={"a": [1, 2]}, seed=42)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_MAP-Elites-tiny-Maze_[0-9a-f]{8}", run.path.name)
    assert run.config == {"a": [1, 2]}
    assert run.seed == 42
    assert RunDirectory.create(tmp_path / "logs", "x").path != RunDirectory.create(tmp_path / "logs", "x").path


def test_a_run_goes_on_from_its_state_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    def play(run: RunDirectory, until: int) -> None:
        step, rng = run.load_state((0, np.random.default_rng(run.seed)))
        while step < until:
            run.add_metrics(reward=float(rng.normal()), step=step)
            step += 1
            run.save_state((step, rng))

    whole = RunDirectory.create(tmp_path, "whole", config={}, seed=3)
    play(whole, 6)
    parts = RunDirectory.create(tmp_path, "parts", config={}, seed=3)
    for until in (2, 3, 6):
        play(RunDirectory.resume(parts.path), until)
    assert parts.metrics == whole.metrics
    assert len(parts.metrics["reward"]) == 6


def test_another_folder_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.json is missing"):
        RunDirectory.resume(tmp_path)
