"""What spends a compute budget: work and idleness, not what others on the machine do."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from discoenv.exams import budget as budgets
from discoenv.exams.budget import Budget, Use
from discoenv.machine.processes import Threads
from discoenv.sandbox.cpu_clock import CpuClock


class Machine(CpuClock):
    """A learner and its machine, whose state a test sets: wall time passes as the learner works, waits or sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.__dict__.update(now=100.0, cpu=5.0, delay=0.0, state="R")
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(random, "uniform", lambda low, high: high)

    now: float
    cpu: float
    delay: float
    state: str

    def read(self) -> float:
        return self.cpu

    def threads(self) -> Threads:
        return Threads(int(self.state == "R"), int(self.state == "D"), self.delay)

    def during(self, budget: Budget, seconds: float, *, share: float, state: str, exported: bool = True) -> None:
        """Let time pass in which the learner gets a share of a core and is then seen in a state."""
        for _ in range(round(seconds / 0.05)):
            waited = (1 - share) * 0.05 if state == "R" and exported else 0.0
            self.__dict__.update(
                now=self.now + 0.05, cpu=self.cpu + share * 0.05, delay=self.delay + waited, state=state
            )
            budget.wait_s()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def used(machine: Machine, seconds: float, **how: object) -> Use:
    """How a learner's time is accounted for that it spends in one way."""
    budget = Budget(1000.0, machine)
    with budget.running():
        machine.during(budget, seconds, **how)  # type: ignore[arg-type]
    return budget.use()


@pytest.mark.parametrize(
    ("share", "state", "spent_s", "starved_s"),
    [
        (1.0, "R", 10.0, 0.0),  # it computes
        (0.0, "S", 10.0, 0.0),  # it sleeps
        (0.0, "T", 10.0, 0.0),  # it has stopped itself
        (0.04, "R", 0.4, 9.6),  # others use its core, or a quota throttles it
        (0.0, "R", 0.0, 10.0),
        (0.0, "D", 0.0, 0.0),  # it waits for a disk
        (0.5, "S", 10.0, 0.0),  # it computes and sleeps in turns
    ],
)
def test_work_and_idleness_spend_and_starvation_does_not(
    machine: Machine, share: float, state: str, spent_s: float, starved_s: float
) -> None:
    use = used(machine, 10.0, share=share, state=state)
    assert [use["spent_s"], use["starved_s"]] == pytest.approx([spent_s, starved_s], abs=1e-6)
    assert use["watched_s"] == pytest.approx(10.0)


def test_starvation_is_seen_where_the_kernel_does_not_count_it(machine: Machine) -> None:
    use = used(machine, 10.0, share=0.04, state="R", exported=False)
    assert [use["spent_s"], use["starved_s"]] == pytest.approx([0.4, 9.6])


def test_waits_for_a_core_between_looks_are_starvation(machine: Machine) -> None:
    """It works for 10 ms and waits for 30 ms, and sleeps whenever it is looked at."""
    budget = Budget(1000.0, machine)
    with budget.running():
        for _ in range(100):
            machine.__dict__.update(delay=machine.delay + 0.03)
            machine.during(budget, 0.05, share=0.2, state="S")
    assert budget.use()["starved_s"] == pytest.approx(3.0)
    assert budget.use()["spent_s"] == pytest.approx(2.0)


def test_waiting_for_disks_spends_in_the_end(machine: Machine) -> None:
    assert used(machine, 100.0, share=0.0, state="D")["spent_s"] == pytest.approx(40.0)


def test_nothing_is_idle_while_much_arrives_and_dripping_bytes_are_not_much(machine: Machine) -> None:
    spent = []
    for size in (1 << 20, 1):
        budget = Budget(1000.0, machine)
        with budget.running():
            for _ in range(100):
                machine.__dict__.update(now=machine.now + 0.05, state="S")
                budget.wait_s(size)
        spent.append(budget.spent_s)
    assert spent == [0.0, pytest.approx(5.0)]


def test_what_passes_while_nothing_is_expected_is_not_idleness_but_work_is_work(machine: Machine) -> None:
    budget = Budget(10.0, machine)
    machine.__dict__.update(now=machine.now + 500, cpu=machine.cpu + 2)
    assert budget.spent_s == pytest.approx(2.0)
    with budget.running():
        machine.during(budget, 1.0, share=1.0, state="R")
        assert budget.spent_s == pytest.approx(3.0)
        with pytest.raises(TimeoutError):
            machine.during(budget, 9.0, share=1.0, state="R")
    assert budget.spent_s == pytest.approx(10.0, abs=0.1)


def test_a_hung_learner_ends_although_it_spends_nothing(machine: Machine) -> None:
    budget = Budget(1.0, machine)
    with budget.running(), pytest.raises(TimeoutError):
        machine.during(budget, 2 * budgets.most_wall_s(1.0), share=0.0, state="R")
    assert machine.now - 100.0 == pytest.approx(budgets.most_wall_s(1.0), abs=0.1)


def test_on_gpus_wall_time_is_spent_and_starvation_still_seen(machine: Machine) -> None:
    budget = Budget(8.0, machine, wall=True, since=machine.now - 1.0)
    budget.charge(2.0)
    with budget.running(), pytest.raises(TimeoutError):
        machine.during(budget, 10.0, share=0.1, state="R")
    use = budget.use()
    assert [use["spent_s"], use["starved_s"], use["watched_s"]] == pytest.approx([8.0, 4.5, 5.0], abs=0.06)


# ---- real processes


@pytest.fixture
def start() -> Iterator[Callable[[str], CpuClock]]:
    """Starts Python programs, all on one core, that print a line before the test goes on."""
    core = {max(os.sched_getaffinity(0))}
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> CpuClock:
        program = f"import os, signal, time\nos.sched_setaffinity(0, {core})\nprint(flush=True)\n{code}"
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        assert process.stdout
        process.stdout.readline()
        return CpuClock(root=process.pid)

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)  # its children, too
        process.communicate()


def watched(clock: CpuClock, seconds: float, *, budget_s: float = 60.0) -> Use:
    """How a process uses its time."""
    budget, end = Budget(budget_s, clock), time.monotonic() + seconds
    with budget.running():
        while time.monotonic() < end:
            time.sleep(min(0.01, budget.wait_s()))
    return budget.use()


@pytest.mark.parametrize(
    "code", ["time.sleep(60)", "os.kill(os.getpid(), signal.SIGSTOP)", "os.wait() if os.fork() else time.sleep(60)"]
)
def test_a_process_that_sleeps_spends_all_of_the_time(start: Callable[[str], CpuClock], code: str) -> None:
    use = watched(start(code), 1.0)
    assert use["spent_s"] > 0.9 * use["watched_s"] - 0.1


def test_a_process_that_gets_little_of_its_core_is_starved(start: Callable[[str], CpuClock]) -> None:
    polite = start("os.nice(19)\nwhile True: pass")
    for _ in range(2):
        start("while True: pass")
    use = watched(polite, 1.5)
    assert use["starved_s"] > 0.6 * use["watched_s"]
    assert use["spent_s"] < 0.4 * use["watched_s"]
