"""What the tests of OfflineRL share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.testing import import_learner

DOMAIN = Domain(BUILTIN / "OfflineRL")
OFFLINE = [name for name, entry in DOMAIN.specification.datasets.items() if entry.source == "offline"]
#: So small that training takes no time.
SHORT = {"TRAJECTORIES": 60, "GRADIENT_STEPS": 20, "BATCH_SIZE": 16, "HIDDEN": 8, "EVALUATION_EPISODES": 8}


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    with import_learner(DOMAIN) as modules:
        yield modules


def settings(dataset: str = "Maze/medium-navigate", **changes: Any) -> dict[str, Any]:
    """The configuration of a dataset at ``tiny``, shortened, with changes."""
    return {**DOMAIN.config(dataset, "tiny"), **SHORT, **changes}
