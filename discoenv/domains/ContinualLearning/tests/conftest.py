"""What the tests of ContinualLearning share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from discoenv.domains.ContinualLearning.examiner import ContinualLearningExaminer
from discoenv.domains.ContinualLearning.studies.comparison import sent, stages
from discoenv.exams.examiner import OwnCode
from discoenv.exams.state import State, checked
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


def handed_over(
    code: Any, exam_: ContinualLearningExaminer, experiences: int = 3, prepare: Callable[[Any], object] = id
) -> list[tuple[Any, State]]:
    """The learners of the first experiences, after them, and what they handed over; ``prepare`` is called before."""
    found = itertools.islice(stages(code, exam_, 0, prepare), experiences)
    return [(model, state) for model, state, _ in found]


def learned(code: Any, exam_: ContinualLearningExaminer, experiences: int = 3) -> Any:
    """The learner of the last of the first experiences, after it."""
    return handed_over(code, exam_, experiences)[-1][0]


def examined(code: Any, exam_: ContinualLearningExaminer, tree: Any, stage: int = 0) -> Any:
    """Check and examine what a learner hands over after an experience; the state that the next one gets."""
    state = checked(sent(tree))
    exam_.check_state(state)
    exam_.examine_stage(OwnCode(code.answer, exam_.config, state), 0, stage)
    return sent(exam_.carried_state(state, 0, stage))
