"""NeuralCellularAutomata's baseline is better than the floor in tiny exams."""

from __future__ import annotations

import pytest

from discoenv.domains.NeuralCellularAutomata.tests.conftest import DOMAIN
from discoenv.exams.host import Host
from discoenv.scoring.calibration import calibrate
from discoenv.tasks.task import Setting

pytest.importorskip("jax")


@pytest.mark.parametrize("dataset", ["GrowingSpiral", pytest.param("DigitsInpainting", marks=pytest.mark.slow)])
def test_a_tiny_exam_in_the_sandbox_is_better_than_the_floor(dataset: str) -> None:
    entry = calibrate(Host(), Setting(DOMAIN, "default", dataset, "tiny"), seeds=[11])
    assert entry.baseline.mean < entry.floor.mean - 0.02
