"""What the tests of OffPolicyRL share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.testing import import_learner

if TYPE_CHECKING:
    from discoenv.domains.OffPolicyRL.examiner import OffPolicyRLExaminer

DOMAIN = Domain(BUILTIN / "OffPolicyRL")
CANDIDATES = Path(__file__).parents[1] / "candidates"
CARTPOLE = DOMAIN.config("Classic/CartPole", "tiny")
#: So small that training takes no time.
SHORT = {**CARTPOLE, "NUM_ENVS": 4, "TOTAL_TIMESTEPS": 400, "EVALUATION_EPISODES": 6, "EVALUATION_STEPS": 5}


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    with import_learner(DOMAIN) as modules:
        yield modules


@pytest.fixture(scope="module")
def cartpole() -> OffPolicyRLExaminer:
    from discoenv.domains.OffPolicyRL.examiner import OffPolicyRLExaminer

    return OffPolicyRLExaminer("Classic/CartPole", "tiny", {**CARTPOLE, "EVALUATION_EPISODES": 16})


def settings(code: Any, **changes: Any) -> Any:
    """A configuration of the baseline with ``changes``, also to keys that the base module `config` sets."""
    return code.run_config.FrozenDict({**code.run_config.get_config({**SHORT, **changes}), **changes})
