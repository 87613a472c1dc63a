"""The benchmark of the vector environment measures what it says."""

from __future__ import annotations

from benchmarks import vector
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Task


def test_the_same_episodes_are_timed_one_by_one_and_together(task: Task, sandbox: Sandbox) -> None:
    figures = vector.measure(task.model_copy(update={"start": "base"}), 2, sandbox, repeats=1)
    assert figures["single_s"] > 0
    assert figures["least"] == figures["vector/single"] == figures["most"]
    assert figures["vector/single"] == figures["vector_s"] / figures["single_s"]
