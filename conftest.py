"""What all tests share, also those that lie with their domains: where learners run, and a real sandbox."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from discoenv.exams import learner_environment
from discoenv.exams.host import Host
from discoenv.sandbox import get_sandbox
from discoenv.sandbox.base import Sandbox

os.environ.update(learner_environment.on_cpu(os.environ))  # as learners and examiners run

#: It is no domain; its tests run in domains that are made from it.
collect_ignore = ["discoenv/domains/_template"]


@pytest.fixture(scope="session")
def sandbox_name() -> str:
    """The provider under test: DISCOENV_TEST_SANDBOX, or the best one that works here."""
    return os.environ.get("DISCOENV_TEST_SANDBOX", "auto")


@pytest.fixture(scope="session")
def sandbox(sandbox_name: str) -> Iterator[Sandbox]:
    """A real sandbox."""
    provider = get_sandbox(sandbox_name)
    yield provider
    provider.close()


@pytest.fixture
def host(sandbox: Sandbox) -> Iterator[Host]:
    """A host that runs exams in the real sandbox."""
    with Host(sandbox) as host:
        yield host
