"""Cores, where commands see the host's own."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from discoenv.errors import SandboxError
from discoenv.sandbox import Limits, Outcome, Sandbox
from tests.sandbox.providers import WAYS_OF_COUNTING, python

Run = Callable[..., Outcome]
pytestmark = pytest.mark.parametrize("provider", WAYS_OF_COUNTING, indirect=True)


def test_a_command_that_is_given_no_cores_has_those_of_its_host(run: Run) -> None:
    ours = os.sched_getaffinity(0)
    assert run("import os; print(len(os.sched_getaffinity(0)))").stdout == f"{len(ours)}\n"


def test_a_core_that_is_not_there_is_reported(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="could not be started"):
        sandbox.start(python(""), Limits(cores=(1023,)))
