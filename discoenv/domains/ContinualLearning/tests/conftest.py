"""What the tests of ContinualLearning share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from discoenv.domains.ContinualLearning.examiner import ContinualLearningExaminer
from discoenv.domains.ContinualLearning.studies.comparison import learner
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.testing import import_learner

DOMAIN = Domain(BUILTIN / "ContinualLearning")
OFFLINE = [name for name in DOMAIN.datasets if DOMAIN.specification.datasets[name].source == "offline"]
#: A stream of three experiences that takes a fraction of a second to learn.
SHORT: dict[str, Any] = {
    "TASKS": 3,
    "TRAIN_SAMPLES": 64,
    "VALIDATION_SAMPLES": 8,
    "PROBE_SAMPLES": 20,
    "TEST_SAMPLES": 30,
    "WIDTHS": [8, 8, 8],
    "TOKEN_WIDTH": 16,
    "BLOCKS": 1,
    "FISHER_SAMPLES": 2,
}


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    with import_learner(DOMAIN) as modules:
        yield modules


def config_of(dataset: str, scale: str = "tiny", **changes: Any) -> dict[str, Any]:
    return {**DOMAIN.config(dataset, scale), **changes}


def examiner(dataset: str = "PermutedDigits", scale: str = "tiny", **changes: Any) -> ContinualLearningExaminer:
    return ContinualLearningExaminer(dataset, scale, config_of(dataset, scale, **changes))


def short(dataset: str = "PermutedDigits", **changes: Any) -> ContinualLearningExaminer:
    return examiner(dataset, **(SHORT | changes))


def learned(code: Any, exam_: ContinualLearningExaminer, experiences: int = 3) -> Any:
    """A learner that has learned the first experiences."""
    model = learner(code, exam_.config, 0).model
    for each in exam_.experiences(0)[:experiences]:
        model.learn(each.train.x, each.train.y, each.validation.x, each.validation.y)
    return model
