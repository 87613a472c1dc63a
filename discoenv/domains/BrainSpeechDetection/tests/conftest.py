"""What tests of this domain share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.testing import import_learner

torch = pytest.importorskip("torch")


@pytest.fixture(scope="session")
def domain() -> Domain:
    return Domain(BUILTIN / "BrainSpeechDetection")


@pytest.fixture(scope="module")
def code(domain: Domain) -> Iterator[Any]:
    """The learner's code, on one thread."""
    with import_learner(domain) as modules:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield modules
        torch.set_num_threads(threads)
