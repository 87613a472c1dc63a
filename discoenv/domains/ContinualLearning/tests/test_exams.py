"""ContinualLearning's baseline learns in tiny exams, and the same seed gives the same score in the sandbox."""

from __future__ import annotations

import pytest

from discoenv.domains.ContinualLearning.studies.comparison import examined
from discoenv.domains.ContinualLearning.tests.conftest import DOMAIN, examiner
from discoenv.exams.host import Host
from discoenv.scoring.calibration import calibrate
from discoenv.tasks.task import Setting
from discoenv.testing import import_learner

pytest.importorskip("torch")


@pytest.mark.parametrize("backend", DOMAIN.backends)
@pytest.mark.parametrize("dataset", ["RotatedDigits", "SplitTextures"])
def test_backends_learn(backend: str, dataset: str) -> None:
    exam_ = examiner(dataset)
    with import_learner(DOMAIN, backend=backend) as code:
        found = examined(code, exam_, 0)
    assert found["average_accuracy"] > 2 * exam_.floor(0)["average_accuracy"]


def test_the_same_seed_gives_the_same_score_in_the_sandbox() -> None:
    entry = calibrate(Host(), Setting(DOMAIN, "default", "PermutedDigits", "tiny"), seeds=[11, 11])
    assert entry.baseline.values[0] == entry.baseline.values[1]
    assert entry.baseline.mean > entry.floor.mean + 0.1
