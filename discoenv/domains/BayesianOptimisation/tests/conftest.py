"""What the tests of BayesianOptimisation share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.testing import import_learner

if TYPE_CHECKING:
    from discoenv.domains.BayesianOptimisation.examiner import BayesianOptimisationExaminer

DOMAIN = Domain(BUILTIN / "BayesianOptimisation")


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    with import_learner(DOMAIN) as modules:
        yield modules


def examiner(dataset: str, scale: str = "tiny", **changes: Any) -> BayesianOptimisationExaminer:
    from discoenv.domains.BayesianOptimisation.examiner import BayesianOptimisationExaminer

    return BayesianOptimisationExaminer(dataset, scale, {**DOMAIN.config(dataset, scale), **changes})


class Fixed:
    """Asks for the same points of every function, whatever their values."""

    def __init__(self, points: Any, batch_size: int) -> None:
        self._points, self._batch_size = np.asarray(points), batch_size

    def start(self) -> None:
        self._next = 0

    def ask(self) -> Any:
        rows = np.arange(self._next, self._next + self._batch_size) % len(self._points)
        self._next += self._batch_size
        return self._points[rows]

    def tell(self, points: Any, values: Any) -> None:
        pass
