"""The examiner's process: one exam at a time, one connection per exam; a failure of the process is no score."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from discoenv.errors import InfraError
from discoenv.exams.examiner_client import EXAMINER_MODULE, Examination, ExaminerProcess, Training
from discoenv.kits.exam import messages
from discoenv.machine import started
from discoenv.tasks.domain import Domain
from tests.conftest import TOY

TARGET = {
    "dataset": "Line",
    "backend": "default",
    "scale": "tiny",
    "config": {"n": 16, "noise": 0.0, "held_out": 8},
    "data": None,
    "hands_over": False,
    "state_bytes": 1 << 20,
}
Play = Callable[[socket.socket], object]


@pytest.fixture(scope="module")
def warm() -> Iterator[ExaminerProcess]:
    """An examiner process of the toy domain that all tests share."""
    process = ExaminerProcess(TOY / "Toy")
    yield process
    process.close()


@pytest.fixture
def fresh(copy_of_toy: Callable[[], Path]) -> Iterator[Callable[[str], ExaminerProcess]]:
    """Starts examiner processes whose ``examiner.py`` ends in other code."""
    started: list[ExaminerProcess] = []

    def make(code: str) -> ExaminerProcess:
        folder = copy_of_toy()
        with (folder / "examiner.py").open("a") as file:
            file.write(textwrap.dedent(code))
        started.append(ExaminerProcess(folder))
        return started[-1]

    yield make
    for process in started:
        process.close()


def answering(predict: Callable[[Any], Any]) -> Play:
    """A learner that says it is ready, and answers with ``predict`` until it is stopped."""

    def play(connection: socket.socket) -> None:
        messages.send(connection, {"ready": True})
        while question := messages.receive(connection):
            messages.send(connection, {"answer": predict(*question["args"])})

    return play


def right(x: Any) -> Any:
    return 1.5 * x + 0.5 * x**2


@dataclass
class Result:
    """What an examiner replied about one exam: about its training, and about the questions if it came to them."""

    training: Training
    examination: Examination | None

    @property
    def status(self) -> str:
        return (self.examination or self.training)["status"]

    @property
    def message(self) -> str:
        return (self.examination or self.training)["message"]

    @property
    def metrics(self) -> dict[str, float] | None:
        return self.examination["metrics"] if self.examination else None


def prepare(process: ExaminerProcess, folder: Path) -> None:
    process.request("prepare", target=TARGET, seed=1, stage=0, data=str(folder), address=str(folder / "socket"))


def question(process: ExaminerProcess, budget_s: float = 60.0, watch: Callable[[], None] | None = None) -> Result:
    """Train and question the learner that an examiner has been prepared for."""
    training: Training = process.request(
        "train", while_waiting=watch, target=TARGET, seed=1, stage=0, started=time.monotonic(), budget_s=budget_s
    )
    if training["status"] != "ok":
        return Result(training, None)
    examination: Examination = process.request(
        "question", while_waiting=watch, target=TARGET, seed=1, stage=0, budget_s=budget_s, answered_by="learner"
    )
    return Result(training, examination)


def examine(process: ExaminerProcess, folder: Path, play: Play | None, budget_s: float = 60.0) -> Result:
    """One exam against a thread, stopped at its end; without ``play``, the learner ends without connecting."""
    prepare(process, folder)
    connection = socket.socket(socket.AF_UNIX)

    def learn() -> None:
        with connection:
            try:
                connection.connect(str(folder / "socket"))
                assert play
                play(connection)
            except OSError:
                return

    learner = threading.Thread(target=learn)
    if play:
        learner.start()
    aborted = False

    def watch() -> None:
        nonlocal aborted
        if not aborted and not learner.is_alive():
            aborted = True
            process.abort()

    reply = question(process, budget_s, watch)
    if play:
        stop(connection)
        learner.join()
    return reply


def stop(connection: socket.socket) -> None:
    """To a learner that reads from the connection, this is the end."""
    with contextlib.suppress(OSError):  # the learner has closed it
        connection.shutdown(socket.SHUT_RDWR)


def identity(process: ExaminerProcess) -> int:
    assert process._process
    return process._process.pid


def test_an_exam_gives_metrics_and_times(warm: ExaminerProcess, tmp_path: Path) -> None:
    reply = examine(warm, tmp_path, answering(right))
    assert reply.status == "ok"
    assert reply.message == ""
    assert reply.metrics == pytest.approx({"r2": 1.0, "mse": 0.0})
    assert reply.examination
    assert reply.examination["questions"] == 4
    assert reply.training["training_s"] is not None
    assert reply.training["training_s"] >= 0
    assert reply.examination["answering_s"] >= 0


def test_training_data_are_written_where_the_learner_reads_them(warm: ExaminerProcess, tmp_path: Path) -> None:
    examine(warm, tmp_path, answering(right))
    with np.load(tmp_path / "train.npz", allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["x", "y"]
        np.testing.assert_allclose(arrays["y"], right(arrays["x"]))
    assert (tmp_path / "train.npz").stat().st_mode & 0o777 == 0o644
    assert not (tmp_path / "socket").exists()


def test_the_process_is_warm_and_the_same_seed_gives_the_same_score(warm: ExaminerProcess, tmp_path: Path) -> None:
    first = examine(warm, tmp_path, answering(lambda x: x))
    before = identity(warm)
    again = examine(warm, tmp_path, answering(lambda x: x))
    assert identity(warm) == before
    assert again.metrics == first.metrics


def test_the_floor_needs_no_learner(warm: ExaminerProcess) -> None:
    floor = warm.request("floor", target=TARGET, seed=1)
    assert set(floor) == {"r2", "mse"}
    assert floor["r2"] <= 0


@pytest.mark.parametrize(
    ("play", "status", "message"),
    [
        (
            lambda c: messages.send(c, {"answer": 1}),
            "protocol_error",
            "the first message was not serve()'s announcement",
        ),
        (lambda c: c.sendall(b"GET / HTTP/1.1\r\n\r\n"), "protocol_error", "a message announces"),
        (lambda c: c.sendall(messages.LENGTHS.pack(2**32 - 1, 2**64 - 1)), "protocol_error", "the limits are"),
        (
            lambda c: c.sendall(messages.LENGTHS.pack(100, 0) + b"half"),
            "gone",
            "closed its connection",
        ),
        (lambda c: None, "gone", "closed its connection"),
        (lambda c: messages.send(c, {"ready": True}), "gone", "closed its connection"),
        (answering(lambda x: x[:-1]), "protocol_error", "predict() answered float64 of shape (1,); expected"),
        (answering(lambda x: np.full_like(x, np.nan)), "protocol_error", "2 of 2 values that are NaN or infinite"),
        (answering(lambda x: x.tolist()), "protocol_error", "predict() answered list"),
        (answering(lambda x: x > 0), "protocol_error", "predict() answered bool"),
        (answering(lambda x: {"skill": 1e9}), "protocol_error", "predict() answered dict"),
    ],
)
def test_a_learner_that_breaks_the_rules_is_an_outcome(
    warm: ExaminerProcess, tmp_path: Path, play: Play, status: str, message: str
) -> None:
    reply = examine(warm, tmp_path, play)
    assert reply.status == status
    assert message in reply.message
    assert reply.metrics is None
    assert not (tmp_path / "socket").exists()


def test_an_exam_whose_learner_never_connects_ends_when_it_is_aborted(warm: ExaminerProcess, tmp_path: Path) -> None:
    reply = examine(warm, tmp_path, None)
    assert (reply.status, reply.training["training_s"]) == ("gone", None)
    assert reply.message == "the learner ended before training was over"


@pytest.mark.parametrize("sent", [None, b"", b"\x10"])
def test_an_exam_whose_learner_is_silent_ends_with_its_budget(
    warm: ExaminerProcess, tmp_path: Path, sent: bytes | None
) -> None:
    """It does not connect; connects; sends half a length."""
    over = threading.Event()

    def play(connection: socket.socket) -> None:
        connection.sendall(sent or b"")
        connection.recv(1)

    def never(connection: socket.socket) -> None:
        over.wait()

    if sent is None:
        prepare(warm, tmp_path)
        reply = question(warm, budget_s=0.05)
        assert reply.message == "the compute budget was spent before training was over"
    else:
        reply = examine(warm, tmp_path, play, budget_s=0.1)
        assert "the compute budget was spent" in reply.message
    assert (reply.status, reply.metrics) == ("timeout", None)


def test_an_answer_that_does_not_come_ends_with_the_budget(warm: ExaminerProcess, tmp_path: Path) -> None:
    def play(connection: socket.socket) -> None:
        messages.send(connection, {"ready": True})
        messages.receive(connection)
        connection.recv(1)

    reply = examine(warm, tmp_path, play, budget_s=0.2)
    assert reply.examination
    assert (reply.status, reply.examination["questions"]) == ("timeout", 1)


def test_a_second_connection_is_refused(warm: ExaminerProcess, tmp_path: Path) -> None:
    refused: list[bool] = []

    def play(connection: socket.socket) -> None:
        messages.send(connection, {"ready": True})
        question = messages.receive(connection)  # so the first connection has been accepted
        with socket.socket(socket.AF_UNIX) as second:
            try:
                second.connect(str(tmp_path / "socket"))
            except OSError:
                refused.append(True)
        messages.send(connection, {"answer": right(*question["args"])})
        answering_rest(connection)

    def answering_rest(connection: socket.socket) -> None:
        while "call" in (question := messages.receive(connection)):
            messages.send(connection, {"answer": right(*question["args"])})

    assert examine(warm, tmp_path, play).status == "ok"
    assert refused == [True]


def test_a_connection_that_waits_behind_the_first_is_dropped(warm: ExaminerProcess, tmp_path: Path) -> None:
    ends: list[object] = []

    def play(connection: socket.socket, second: socket.socket) -> None:
        answering(right)(connection)
        try:
            ends.append(second.recv(1))
        except ConnectionResetError:
            ends.append(b"")

    prepare(warm, tmp_path)
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        first.connect(str(tmp_path / "socket"))
        second.connect(str(tmp_path / "socket"))
        learner = threading.Thread(target=play, args=[first, second])
        learner.start()
        reply = question(warm)
        stop(first)
        learner.join()
    assert reply.status == "ok"
    assert ends == [b""]


def test_leaving_and_being_aborted_at_the_same_time_is_always_an_outcome(warm: ExaminerProcess, tmp_path: Path) -> None:
    """The race between a learner's connection, its end, and the host noticing that end."""
    for _ in range(40):
        reply = examine(warm, tmp_path, lambda c: messages.send(c, {"ready": True}))
        assert reply.status == "gone"
    assert examine(warm, tmp_path, answering(right)).status == "ok"


def test_an_abort_that_comes_too_late_does_not_end_the_next_exam(warm: ExaminerProcess, tmp_path: Path) -> None:
    for _ in range(5):
        assert examine(warm, tmp_path, answering(right)).status == "ok"
        warm.abort()


@pytest.mark.parametrize("read", [True, False])
def test_it_ends_with_its_host_also_when_a_reply_is_unread(read: bool) -> None:
    ours, theirs = socket.socketpair()
    descriptor = str(theirs.fileno())
    command = [sys.executable, "-m", EXAMINER_MODULE, str(TOY / "Toy"), descriptor, started.name("examiner")]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()
    ours.sendall(json.dumps({"operation": "floor", "target": TARGET, "seed": 1}).encode() + b"\n")
    assert ours.recv(1 << 16, 0 if read else socket.MSG_PEEK).startswith(b'{"reply"')
    ours.close()
    try:
        assert process.wait(60) == 0
    finally:
        process.kill()


def test_a_crash_of_the_examiner_is_an_infrastructure_error_with_its_traceback(
    fresh: Callable[[str], ExaminerProcess], tmp_path: Path
) -> None:
    process = fresh("""
        def examine(self, learner, seed):
            learner.ask("predict", np.zeros(3), returns=Array((3,)))
            return {"r2": 1 / 0}

        RegressionExaminer.examine = examine
    """)
    with pytest.raises(InfraError, match=r"(?s)examiner of Toy failed: ZeroDivisionError.*examiner\.py.*1 / 0"):
        examine(process, tmp_path, answering(right))
    before = identity(process)
    assert set(process.request("floor", target=TARGET, seed=1)) == {"r2", "mse"}
    assert identity(process) == before


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("class Another(RegressionExaminer): pass", "must define one subclass of Examiner, not 2"),
        ("del RegressionExaminer", "must define one subclass of Examiner, not 0"),
        ("def f(:", "SyntaxError"),
        (
            "RegressionExaminer.training_data = lambda self, seed: {'x': np.array([{}])}",
            "training_data() of Line: only plain arrays",
        ),
        ("RegressionExaminer.__init__ = lambda self, *args: [][0]", "IndexError"),
    ],
)
def test_a_faulty_examiner_is_an_infrastructure_error_that_says_why(
    fresh: Callable[[str], ExaminerProcess], tmp_path: Path, code: str, message: str
) -> None:
    process = fresh(code)
    with pytest.raises(InfraError) as caught:
        prepare(process, tmp_path)
    assert message in str(caught.value)


def test_questions_are_prepared_while_a_learner_trains(fresh: Callable[[str], ExaminerProcess], tmp_path: Path) -> None:
    process = fresh("""
        import threading

        def prepare_questions(self, seed, stage):
            self.prepared = (seed, stage, threading.current_thread() is threading.main_thread())

        RegressionExaminer.prepare_questions = prepare_questions
        RegressionExaminer.floor = lambda self, seed: {"r2": float(self.prepared == (1, 0, False))}
    """)
    assert examine(process, tmp_path, answering(right)).status == "ok"
    assert process.request("floor", target=TARGET, seed=1) == {"r2": 1.0}


def test_a_fault_of_preparing_is_an_infrastructure_error(
    fresh: Callable[[str], ExaminerProcess], tmp_path: Path
) -> None:
    process = fresh("RegressionExaminer.prepare_questions = lambda self, seed, stage: 1 / 0")
    with pytest.raises(InfraError, match="ZeroDivisionError"):
        examine(process, tmp_path, answering(right))


def test_an_examiner_may_import_the_files_beside_it(copy_of_toy: Callable[[], Path]) -> None:
    folder = copy_of_toy()
    (folder / "numbers_of_mine.py").write_text("HALF = 0.5\n")
    with (folder / "examiner.py").open("a") as file:
        file.write("\nfrom . import numbers_of_mine\n")
        file.write("RegressionExaminer.floor = lambda self, seed: {'r2': numbers_of_mine.HALF}\n")
    process = ExaminerProcess(folder)
    try:
        assert process.request("floor", target=TARGET, seed=1) == {"r2": 0.5}
    finally:
        process.close()


def test_an_examiner_is_made_once_per_dataset_scale_and_configuration(
    fresh: Callable[[str], ExaminerProcess],
) -> None:
    process = fresh("""
        made = []

        def floor(self, seed):
            if self not in made:
                made.append(self)
            return {"r2": len(made)}

        RegressionExaminer.floor = floor
    """)
    other = {**TARGET, "config": {"n": 17}}
    counts = [process.request("floor", target=target, seed=0)["r2"] for target in (TARGET, TARGET, other, TARGET)]
    assert counts == [1, 1, 2, 2]


def test_the_death_of_the_examiner_is_an_infrastructure_error_and_the_next_request_works(
    fresh: Callable[[str], ExaminerProcess], tmp_path: Path
) -> None:
    process = fresh("")
    prepare(process, tmp_path)
    before = identity(process)
    with pytest.raises(InfraError, match="the examiner of Toy died during 'train'"):
        question(process, watch=lambda: os.kill(before, signal.SIGKILL))
    assert not psutil.pid_exists(before)
    assert examine(process, tmp_path, answering(right)).status == "ok"
    assert identity(process) != before


def test_a_death_between_requests_is_not_noticed(fresh: Callable[[str], ExaminerProcess]) -> None:
    process = fresh("")
    floor = process.request("floor", target=TARGET, seed=1)
    assert process._process
    process._process.kill()
    process._process.wait()
    assert process.request("floor", target=TARGET, seed=1) == floor


def test_the_log_of_a_dying_examiner_is_reported(fresh: Callable[[str], ExaminerProcess]) -> None:
    process = fresh("""
        import os, sys
        print("the disk is full", file=sys.stderr, flush=True)
        os._exit(3)
    """)
    with pytest.raises(InfraError, match=r"(?s)died during 'floor'.*end of its log:.*the disk is full"):
        process.request("floor", target=TARGET, seed=1)


def test_an_interrupted_request_does_not_leave_its_reply_to_the_next_one(
    fresh: Callable[[str], ExaminerProcess], tmp_path: Path
) -> None:
    process = fresh("")
    prepare(process, tmp_path)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        question(process, 0.01, interrupt)
    assert set(process.request("floor", target=TARGET, seed=1)) == {"r2", "mse"}
    assert examine(process, tmp_path, answering(right)).status == "ok"


def test_closing_from_another_thread_ends_a_request(fresh: Callable[[str], ExaminerProcess], tmp_path: Path) -> None:
    process = fresh("")
    prepare(process, tmp_path)
    closing = threading.Thread(target=process.close)
    with pytest.raises(InfraError, match="died"):
        question(process, watch=lambda: None if closing.ident else closing.start())
    closing.join()


def test_closing_twice_ends_the_process_once(fresh: Callable[[str], ExaminerProcess]) -> None:
    process = fresh("")
    process.close()
    process.request("floor", target=TARGET, seed=1)
    pid = identity(process)
    process.close()
    process.close()
    assert not psutil.pid_exists(pid)


def test_no_descriptor_is_left_open(copy_of_toy: Callable[[], Path], tmp_path: Path) -> None:
    folder = copy_of_toy()

    def once() -> None:
        process = ExaminerProcess(folder)
        examine(process, tmp_path, answering(right))
        process.close()

    once()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    once()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_an_examiner_does_not_outlive_its_host(toy: Domain) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from discoenv.exams.examiner_client import ExaminerProcess
process = ExaminerProcess(Path(sys.argv[1]))
target = {"dataset": "Line", "scale": "tiny", "config": {"n": 16, "noise": 0, "held_out": 8}}
process.request("floor", target=target, seed=1)
print(process._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", program, str(toy.directory)]
    host = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=120)
    assert host.returncode == -signal.SIGKILL
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(host.stdout)).wait(timeout=60)
