"""The benchmark of sessions measures what it says."""

from __future__ import annotations

from benchmarks import sessions
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task


def test_the_same_sessions_are_timed_one_by_one_and_side_by_side(task: Task, sandbox: Sandbox) -> None:
    figures = sessions.measure(task.model_copy(update={"start": "base"}), 3, sandbox, repeats=1)
    assert 0 < figures["share of the optimum"] < 2
    assert figures["late, most, ms"] >= figures["late, 99 %, ms"]
