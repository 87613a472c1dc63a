"""What is the machine's fault is never a score: other load, quotas, memory that others took, kills from outside."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from discoenv.errors import InfraError, LearnerStarved
from discoenv.exams import runner
from discoenv.exams.budget import Use
from discoenv.exams.examiner_client import Reply, Training
from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.exams.runner import ExamRun
from discoenv.sandbox.base import Outcome, Sandbox
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules, materialise
from tests.exams.test_runner import line

Run = Callable[..., ExamResult]
#: A module that lets others have its core, so that two busy programs leave it little.
POLITE = "import os\nos.nice(19)\n"
_BUSY = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nprint(flush=True)\nwhile True: pass\n"


@pytest.fixture
def host(sandbox: Sandbox) -> Iterator[Host]:
    with Host(sandbox) as host:
        yield host


@pytest.fixture
def run(host: Host, task: Task, tmp_path: Path) -> Run:
    """Runs an exam whose ``model.py`` begins with other code."""

    def run(code: str = "", *, budget_s: float = 60.0, **options: Any) -> ExamResult:
        modules = base_modules(task)
        workspace = materialise(
            task, tmp_path / "workspace", modules=modules | {"model.py": code + modules["model.py"]}
        )
        return host.run(workspace, line(budget_s=budget_s), **options)

    return run


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """Two programs on each core that never rest."""
    programs = []
    try:
        for core in [*os.sched_getaffinity(0)] * 2:
            programs.append(subprocess.Popen([sys.executable, "-c", _BUSY, str(core)], stdout=subprocess.PIPE))
            stdout = programs[-1].stdout
            assert stdout
            stdout.readline()
        yield
    finally:
        for program in programs:
            program.kill()
            program.communicate()


def test_busy_cores_change_no_score_and_spend_no_budget(run: Run) -> None:
    quiet = run()
    with busy_cores():
        loaded = run(POLITE, budget_s=2.0)
    assert (loaded.status, loaded.metrics) == ("ok", quiet.metrics)
    assert loaded.starved_s > 0
    assert loaded.spent_s < 2.0


@pytest.fixture
def starved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every learner seems to have been kept from running."""
    monkeypatch.setattr(runner._Record, "starved", True)


def test_a_starved_exam_is_repeated_alone_and_what_it_spends_then_counts(
    run: Run, host: Host, monkeypatch: pytest.MonkeyPatch, starved: None
) -> None:
    reserve, reserved = host.reserve, []

    def noted(*, alone: bool = False, group: Any = None) -> Any:
        reserved.append(alone)
        return reserve(alone=alone, group=group)

    monkeypatch.setattr(host, "reserve", noted)
    result = run("while True: pass\n", budget_s=0.5)
    assert (result.status, reserved) == ("timeout", [False, True])
    assert result.spent_s >= 0.5


def test_a_starved_exam_that_could_not_spend_its_budget_is_no_timeout(
    run: Run, monkeypatch: pytest.MonkeyPatch, starved: None
) -> None:
    use = runner._Record.use

    def little(self: runner._Record, used: Use) -> None:
        use(self, Use(spent_s=0.1, starved_s=used["starved_s"], watched_s=used["watched_s"]))

    monkeypatch.setattr(runner._Record, "use", little)
    with pytest.raises(LearnerStarved, match=r"no core, for .* s: other programs use the cores .* lower exams_at_once"):
        run("while True: pass\n", budget_s=0.5)


def test_a_passed_exam_counts_however_it_starved(run: Run, starved: None) -> None:
    assert run().status == "ok"


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Each attempt at an exam: whether it was one of several."""
    made: list[bool] = []
    attempt = ExamRun.run

    def noted(self: ExamRun, *, again: bool = False) -> ExamResult:
        made.append(again)
        return attempt(self, again=again)

    monkeypatch.setattr(ExamRun, "run", noted)
    return made


def test_a_killed_learner_gets_another_try_and_then_has_failed(run: Run, attempts: list[bool]) -> None:
    result = run("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert (result.status, attempts) == ("error", [False, True])
    assert "it was killed by signal 9" in result.message


def test_a_learner_that_someone_kills_once_is_not_judged_by_it(
    run: Run, attempts: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    end = ExamRun._end

    def killed(self: ExamRun, running: Any, *, wait: bool) -> tuple[Outcome, bool]:
        outcome, begun = end(self, running, wait=wait)
        return (outcome if len(attempts) > 1 else replace(outcome, reason="exited", exit_code=-9)), begun

    monkeypatch.setattr(ExamRun, "_end", killed)
    train = runner._Record.train

    def gone(self: runner._Record, reply: Training) -> None:
        status: Reply = reply["status"] if len(attempts) > 1 else "gone"
        train(self, Training(status=status, message="", training_s=reply["training_s"], use=reply["use"]))

    monkeypatch.setattr(runner._Record, "train", gone)
    assert run().status == "ok"
    assert attempts == [False, True]


def test_memory_that_others_took_is_never_a_score(
    run: Run, attempts: list[bool], monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    start = sandbox.start

    class Killed:
        def __init__(self, running: Any) -> None:
            self.running = running

        def __getattr__(self, name: str) -> Any:
            return getattr(self.running, name)

        def kill(self) -> Outcome:
            outcome: Outcome = self.running.kill()
            return replace(outcome, reason="machine_memory", exit_code=None)

    monkeypatch.setattr(sandbox, "start", lambda command, limits: Killed(start(command, limits)))
    with pytest.raises(
        InfraError, match=r"memory ran out outside of its own limit of 2 GiB: free memory, or run fewer"
    ):
        run()
    assert attempts == [False, True]
