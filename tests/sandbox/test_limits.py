"""Every command ends, within its bounds, and says why: with every provider, however it counts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from discoenv.sandbox import Command, Limits, Outcome, Running, Sandbox
from tests.sandbox.providers import FAMILY, Gate, counted_in_every_way, python

Run = Callable[..., Outcome]
pytestmark = counted_in_every_way
MIB = 1 << 20


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("", 0),
        ("raise SystemExit(3)", 3),
        ("1/0", 1),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import os; os.kill(os.getpid(), 11)", -11),
    ],
)
def test_exit_codes_and_signals_are_reported(run: Run, code: str, exit_code: int) -> None:
    outcome = run(code)
    assert (outcome.reason, outcome.exit_code) == ("exited", exit_code)


def test_an_unknown_program_is_the_command_s_failure(sandbox: Sandbox) -> None:
    outcome = sandbox.run(Command(("no-such-program",), cwd="/tmp", family=FAMILY), Limits())
    assert outcome.exit_code == 127
    assert "no-such-program" in outcome.stderr


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


def test_kill_ends_it_and_can_be_repeated(sandbox: Sandbox) -> None:
    running = sandbox.start(python("while True: pass"), Limits())
    assert running.poll()
    assert running.kill().reason == "killed"
    assert not running.poll()
    assert running.kill() == running.wait()


def test_waiting_can_time_out_and_go_on(sandbox: Sandbox, gate: Gate) -> None:
    running = sandbox.start(python(gate.WAIT, mounts=(gate.mount,)), Limits())
    with pytest.raises(TimeoutError, match="wait again"):
        running.wait(0.05)
    gate.open()
    assert running.wait().exit_code == 0


def test_time_is_counted_from_the_start_of_the_command(sandbox: Sandbox) -> None:
    before = time.monotonic()
    running = sandbox.start(python("import time; time.sleep(0.2)"), Limits())
    assert before < running.started <= time.monotonic()
    assert 0.2 <= running.wait().usage.wall_s < time.monotonic() - before


def test_killing_a_command_that_has_ended_keeps_its_outcome(sandbox: Sandbox) -> None:
    running = sandbox.start(python("print('done')"), Limits())
    assert running.wait().stdout == "done\n"
    assert running.kill().reason == "exited"


def test_touching_too_much_memory_is_reported_as_such(run: Run) -> None:
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


def test_asking_for_100_gib_does_no_harm(run: Run) -> None:
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


def test_a_flood_of_output_is_drained_and_its_end_kept(run: Run) -> None:
    code = "import os\nblock = b'x' * (1 << 20)\nfor _ in range(1024): os.write(1, block)\nos.write(1, b'the end')"
    outcome = run(code, output_bytes=1000)
    assert outcome.reason == "exited"
    assert len(outcome.stdout) == 1000
    assert outcome.stdout.endswith("xxxthe end")


def test_an_endless_flood_of_output_ends_at_the_wall_limit(run: Run) -> None:
    outcome = run("import os\nblock = b'x' * (1 << 20)\nwhile True: os.write(1, block)", wall_s=1.5, output_bytes=1000)
    assert (outcome.reason, outcome.exit_code, outcome.stdout) == ("wall_time", None, 1000 * "x")


def test_a_fork_bomb_is_stopped(run: Run) -> None:
    code = "import os\nwhile True:\n try: os.fork()\n except OSError: pass"
    outcome = run(code, processes=40, wall_s=10.0)
    assert outcome.reason in ("processes", "wall_time")
    assert run("print('next')").stdout == "next\n"


def test_the_first_refused_fork_is_an_ordinary_error(run: Run) -> None:
    code = "import os, time\nfor i in range(100):\n if os.fork() == 0: time.sleep(60)\ntime.sleep(60)"
    outcome = run(code, processes=40, wall_s=10.0)
    assert outcome.reason == "processes" or "BlockingIOError" in outcome.stderr, outcome


def test_usage_is_measured(run: Run) -> None:
    usage = run(
        "x = bytearray(b'x') * 100_000_000\n"
        "import time\nt = time.process_time()\nwhile time.process_time() < t + .3: pass"
    ).usage
    assert 0.25 <= usage.cpu_s < 2 * usage.wall_s, "one thread was busy, and for a moment those that made its sandbox"
    assert 100_000_000 <= usage.peak_memory_bytes < 200_000_000
    assert usage.wall_s > 0.3


def test_the_way_of_counting_is_reported(run: Run, request: pytest.FixtureRequest) -> None:
    counted = "sampled" if request.node.callspec.params["provider"] == "watched" else "cgroup"
    assert run("").usage.method == counted


def test_many_run_at_once_from_several_threads(run: Run) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda i: run(f"print({i})"), range(8)))
    assert [outcome.stdout for outcome in outcomes] == [f"{i}\n" for i in range(8)]


def test_a_command_outlives_the_thread_that_started_it(sandbox: Sandbox, gate: Gate) -> None:
    started: list[Running] = []
    before = time.monotonic()
    command = python(gate.WAIT + "print('alive')", mounts=(gate.mount,))
    thread = threading.Thread(target=lambda: started.append(sandbox.start(command, Limits())))
    thread.start()
    thread.join()
    gate.open()
    assert before <= started[0].started <= time.monotonic()
    assert started[0].wait().stdout == "alive\n"


def test_closing_its_own_output_does_not_end_a_command(run: Run) -> None:
    outcome = run("import os, time; os.close(1); os.close(2); time.sleep(0.4); os._exit(5)")
    assert (outcome.exit_code, outcome.usage.wall_s > 0.4) == (5, True)


def test_limits_too_small_for_any_program_end_clearly(sandbox: Sandbox) -> None:
    assert sandbox.run(python("while True: pass"), Limits(wall_s=0.001)).reason == "wall_time"


def test_a_command_stays_on_the_cores_that_it_is_given(run: Run) -> None:
    ours = os.sched_getaffinity(0)
    core = max(ours)
    code = f"""
import os, subprocess, sys
print(sorted(os.sched_getaffinity(0)))
try:
    os.sched_setaffinity(0, {sorted(ours)!r})
except PermissionError:
    print("stays")
print(subprocess.run([sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"], capture_output=True).stdout)
"""
    assert run(code, cores=(core,)).stdout == f"[{core}]\nstays\nb'{{{core}}}\\n'\n"
    assert os.sched_getaffinity(0) == ours
