"""Slots for exams: never more at once than allowed, in one process and between several."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from discoenv.exams.slots import ExamSlots, WaitEnded, usable_cores

HOLDER = """
import sys
from pathlib import Path
from discoenv.exams.slots import ExamSlots
with ExamSlots(int(sys.argv[2]), Path(sys.argv[1])).hold(alone=sys.argv[3] == "alone"):
    print("held", flush=True)
    sys.stdin.read()
"""


class Holders:
    """Threads that hold a slot until they are told to let go."""

    def __init__(self, slots: ExamSlots) -> None:
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


def ends_at_once(slots: ExamSlots, *, alone: bool = False) -> bool:
    """Whether a slot can be had without waiting."""
    try:
        with slots.hold(alone=alone, give_up=lambda: True):
            return True
    except WaitEnded:
        return False


def test_as_many_as_there_are_slots_hold_one(tmp_path: Path) -> None:
    holders = Holders(ExamSlots(3, tmp_path / "slots"))
    for _ in range(6):
        holders.add()
    holders.wait_for(3)
    assert not ends_at_once(holders._slots)
    holders.let_go()
    assert holders.most == 3
    assert ends_at_once(holders._slots)


def test_whoever_is_alone_waits_for_all_others_and_is(tmp_path: Path) -> None:
    slots = ExamSlots(2, tmp_path / "slots")
    holders = Holders(slots)
    holders.add()
    holders.wait_for(1)
    assert not ends_at_once(slots, alone=True)
    holders.let_go()
    with slots.hold(alone=True):
        assert not ends_at_once(slots)
        assert not ends_at_once(ExamSlots(5, tmp_path / "slots"))


def test_two_objects_with_one_folder_share_the_machine(tmp_path: Path) -> None:
    with ExamSlots(1, tmp_path / "slots").hold(alone=True):
        assert not ends_at_once(ExamSlots(1, tmp_path / "slots"))
        assert ends_at_once(ExamSlots(1, tmp_path / "another machine"))


@pytest.mark.parametrize("how", ["alone", "shared"])
def test_other_processes_are_waited_for_and_what_a_killed_one_held_is_free(tmp_path: Path, how: str) -> None:
    folder, count = tmp_path / "slots", max(2, os.cpu_count() or 1)
    mine = ExamSlots(count, folder)
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


def test_an_error_inside_gives_the_slot_back(tmp_path: Path) -> None:
    slots = ExamSlots(1, tmp_path / "slots")
    with pytest.raises(KeyError), slots.hold():
        raise KeyError
    assert ends_at_once(slots)


def test_there_is_a_slot_for_each_core_unless_told_otherwise(tmp_path: Path) -> None:
    assert ExamSlots(folder=tmp_path).count == usable_cores() <= len(os.sched_getaffinity(0))
    with pytest.raises(ValueError, match="at least one"):
        ExamSlots(0)
