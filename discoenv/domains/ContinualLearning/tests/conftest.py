"""What the tests of ContinualLearning share."""

from __future__ import annotations

from typing import Any

from discoenv.domains.ContinualLearning.examiner import ContinualLearningExaminer
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN

DOMAIN = Domain(BUILTIN / "ContinualLearning")
OFFLINE = [name for name in DOMAIN.datasets if DOMAIN.specification.datasets[name].source == "offline"]


def config_of(dataset: str, scale: str = "tiny", **changes: Any) -> dict[str, Any]:
    return {**DOMAIN.config(dataset, scale), **changes}


def examiner(dataset: str = "PermutedDigits", scale: str = "tiny", **changes: Any) -> ContinualLearningExaminer:
    return ContinualLearningExaminer(dataset, scale, config_of(dataset, scale, **changes))
