"""Every command in a container ends, within its bounds, and says why."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from discoenv.sandbox import Command, Limits, Outcome
from discoenv.sandbox.containers.docker import DockerSandbox
from tests.sandbox.containers.conftest import FAMILY

Run = Callable[..., Outcome]
pytestmark = pytest.mark.docker
MIB = 1 << 20


def python(code: str) -> Command:
    return Command(("python", "-c", code), cwd="/tmp", family=FAMILY)


@pytest.mark.parametrize(
    ("code", "exit_code"), [("", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -9)]
)
def test_the_exit_code_is_told(run: Run, code: str, exit_code: int) -> None:
    outcome = run(code)
    assert (outcome.reason, outcome.exit_code) == ("exited", exit_code)


def test_output_is_kept_apart_and_decoded(run: Run) -> None:
    outcome = run("import sys, os; print('é'); print('oops', file=sys.stderr); os.write(1, b'\\xff')")
    assert (outcome.stdout, outcome.stderr) == ("é\n\ufffd", "oops\n")


def test_a_loop_that_ignores_sigterm_ends_at_the_wall_limit(run: Run) -> None:
    outcome = run(
        "import signal\nfor s in range(1, 65):\n"
        " try: signal.signal(s, signal.SIG_IGN)\n except (OSError, ValueError): pass\n"
        "print('on', flush=True)\nwhile True: pass",
        wall_s=1.0,
    )
    assert (outcome.reason, outcome.exit_code, outcome.stdout) == ("wall_time", None, "on\n")
    assert outcome.usage.wall_s >= 1.0
    assert outcome.usage.cpu_s > 0.01  # how much it gets depends on what else runs


def test_kill_ends_it_and_can_be_repeated(sandbox: DockerSandbox) -> None:
    running = sandbox.start(python("while True: pass"), Limits())
    assert running.poll()
    assert running.kill().reason == "killed"
    assert not running.poll()
    assert running.kill() == running.wait()


def test_waiting_can_time_out_and_go_on(sandbox: DockerSandbox) -> None:
    running = sandbox.start(python("import time; time.sleep(0.5)"), Limits())
    with pytest.raises(TimeoutError, match="wait again"):
        running.wait(0.05)
    assert running.wait().exit_code == 0


def test_the_start_of_the_engine_is_not_charged(sandbox: DockerSandbox) -> None:
    before = time.monotonic()
    running = sandbox.start(python("import time; time.sleep(0.2)"), Limits())
    assert before < running.started <= time.monotonic()
    assert 0.2 <= running.wait().usage.wall_s < time.monotonic() - before


def test_touching_too_much_memory_is_told_as_such(run: Run) -> None:
    outcome = run("kept = []\nwhile True: kept.append(bytearray(b'x' * 10_000_000))", memory_bytes=200 * MIB)
    assert (outcome.reason, outcome.exit_code) == ("memory", None)
    assert 150 * MIB < outcome.usage.peak_memory_bytes < 400 * MIB


def test_a_child_out_of_memory_counts(run: Run) -> None:
    code = """
import os
if os.fork() == 0:
    kept = []
    while True: kept.append(bytearray(b'x' * 10_000_000))
os.wait()
print("survived", flush=True)
import time; time.sleep(60)
"""
    assert run(code, memory_bytes=200 * MIB).reason == "memory"


def test_asking_for_100_gib_hurts_nobody(run: Run) -> None:
    outcome = run(
        "import mmap\nm = mmap.mmap(-1, 100 << 30)\nfor i in range(0, 100 << 30, 4096): m[i] = 1",
        memory_bytes=200 * MIB,
    )
    assert outcome.reason == "memory" or outcome.exit_code not in (0, None)
    assert run("print('next')").stdout == "next\n"


def test_scratch_has_a_size(run: Run) -> None:
    code = """
import errno
for place in ("/tmp", "/dev/shm"):
    size = 0
    try:
        with open(place + "/fill", "wb", buffering=0) as file:
            while True: size += file.write(bytes(1 << 20))
    except OSError as error:
        print(errno.errorcode[error.errno], size >> 20)
"""
    outcome = run(code, scratch_bytes=20 * MIB)
    assert outcome.stdout == "ENOSPC 20\nENOSPC 20\n", outcome


def test_files_have_a_largest_size(run: Run) -> None:
    outcome = run("open('/tmp/large', 'wb').write(bytes(3 << 20))", file_bytes=2 * MIB)
    assert "File too large" in outcome.stderr, outcome


def test_scratch_counts_as_memory(run: Run) -> None:
    code = "f = open('/tmp/x', 'wb')\nwhile True: f.write(bytes(1 << 20))"
    assert run(code, memory_bytes=100 * MIB, scratch_bytes=1 << 30).reason == "memory"


def test_a_gibibyte_of_output_is_drained_and_its_end_kept(run: Run) -> None:
    code = "import os\nblock = b'x' * (1 << 20)\nfor _ in range(1024): os.write(1, block)\nos.write(1, b'the end')"
    outcome = run(code, output_bytes=1000)
    assert outcome.reason == "exited"
    assert len(outcome.stdout) == 1000
    assert outcome.stdout.endswith("xxxthe end")


def test_a_fork_bomb_is_stopped(run: Run) -> None:
    code = "import os\nwhile True:\n try: os.fork()\n except OSError: pass"
    outcome = run(code, processes=40, wall_s=10.0)
    assert outcome.reason in ("processes", "wall_time")
    assert run("print('next')").stdout == "next\n"


def test_usage_is_measured(run: Run) -> None:
    usage = run(
        "x = bytearray(b'x') * 100_000_000\n"
        "import time\nt = time.process_time()\nwhile time.process_time() < t + .3: pass"
    ).usage
    assert usage.method == "cgroup"
    assert 0.25 <= usage.cpu_s < 2
    assert 100_000_000 <= usage.peak_memory_bytes < 200_000_000
    assert usage.wall_s > 0.3


def test_closing_its_own_output_does_not_end_a_command(run: Run) -> None:
    outcome = run("import os, time; os.close(1); os.close(2); time.sleep(0.4); os._exit(5)")
    assert (outcome.exit_code, outcome.usage.wall_s > 0.4) == (5, True)


def test_a_daemon_dies_when_the_command_ends(run: Run) -> None:
    outcome = run("""
import os, time
if os.fork() == 0:
    os.setsid()
    print("daemon", flush=True)
    time.sleep(600)
time.sleep(0.2)
""")
    assert (outcome.reason, outcome.exit_code, outcome.stdout) == ("exited", 0, "daemon\n")


def test_several_run_at_once(run: Run) -> None:
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda i: run(f"print({i})"), range(8)))
    assert [outcome.stdout for outcome in outcomes] == [f"{i}\n" for i in range(8)]


def test_a_command_stays_on_the_cores_that_it_is_given(run: Run) -> None:
    core = max(os.sched_getaffinity(0))
    code = """
import os
print(os.sched_getaffinity(0))
try:
    os.sched_setaffinity(0, range(os.cpu_count()))
except OSError:
    pass
print(os.sched_getaffinity(0))
"""
    assert run(code, cores=(core,)).stdout == f"{{{core}}}\n" * 2
