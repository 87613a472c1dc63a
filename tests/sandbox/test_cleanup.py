"""Nothing outlives its command, whatever it does: with every provider, however it counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from discoenv.sandbox import Limits, Outcome, Running, Sandbox
from discoenv.sandbox.local.supervised import Supervised
from tests.sandbox.programs import DAEMON, processes_with, until
from tests.sandbox.providers import counted_in_every_way, python

Run = Callable[..., Outcome]
pytestmark = counted_in_every_way


def test_a_daemon_dies_when_the_command_ends(run: Run, mark: str) -> None:
    outcome = run(DAEMON.format(mark=mark, stay=0))
    assert (outcome.reason, outcome.exit_code, outcome.stdout) == ("exited", 0, "daemon\n")


def test_a_daemon_dies_at_the_wall_limit(run: Run, mark: str) -> None:
    outcome = run(DAEMON.format(mark=mark, stay=600), wall_s=1.0)
    assert outcome.reason == "wall_time"


def test_a_daemon_dies_on_kill(sandbox: Sandbox, mark: str) -> None:
    running = sandbox.start(python(DAEMON.format(mark=mark, stay=600)), Limits())
    until(lambda: processes_with(mark))  # a busy machine takes a moment
    assert running.kill().reason == "killed"
    assert processes_with(mark) == []


def test_closing_the_sandbox_kills_what_runs(sandbox: Sandbox, mark: str) -> None:
    command = python(f"while True: pass  # {mark}")
    running = [sandbox.start(command, Limits()) for _ in range(2)]
    sandbox.close()
    sandbox.close()
    assert [each.wait().reason for each in running] == ["killed", "killed"]


def test_an_interrupted_run_is_killed(sandbox: Sandbox, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = Supervised.wait
    interrupts = iter([True])

    def interrupted(self: Running, timeout_s: float | None = None) -> Outcome:
        if next(interrupts, False):
            raise KeyboardInterrupt
        assert isinstance(self, Supervised)
        return wait(self, timeout_s)

    monkeypatch.setattr(Supervised, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(python(f"while True: pass  # {mark}"), Limits())
    assert processes_with(mark) == []


def test_the_command_inherits_no_descriptor(run: Run) -> None:
    outcome = run(
        "import os; print(sorted(int(fd) for fd in os.listdir('/proc/self/fd'))[:-1], os.readlink('/proc/self/fd/0'))"
    )
    assert outcome.stdout == "[0, 1, 2] /dev/null\n"
