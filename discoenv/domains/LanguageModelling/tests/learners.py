"""Learners that answer the examiner by a rule, for tests of the examiner."""

from __future__ import annotations

from typing import Any

import numpy as np

from discoenv.domains.LanguageModelling.examiner import LanguageModellingExaminer
from discoenv.domains.LanguageModelling.studies.probe import Answer, Rule
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.testing import InProcessLearner

DOMAIN = Domain(BUILTIN / "LanguageModelling")
OFFLINE = [name for name in DOMAIN.datasets if DOMAIN.specification.datasets[name].source == "offline"]


def config_of(dataset: str = "LogLines", scale: str = "tiny", **changes: Any) -> dict[str, Any]:
    return {**DOMAIN.config(dataset, scale), **changes}


def examiner(dataset: str = "LogLines", scale: str = "tiny", **changes: Any) -> LanguageModellingExaminer:
    return LanguageModellingExaminer(dataset, scale, config_of(dataset, scale, **changes))


def state_of(parameters: int = 10, tokens: int = 0) -> dict[str, Any]:
    """A state with so many parameters."""
    curve = np.zeros((2, 3), np.float32)
    return {"model": {"weight": np.zeros(parameters, np.float32)}, "tokens": np.array(tokens), "curve": curve}


def learner(answer: Answer, witness: Answer | None = None) -> InProcessLearner:
    """A learner, and its witness if it has one."""
    made = InProcessLearner(Rule(answer), state=state_of())
    if witness is not None:
        made.witness = InProcessLearner(Rule(witness), state=state_of())
    return made
