"""Learning curves show the mean over seeds with its interval, and can be plotted again from their numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from discoenv.domains.OnPolicyRL.studies import learning_curves

pytest.importorskip("matplotlib")


def test_windows_hold_the_mean_over_seeds_and_its_interval() -> None:
    curves = [[np.nan] * 2 + [float(step + seed) for step in range(38)] for seed in range(3)]
    curve = learning_curves.summary(curves, total_steps=400)
    assert curve["steps"] == pytest.approx(np.arange(40, 401, 20))  # the first window has no episode
    assert curve["mean"][:2] == pytest.approx([1.5, 3.5])
    assert curve["half_width"] == pytest.approx([4.30 / np.sqrt(3)] * 19)  # the standard deviation is 1


def test_a_figure_is_plotted_from_its_numbers(tmp_path: Path) -> None:
    curve = {"steps": [1e5, 2e5], "mean": [1.0, 2.0], "half_width": [0.1, 0.2]}
    figures = {"MinAtar/Breakout": {"floor": 0.5, "backends": {"default": curve, "recurrent": {}}}}
    path = tmp_path / "curves.svg"
    path.with_suffix(".json").write_text(json.dumps(figures), encoding="utf-8")
    learning_curves.main(path=path, replot=True)
    first = path.read_bytes()
    assert b"<svg" in first
    learning_curves.main(path=path, replot=True)
    assert path.read_bytes() == first
