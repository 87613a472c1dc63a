"""What a process inherits from who started it does not keep exams from being held."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from discoenv.errors import InfraError
from discoenv.exams.host import Host
from discoenv.machine import signals


@pytest.fixture(autouse=True)
def before() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGCHLD)
    yield
    signal.signal(signal.SIGCHLD, handler)


def test_a_host_learns_how_children_end_although_sigchld_was_ignored() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with Host("process"):
        assert subprocess.run([sys.executable, "-c", "raise SystemExit(3)"], check=False).returncode == 3


def test_a_handler_of_the_user_s_stays() -> None:
    def handler(number: int, frame: object) -> None: ...

    signal.signal(signal.SIGCHLD, handler)
    signals.heed_children()
    assert signal.getsignal(signal.SIGCHLD) is handler


def test_another_thread_is_told_what_to_call() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    caught: list[InfraError] = []

    def heed() -> None:
        try:
            signals.heed_children()
        except InfraError as error:
            caught.append(error)

    thread = threading.Thread(target=heed)
    thread.start()
    thread.join()
    assert "signal.signal(signal.SIGCHLD, signal.SIG_DFL)" in str(caught[0])
