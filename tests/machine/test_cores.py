"""Slots for exams: never more at once than allowed, in one process and between several."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from discoenv.machine import cores, locks
from discoenv.machine.cores import PIN_VARIABLE, Cores, WaitEnded, usable_cores

HOLDER = """
import sys
from pathlib import Path
from discoenv.machine.cores import Cores
with Cores(int(sys.argv[2]), Path(sys.argv[1])).hold(alone=sys.argv[3] == "alone"):
    print("held", flush=True)
    sys.stdin.read()
"""


class Holders:
    """Threads that hold a slot until they are asked to release it."""

    def __init__(self, slots: Cores) -> None:
        self._slots = slots
        self.now = self.most = 0
        self._changed = threading.Condition()
        self._may_go = threading.Event()
        self.threads: list[threading.Thread] = []

    def add(self, *, alone: bool = False) -> None:
        def hold() -> None:
            with self._slots.hold(alone=alone):
                with self._changed:
                    self.now += 1
                    self.most = max(self.most, self.now)
                    self._changed.notify_all()
                self._may_go.wait(60)
                with self._changed:
                    self.now -= 1

        self.threads.append(threading.Thread(target=hold))
        self.threads[-1].start()

    def wait_for(self, number: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.now == number, timeout=60)

    def let_go(self) -> None:
        self._may_go.set()
        for thread in self.threads:
            thread.join(60)


def ends_at_once(slots: Cores, *, alone: bool = False) -> bool:
    """Whether a slot can be had without waiting."""
    try:
        with slots.hold(alone=alone, give_up=lambda: True):
            return True
    except WaitEnded:
        return False


def test_as_many_as_there_are_slots_hold_one(tmp_path: Path) -> None:
    holders = Holders(Cores(3, tmp_path / "slots"))
    for _ in range(6):
        holders.add()
    holders.wait_for(3)
    assert not ends_at_once(holders._slots)
    holders.let_go()
    assert holders.most == 3
    assert ends_at_once(holders._slots)


def test_an_exam_that_is_to_be_alone_waits_for_all_others_and_is(tmp_path: Path) -> None:
    slots = Cores(2, tmp_path / "slots")
    holders = Holders(slots)
    holders.add()
    holders.wait_for(1)
    assert not ends_at_once(slots, alone=True)
    holders.let_go()
    with slots.hold(alone=True):
        assert not ends_at_once(slots)
        assert not ends_at_once(Cores(5, tmp_path / "slots"))


def test_two_objects_with_one_folder_share_the_machine(tmp_path: Path) -> None:
    with Cores(1, tmp_path / "slots").hold(alone=True):
        assert not ends_at_once(Cores(1, tmp_path / "slots"))
        assert ends_at_once(Cores(1, tmp_path / "another machine"))


@pytest.mark.parametrize("how", ["alone", "shared"])
def test_other_processes_are_waited_for_and_what_a_killed_one_held_is_free(tmp_path: Path, how: str) -> None:
    folder, count = tmp_path / "slots", max(2, os.cpu_count() or 1)
    mine = Cores(count, folder)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), str(count), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert ends_at_once(mine) is (how == "shared")
        assert not ends_at_once(mine, alone=True)
    finally:
        process.kill()
        process.communicate()
    assert ends_at_once(mine, alone=True)


def test_a_long_wait_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks, "_LONG_S", 0.05)
    monkeypatch.setattr(locks, "_said", set())
    mine, others = Cores(1, tmp_path / "slots"), Cores(1, tmp_path / "slots")
    with others.hold(alone=True):
        assert ends_at_once(Cores(1, tmp_path / "another machine"))
        assert not ends_at_once(mine)
        assert not caplog.messages  # no process waited
        for _ in range(2):
            asked = itertools.count()
            with pytest.raises(WaitEnded), mine.hold(give_up=lambda: next(asked) > 10):  # noqa: B023 - called here
                pass
    assert len(caplog.messages) == 1
    assert "waits for a core" in caplog.messages[0]


def test_an_error_inside_gives_the_slot_back(tmp_path: Path) -> None:
    slots = Cores(1, tmp_path / "slots")
    with pytest.raises(KeyError), slots.hold():
        raise KeyError
    assert ends_at_once(slots)


def test_there_is_a_slot_for_each_core_by_default(tmp_path: Path) -> None:
    assert Cores(folder=tmp_path).count == usable_cores() <= len(os.sched_getaffinity(0))
    with pytest.raises(ValueError, match="at least one"):
        Cores(0)


def cores_of(slots: Cores, exams: int) -> list[tuple[int, ...]]:
    """The cores of so many slots that are held at the same time."""
    with contextlib.ExitStack() as held:
        return [held.enter_context(slots.hold(give_up=lambda: True)) for _ in range(exams)]


def test_each_slot_has_its_own_core_that_this_process_may_use(tmp_path: Path) -> None:
    mine = os.sched_getaffinity(0)
    slots = Cores(len(mine), tmp_path, pin=True)
    assert sorted(cores_of(slots, len(mine))) == [(core,) for core in sorted(mine)]
    other = Cores(len(mine), tmp_path, pin=True)
    with slots.hold() as taken:
        assert taken not in cores_of(other, len(mine) - 1)


def test_slots_beyond_the_cores_have_no_core(tmp_path: Path) -> None:
    count = len(os.sched_getaffinity(0))
    assert cores_of(Cores(count + 2, tmp_path, pin=True), count + 2)[count:] == [(), ()]


def test_a_process_bound_to_one_core_takes_no_other(tmp_path: Path) -> None:
    one = max(os.sched_getaffinity(0))
    program = f"""
import contextlib
import os
from pathlib import Path
os.sched_setaffinity(0, [{one}])
from discoenv.machine.cores import Cores
slots = Cores(None, Path({str(tmp_path)!r}), pin=True)
with slots.hold() as cores, Cores(2, Path({str(tmp_path)!r}), pin=True).hold() as others:
    print(slots.count, cores, others)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout == f"1 ({one},) ()\n"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core only")
def test_a_core_that_others_use_is_taken_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = sorted(os.sched_getaffinity(0))
    for busy in mine:
        ticks, now = dict.fromkeys(mine, 1000), [50.0]
        monkeypatch.setattr(time, "monotonic", lambda now=now: now[0])
        monkeypatch.setattr(cores, "_idle_ticks", lambda ticks=ticks: dict(ticks))
        load = cores.CoreLoad()
        now[0] += 1.0
        ticks |= {core: 1000 + 100 for core in mine if core != busy}
        assert load.idlest(mine)[-1] == busy
        assert load.idlest(mine)[0] == max(set(mine) - {busy})


def test_an_exam_that_is_alone_has_the_same_core_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_idle_ticks", dict)  # others may use it now
    slots = Cores(2, tmp_path, pin=True)
    seen = set()
    for _ in range(3):
        with slots.hold(alone=True) as held:
            seen.add(held)
    assert seen == {(max(os.sched_getaffinity(0)),)}


def test_nothing_is_pinned_where_that_is_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cores_of(Cores(1, tmp_path, pin=False), 1) == [()]
    monkeypatch.setenv(PIN_VARIABLE, "0")
    assert cores_of(Cores(1, tmp_path), 1) == [()]
    assert cores_of(Cores(1, tmp_path, pin=True), 1) != [()]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core only")
def test_no_process_waits_behind_one_whose_own_core_is_taken(tmp_path: Path) -> None:
    taken, free = sorted(os.sched_getaffinity(0))[:2]
    held, waiting, over = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        os.sched_setaffinity(0, [taken])  # of this thread
        with Cores(1, tmp_path).hold():
            held.set()
            assert over.wait(60)

    def wait_for_the_same() -> None:
        def give_up() -> bool:
            waiting.set()
            return over.is_set()

        os.sched_setaffinity(0, [taken])
        with contextlib.suppress(WaitEnded), Cores(1, tmp_path).hold(give_up=give_up):
            pass

    def take_another() -> None:
        os.sched_setaffinity(0, [free])
        got.append(ends_at_once(Cores(1, tmp_path)))

    got: list[bool] = []
    for function, event in ((hold, held), (wait_for_the_same, waiting)):
        threading.Thread(target=function, daemon=True).start()
        assert event.wait(60)
    other = threading.Thread(target=take_another)
    other.start()
    other.join(60)
    over.set()
    assert got == [True]
