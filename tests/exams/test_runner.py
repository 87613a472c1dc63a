"""Real exams in a real sandbox: whatever the modules do, the outcome has the right status and an honest score."""

from __future__ import annotations

import os
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from discoenv.errors import InfraError
from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.exams.runner import learner_seed
from discoenv.exams.spec import ExamSpec
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting, Task
from discoenv.tasks.workspace import base_modules, initial_modules, materialise
from tests.conftest import TOY, FailingSandbox, MakeVariant

Run = Callable[..., ExamResult]
#: Speaks the protocol from inside a module, before main.py does.
FORGE = """
import exam, os, socket, sys, threading, time
connection = socket.socket(socket.AF_UNIX)
connection.connect(os.environ["EXAM_SOCKET"])
"""


TOY_DOMAIN = Domain(TOY / "Toy")


def line(domain: Domain = TOY_DOMAIN, *, seed: int = 1, budget_s: float = 60.0) -> ExamSpec:
    """An exam of one dataset of the toy domain."""
    return ExamSpec(Setting(domain, "default", "Line", "tiny"), seed, budget_s)


@pytest.fixture(scope="module")
def host(sandbox: Sandbox) -> Iterator[Host]:
    """One host, and so warm examiners, for all tests."""
    with Host(sandbox) as host:
        yield host


@pytest.fixture
def run(host: Host, task: Task, tmp_path: Path) -> Run:
    """Runs an exam of the base modules, of which some are replaced."""

    def run(modules: Mapping[str, str] | None = None, *, seed: int = 1, budget_s: float = 60.0) -> ExamResult:
        modules = base_modules(task) | dict(modules or {})
        workspace = materialise(task, tmp_path / "workspace", modules=modules)
        return host.run(workspace, line(seed=seed, budget_s=budget_s))

    return run


@pytest.fixture
def before_model(task: Task, run: Run) -> Callable[..., ExamResult]:
    """Runs an exam whose ``model.py`` begins with other code."""

    def run_with(code: str, *, seed: int = 1, budget_s: float = 60.0) -> ExamResult:
        model = textwrap.dedent(code) + base_modules(task)["model.py"]
        return run({"model.py": model}, seed=seed, budget_s=budget_s)

    return run_with


@pytest.fixture(scope="module")
def honest(host: Host, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Metrics of the base modules, without any trick, at seed 1."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("discoenv.tasks.registry.BUILTIN", TOY)
        task = Task(
            domain="Toy", modules=("model",), meta_train=("Line",), meta_test=("Wave",), scale="tiny", start="base"
        )
        workspace = materialise(task, tmp_path_factory.mktemp("honest") / "workspace")
    result = host.run(workspace, line())
    assert result.metrics
    return result.metrics


def leftovers() -> list[str]:
    """Temporary directories of this process."""
    return [str(path) for path in Path(tempfile.gettempdir()).glob(f"discoenv-*-{os.getpid()}-*")]


def assert_own_frames_only(traceback: str) -> None:
    for word in ("site-packages", "/usr/", "/workspace", "lib/python"):
        assert word not in traceback


# ---- what a good exam gives


def test_an_exam_of_the_base_gives_its_score_and_its_costs(run: Run, honest: dict[str, float]) -> None:
    result = run()
    assert (result.status, result.message, result.traceback) == ("ok", "", "")
    assert result.metrics == honest
    assert honest.keys() == {"r2", "mse"}
    assert 0.9 < honest["r2"] < 1
    assert (result.dataset, result.seed, result.budget_s, result.questions) == ("Line", 1, 60.0, 4)
    assert result.training_s is not None
    assert result.seconds == result.training_s + result.answering_s
    assert 0 < result.seconds < result.wall_s
    assert result.cpu_s > 0
    assert result.peak_memory_bytes > 1 << 20
    assert result.stdout == "fitted 128 points in [-1.0, 1.0]\n"


def test_better_modules_are_better(run: Run, good: dict[str, str], honest: dict[str, float]) -> None:
    metrics = run(good).metrics
    assert metrics
    assert metrics["r2"] > honest["r2"]
    assert metrics["mse"] < honest["mse"]


def test_the_same_seed_gives_the_same_score_and_another_seed_another(run: Run) -> None:
    first, again, other = run(seed=2**62 + 1), run(seed=2**62 + 1), run(seed=2)
    assert first.metrics == again.metrics != other.metrics


def test_the_learner_gets_a_seed_that_does_not_reveal_the_examiners(before_model: Callable[..., ExamResult]) -> None:
    result = before_model("import exam; print('seed', exam.seed())\n", seed=7)
    assert f"seed {learner_seed(7)}" in result.stdout
    assert 0 <= learner_seed(7) < 2**31
    assert len({learner_seed(seed) for seed in range(100)}) == 100


# ---- failures of the modules


def test_a_stub_fails_and_names_its_function(run: Run, task: Task) -> None:
    result = run(initial_modules(task))
    assert result.status == "error"
    assert result.metrics is None
    assert result.seconds is None
    assert result.message == "NotImplementedError: features.py: features is not implemented"
    assert "Line/features.py" in result.traceback
    assert_own_frames_only(result.traceback)


FAILURES = {
    "syntax error": ("def f(:\n", "SyntaxError: invalid syntax", "Line/model.py"),
    "exception on import": ("raise ValueError('boom')\n", "ValueError: boom", "Line/model.py"),
    "wrong name": ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'", "Line/model.py"),
    "wrong import of the package": (
        "import discoenv.exams\n",
        "ModuleNotFoundError: No module named 'discoenv'",
        "Line/model.py",
    ),
    "an exception of a library": (
        "import numpy as np\nnp.linalg.solve(np.zeros((2, 2)), np.zeros(2))\n",
        "numpy.linalg.LinAlgError: Singular matrix",
        "Line/model.py",
    ),
    "endless recursion": (
        "def f():\n    f()\nf()\n",
        "RecursionError: maximum recursion depth exceeded",
        "Previous line repeated",
    ),
    "an exception of several lines": ("raise ValueError('a\\n  b\\nc: d')\n", "ValueError: a", "c: d"),
    "exit": ("import os\nos._exit(0)\n", "it ended with exit code 0 and left no traceback", ""),
    "exit with a code": ("import sys\nsys.exit(3)\n", "it ended with exit code 3 and left no traceback", ""),
    "suicide": ("import os\nos.kill(os.getpid(), 9)\n", "it was killed by signal 9 and left no traceback", ""),
    "a child that goes on in its parent's place": (  # after a moment, which the end of the sandbox takes too
        "import os, time\nif os.fork(): os._exit(0)\ntime.sleep(1)\n",
        "it ended with exit code 0 and left no traceback",
        "",
    ),
    "printing a score at exit": (
        "import atexit, os, sys\natexit.register(print, '{\"skill\": 1e9}')\nsys.exit(0)\n",
        "it ended with exit code 0 and left no traceback",
        "",
    ),
    "replacing serve by a print": (
        'import exam\nexam.serve = lambda model: print(\'{"results": {"Line": {"r2": 1e9}}}\')\n',
        "the learner ended before training was over: it ended with exit code 0 and left no traceback",
        "",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_modules_that_fail_before_serving_are_an_error(before_model: Callable[..., ExamResult], name: str) -> None:
    code, message, shown = FAILURES[name]
    result = before_model(code)
    assert (result.status, result.metrics, result.seconds) == ("error", None, None)
    assert message in result.message
    assert "\n" not in result.message
    assert shown in result.traceback
    assert_own_frames_only(result.traceback)


def predicting(expression: str) -> dict[str, str]:
    """A model whose predictions are an expression in ``phi``."""
    return {
        "model.py": f"""
import os, sys, time
import numpy as np

class Model:
    def fit(self, phi, y, rng):
        self.mean = y.mean()

    def predict(self, phi):
        return {expression}
"""
    }


@pytest.mark.parametrize(
    ("expression", "status", "message"),
    [
        ("phi[:, :1]", "protocol_error", "predict() answered float64 of shape (16, 1); expected float of shape (16,)"),
        ("phi[:3, 0]", "protocol_error", "predict() answered float64 of shape (3,)"),
        ("np.full(len(phi), np.nan)", "protocol_error", "predict() answered 16 of 16 values that are NaN or infinite"),
        ("list(phi[:, 0])", "protocol_error", "predict() answered list"),
        ("{'skill': 1e9}", "protocol_error", "predict() answered dict"),
        ("None", "protocol_error", "predict() answered NoneType"),
        ("1 / 0", "error", "ZeroDivisionError: division by zero"),
        ("object()", "error", "TypeError: "),
        ("os._exit(0)", "error", "it ended with exit code 0 and left no traceback"),
        ("sys.exit('bye')", "error", "it ended with exit code 1 and left no traceback"),
        ("time.sleep(1000)", "timeout", "the compute budget was spent before the learner answered (1.5 s)"),
    ],
)
def test_wrong_answers_are_outcomes_that_say_what_was_expected(
    run: Run, expression: str, status: str, message: str
) -> None:
    result = run(predicting(expression), budget_s=1.5 if status == "timeout" else 60.0)
    assert (result.status, result.metrics, result.questions) == (status, None, 1)
    assert message in result.message
    assert_own_frames_only(result.traceback)


def test_the_traceback_of_a_failing_answer_is_never_lost(run: Run) -> None:
    """The connection is closed before the traceback is printed; the learner must live long enough to print it."""
    code = predicting("1 / 0")["model.py"] + "\nimport atexit\natexit.register(time.sleep, 0.3)\n"
    slow_hook = "\nshow = sys.excepthook\nsys.excepthook = lambda *error: (time.sleep(0.3), show(*error))\n"
    result = run({"model.py": code + slow_hook})
    assert result.message == "ZeroDivisionError: division by zero"
    assert 'File "Line/main.py", line 18, in predict' in result.traceback
    assert 'File "Line/model.py", line 10, in predict' in result.traceback


@pytest.mark.parametrize("code", ["while True: pass\n", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n"])
def test_endless_training_ends_with_the_budget(before_model: Callable[..., ExamResult], code: str) -> None:
    result = before_model(code, budget_s=1.0)
    assert (result.status, result.metrics, result.seconds) == ("timeout", None, None)
    assert result.message == "the compute budget was spent before training was over (1 s)"


def test_too_much_memory_is_reported_with_the_limit(
    make_variant: MakeVariant, sandbox: Sandbox, task: Task, tmp_path: Path
) -> None:
    domain = make_variant("Toy", change=lambda c: c["limits"].update(memory_gib=0.25))
    modules = base_modules(task) | {"model.py": "hog = []\nwhile True:\n    hog.append(b'x' * (1 << 24))\n"}
    workspace = materialise(task, tmp_path / "workspace", modules=modules)
    with Host(sandbox) as host:
        result = host.run(workspace, line(domain))
    assert (result.status, result.message) == ("memory", "the memory limit of 0.25 GiB was exceeded")


# ---- tricks

TRICKS = {
    "printing a score": "print('{\"skill\": 1e9}', flush=True)\n",
    "printing a score at exit": "import atexit\natexit.register(print, '{\"skill\": 1e9}')\n",
    "printing from a thread": """
import threading
def shout():
    while True:
        print('{"results": {"Line": {"r2": 1e9}}}')
threading.Thread(target=shout, daemon=True).start()
""",
    "closing stdout and stderr": "import os, sys\nos.close(1)\nos.close(2)\nsys.stdout = open(os.devnull, 'w')\n",
    "bytes that are not text": "import sys\nsys.stdout.buffer.write(b'\\xff\\x00\\xfe' * 1000)\n",
    "a forged traceback": "import sys\nprint('Traceback (most recent call last):\\nScore: 1e9', file=sys.stderr)\n",
    "a thread that never ends": "import threading\nthreading.Thread(target=threading.Event().wait).start()\n",
    "ignoring signals": "import signal\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n",
}


@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_does_not_change_the_score(
    before_model: Callable[..., ExamResult], honest: dict[str, float], name: str
) -> None:
    result = before_model(TRICKS[name])
    assert (result.status, result.metrics) == ("ok", honest)
    assert len(result.stdout) <= 64 << 10


def test_a_connection_that_is_opened_and_closed_early_ends_the_exam(before_model: Callable[..., ExamResult]) -> None:
    result = before_model(FORGE + "connection.close()\n")
    assert (result.status, result.metrics) == ("error", None)
    assert "ConnectionRefusedError" in result.message or "FileNotFoundError" in result.message


def test_saying_ready_early_gains_nothing(before_model: Callable[..., ExamResult], honest: dict[str, float]) -> None:
    """The module speaks the protocol itself and trains while the first question waits: that time is charged."""
    code = """
exam.send(connection, {"ready": True})

def serve(model):
    while "call" in (question := exam.receive(connection)):
        exam.send(connection, {"answer": model.predict(*question["args"])})

time.sleep(0.3)
exam.serve = serve
"""
    result = before_model(FORGE + code)
    assert (result.status, result.metrics) == ("ok", honest)
    assert result.seconds is not None
    assert result.seconds > 0.3


@pytest.mark.parametrize(
    "message",
    [
        '{"ready": True, "metrics": {"r2": 1e9}}',
        '{"answer": 1e9}',
        '{"status": "ok", "metrics": {"r2": 1e9}, "message": "", "training_s": 0, "answering_s": 0, "questions": 4}',
        '{"reply": {"r2": 1e9}}',
        "[]",
    ],
)
def test_forged_messages_are_protocol_errors(before_model: Callable[..., ExamResult], message: str) -> None:
    result = before_model(f"{FORGE}exam.send(connection, {message})\ntime.sleep(1000)\n")
    assert (result.status, result.metrics) == ("protocol_error", None)


def test_answers_sent_before_the_questions_are_just_wrong_answers(
    before_model: Callable[..., ExamResult], honest: dict[str, float]
) -> None:
    code = """
import numpy as np
exam.send(connection, {"ready": True})
for _ in range(4):
    exam.send(connection, {"answer": np.ones(16)})
time.sleep(1000)
"""
    result = before_model(FORGE + code)
    assert result.status == "ok"
    assert result.metrics
    assert result.metrics["r2"] < honest["r2"]


def test_output_is_bounded_and_its_end_is_kept(before_model: Callable[..., ExamResult]) -> None:
    result = before_model("for i in range(100_000): print('line', i)\n")
    assert result.status == "ok"
    assert len(result.stdout.encode()) <= 64 << 10
    assert "line 99999\n" in result.stdout


def test_what_an_interpreter_does_at_its_end_is_no_cost(before_model: Callable[..., ExamResult]) -> None:
    code = """
import atexit, time
@atexit.register
def at_exit():
    print("left")
    kept = b"x" * (256 << 20)
    time.sleep(1)
"""
    result = before_model(code)
    assert result.status == "ok"
    assert "left" not in result.stdout
    assert result.peak_memory_bytes < 200 << 20


def test_children_of_the_learner_are_killed_with_it(before_model: Callable[..., ExamResult]) -> None:
    marker = f"orphan-of-{os.getpid()}"
    code = f"""
import subprocess, sys
for _ in range(3):
    subprocess.Popen(
        [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)", "{marker}"],
        start_new_session=True,
    )
"""
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    assert before_model(code).status == "ok"
    after = {process.pid for process in psutil.Process().children(recursive=True)}
    assert after <= before
    assert not [p.pid for p in psutil.process_iter(["cmdline"]) if marker in (p.info["cmdline"] or [])]


def test_exams_leave_no_directory_and_no_descriptor(run: Run) -> None:
    run()
    descriptors, folders = len(os.listdir("/proc/self/fd")), leftovers()  # noqa: PTH208
    run()
    run({"model.py": "import os\nos._exit(0)\n"})
    assert leftovers() == folders == []
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208


# ---- failures of the machine


def test_a_sandbox_that_fails_is_an_infrastructure_error_and_the_next_exam_works(
    toy: Domain, task: Task, sandbox: Sandbox, tmp_path: Path
) -> None:
    workspace = materialise(task, tmp_path / "workspace", modules=base_modules(task))
    host = Host(FailingSandbox(sandbox, failures=2))
    try:
        with pytest.raises(InfraError, match="the sandbox failed: no space for another sandbox"):
            host.run(workspace, line(toy))
        assert leftovers() == []
        assert host.run(workspace, line(toy)).status == "ok"
    finally:
        host.close()


def test_an_examiner_that_crashes_is_an_infrastructure_error_and_the_learner_is_killed(
    make_variant: MakeVariant, task: Task, sandbox: Sandbox, tmp_path: Path
) -> None:
    examiner = (TOY / "Toy" / "examiner.py").read_text().replace("return self._metrics(np.con", "return 1 / 0, (np.con")
    domain = make_variant("Toy", files={"examiner.py": examiner})
    workspace = materialise(task, tmp_path / "workspace", modules=base_modules(task))
    host = Host(sandbox)
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    try:
        with pytest.raises(InfraError, match=r"(?s)the examiner of Toy failed: ZeroDivisionError.*examiner\.py"):
            host.run(workspace, line(domain))
        started = [process for process in psutil.Process().children(recursive=True) if process.pid not in before]
        assert not started
        assert leftovers() == []
    finally:
        host.close()


def test_a_temporary_folder_whose_path_is_too_long_for_a_socket_is_not_used_for_sockets(
    before_model: Callable[..., ExamResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 80)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    assert before_model("").status == "ok"
    assert list(deep.iterdir()) == []


def test_sockets_that_fit_nowhere_are_reported(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 80)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    monkeypatch.setattr("discoenv.machine.scratch._SHORT", ())
    with pytest.raises(InfraError, match="too long for a socket; set TMPDIR to a folder with a shorter path"):
        host.run(tmp_path, line())
    assert list(deep.iterdir()) == []


def test_a_missing_folder_of_a_dataset_is_an_infrastructure_error(host: Host, tmp_path: Path) -> None:
    with pytest.raises(InfraError):
        host.run(tmp_path, line())
    assert leftovers() == []


def test_closing_a_host_ends_a_running_exam(toy: Domain, task: Task, sandbox: Sandbox, tmp_path: Path) -> None:
    modules = base_modules(task) | {"model.py": "while True: pass\n"}
    workspace = materialise(task, tmp_path / "workspace", modules=modules)
    host = Host(sandbox)
    caught: list[Exception] = []
    before = {process.pid for process in psutil.Process().children(recursive=True)}

    def run() -> None:
        try:
            host.run(workspace, line(toy))
        except InfraError as error:
            caught.append(error)

    running = threading.Thread(target=run)
    running.start()
    while running.is_alive() and not any(run._running for run in host._all._runs):
        threading.Event().wait(0.01)
    host.close()
    running.join()
    host.close()
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before
    assert leftovers() == []
    with pytest.raises(InfraError, match="its host is closed"):
        host.floor(line().setting, 1)


def test_exams_of_several_threads_do_not_disturb_each_other(
    host: Host, task: Task, honest: dict[str, float], tmp_path: Path
) -> None:
    workspace = materialise(task, tmp_path / "workspace", modules=base_modules(task))
    results: list[ExamResult] = []

    def run() -> None:
        results.append(host.run(workspace, line()))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.metrics for result in results] == [honest] * 3
