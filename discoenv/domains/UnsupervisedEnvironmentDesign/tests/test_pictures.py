"""Pictures of levels and of the ways through them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.domains.UnsupervisedEnvironmentDesign import heldout, pictures
from discoenv.domains.UnsupervisedEnvironmentDesign.tests.conftest import DOMAIN
from discoenv.examiners.plotting import ExamArtifacts

pytest.importorskip("jax")
pytest.importorskip("matplotlib")


@pytest.mark.parametrize("dataset", ["Grids/Lava", "Jumping/Tracks"])
def test_each_dataset_has_a_picture_of_levels_and_one_of_rates(dataset: str, tmp_path: Path) -> None:
    config, generator = DOMAIN.config(dataset, "tiny"), np.random.default_rng(0)
    levels = heldout.make(config, generator, 6)
    saved: dict[str, Any] = {name: array for name, array in levels.items() if name != "kind"}
    saved["places"] = generator.integers(0, 5, (config["MAX_STEPS"], 6, 2)).astype(np.float32)
    saved["steps"], saved["solve_rates"] = generator.integers(1, config["MAX_STEPS"], 6), generator.random(20)
    np.savez(tmp_path / "exam.npz", **saved)
    np.savez(tmp_path / "other.npz", nothing=np.zeros(1))
    exams = [
        ExamArtifacts(step, "meta_train", dataset, 0, tmp_path / name)
        for step, name in enumerate(("exam.npz", "other.npz"))
    ]
    paths = pictures.plot(exams, tmp_path)
    name = dataset.replace("/", "-")
    assert [path.name for path in paths] == [f"levels_{name}.png", f"solved_{name}.png"]
    assert all(path.stat().st_size > 5000 for path in paths)
