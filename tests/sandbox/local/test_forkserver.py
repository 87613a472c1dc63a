"""Forked commands: the same as newly started programs, in every respect but the time that their imports take."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import discoenv
from discoenv.errors import CannotFork
from discoenv.machine.processes import descendants, is_alive
from discoenv.sandbox import Command, Limits, Mount, Outcome
from discoenv.sandbox.local import bubblewrap, forkserver
from discoenv.sandbox.local.bubblewrap import BubblewrapSandbox
from discoenv.sandbox.local.cgroup import usable_place
from discoenv.sandbox.local.forkserver import ForkServer
from tests.sandbox.programs import bubblewrap_waits, until

Start = Callable[..., Outcome]

LIGHT = ("decimal", "fractions")

pytestmark = pytest.mark.skipif(not usable_place(), reason="learners are forked only where a cgroup can be made")


def command(folder: Path, code: str, *, preload: tuple[str, ...] = LIGHT, **options: Any) -> Command:
    folder.chmod(0o755)
    (folder / "main.py").write_text(textwrap.dedent(code))
    return Command(
        ("python", "main.py", "one", "two"), "/exercise", (Mount(folder, "/exercise"),), preload=preload, **options
    )


@pytest.fixture
def play(sandbox: BubblewrapSandbox, tmp_path: Path) -> Start:
    """``play(code, preload=..., env=..., wall_s=...)``: a program in a fresh sandbox; unknown keywords are limits."""

    def run(code: str, **options: Any) -> Outcome:
        chosen = {name: options.pop(name) for name in ("preload", "env", "hidden_packages") if name in options}
        return sandbox.run(command(tmp_path, code, **chosen), Limits(**{"wall_s": 60.0, **options}))

    return run


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each attempt to fork has worked."""
    attempts: list[bool] = []
    fork = ForkServer.fork

    def noted(self: ForkServer, *arguments: Any) -> None:
        attempts.append(False)
        fork(self, *arguments)
        attempts[-1] = True

    monkeypatch.setattr(ForkServer, "fork", noted)
    return attempts


SELF_PORTRAIT = """
    import json, os, resource, signal, sys
    import __main__
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(json.dumps({
        "argv": sys.argv, "path": sys.path, "file": __file__, "name": __name__, "main": __main__.__file__,
        "cwd": os.getcwd(), "environment": {k: v for k, v in os.environ.items() if k != "PWD"},
        "ids": [os.getresuid(), os.getresgid(), os.getgroups()], "leads": os.getsid(0) == os.getpid(),
        "privileges": {name: status[name] for name in status if name.startswith(("Cap", "NoNewPrivs", "Seccomp"))},
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name[:4] == "RLIM"
                   and name not in ("RLIM_INFINITY", "RLIMIT_NPROC")},
        "signals": [str(signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE)],
        "root": sorted(os.listdir("/")), "dumpable": os.stat("/proc/self/mem").st_uid == os.getuid(),
        "descriptors": len(os.listdir("/proc/self/fd")), "threads": len(os.listdir("/proc/self/task")),
        "umask": os.umask(0o22), "affinity": sorted(os.sched_getaffinity(0)), "stdin": sys.stdin.read(),
        "flags": str(sys.flags), "unbuffered": sys.stdout.write_through, "hash": hash("text"),
    }))
"""


def test_a_forked_program_sees_what_a_new_program_sees(play: Start, forks: list[bool]) -> None:
    environment = {"EXAM": "1", "PYTHONWARNINGS": "ignore:x"}
    forked, own = (play(SELF_PORTRAIT, preload=modules, env=environment) for modules in (LIGHT, ()))
    assert forks == [True]
    assert (forked.exit_code, forked.stderr) == (own.exit_code, own.stderr) == (0, "")
    portraits = json.loads(forked.stdout), json.loads(own.stdout)
    assert portraits[0].pop("leads")  # the other one's leader is the shell that has become it, or bwrap
    portraits[1].pop("leads")
    assert portraits[0] == portraits[1]


def test_imports_are_there_already(play: Start, forks: list[bool]) -> None:
    code = "import sys; print([name in sys.modules for name in ('decimal', 'fractions', 'discoenv', 'ctypes')])"
    assert play(code).stdout == "[True, True, False, True]\n"
    assert play(code).stdout == "[True, True, False, True]\n"
    assert forks == [True, True]


def test_nothing_reveals_where_discoenv_is(play: Start) -> None:
    home = str(Path(discoenv.__file__).parents[1])
    code = f"""
        import gc, os, sys
        texts = [open(f"/proc/self/{{name}}").read() for name in ("cmdline", "environ", "maps")]
        texts += [repr(sys.path), repr(sys.meta_path), repr(sys.orig_argv), repr(dict(sys.path_importer_cache))]
        texts += [str(getattr(module, "__file__", "")) for module in sys.modules.values()]
        place = "/".join({home.split("/")!r})
        print([text for text in texts if "discoenv" in text][:1])
        print(os.path.exists(place + "/discoenv/__init__.py"))
    """
    seen = play(code)
    assert (seen.stdout, seen.stderr) == ("[]\nFalse\n", "")


@pytest.mark.parametrize(
    ("code", "exit_code", "stderr"),
    [
        ("raise SystemExit(7)", 7, ""),
        ("import os; os._exit(9)", 9, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
        ("def f(): raise ValueError('odd')\nf()", 1, "ValueError: odd"),
        ("def f(:", 1, "SyntaxError"),
        ("import atexit; atexit.register(print, 'last words')", 0, ""),
    ],
)
def test_its_end_is_reported_as_it_was(play: Start, forks: list[bool], code: str, exit_code: int, stderr: str) -> None:
    outcome = play(code)
    assert forks == [True]
    assert (outcome.reason, outcome.exit_code) == ("exited", exit_code)
    assert stderr in outcome.stderr
    if "ValueError" in stderr:
        assert 'File "/exercise/main.py", line 1, in f' in outcome.stderr
    if "atexit" in code:
        assert outcome.stdout == "last words\n"


def test_local_modules_and_children_work(play: Start, tmp_path: Path, forks: list[bool]) -> None:
    (tmp_path / "neighbour.py").write_text("def double(x): return 2 * x\n")
    code = """
        import multiprocessing, subprocess, sys
        from neighbour import double
        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            with context.Pool(1) as pool:
                print(pool.map(double, [21]), flush=True)
            print(subprocess.run([sys.executable, "-c", "print(6)"], capture_output=True, text=True).stdout, end="")
    """
    outcome = play(code)
    assert (outcome.stdout, outcome.stderr) == ("[42]\n6\n", "")
    assert forks == [True]


@pytest.mark.parametrize(
    ("code", "limits", "reason"),
    [
        ("kept = []\nwhile True: kept.append(bytearray(b'x' * 1_000_000))", {"memory_bytes": 100 << 20}, "memory"),
        ("import os\nwhile True:\n try: os.fork()\n except OSError: pass", {"processes": 40}, "processes"),
        ("while True: pass", {"wall_s": 1.5}, "wall_time"),
    ],
)
def test_its_limits_hold(play: Start, forks: list[bool], code: str, limits: dict[str, Any], reason: str) -> None:
    outcome = play(code, **limits)
    assert forks == [True]
    assert outcome.reason in (reason, "wall_time")


def test_it_reaches_nothing_but_itself(play: Start, forks: list[bool]) -> None:
    code = """
        import os, signal
        print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit())[:1], os.getppid())
        for call in (lambda: open("/x", "w"), lambda: os.setuid(0), lambda: os.listdir("/sys/fs/cgroup"),
                     lambda: os.unshare(0x10000000) if hasattr(os, "unshare") else open("/proc/1/mem", "rb")):
            try: call(); print("reached")
            except OSError: print("refused")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.kill(-1, signal.SIGTERM)  # also what stands in for it, and so ends its own sandbox
    """
    outcome = play(code)
    assert (outcome.reason, outcome.stdout) == ("exited", "[1] 0\n" + 4 * "refused\n")
    assert play("print('next')").stdout == "next\n"
    assert forks == [True, True]


def test_two_forks_draw_different_random_numbers(play: Start) -> None:
    code = "import random, numpy; print(random.random(), numpy.random.rand())"
    texts = [play(code, preload=("numpy",)).stdout.split() for _ in range(2)]
    assert texts[0][0] != texts[1][0]
    assert texts[0][1] != texts[1][1]


def test_commands_at_the_same_time_do_not_share_anything(sandbox: BubblewrapSandbox, tmp_path: Path) -> None:
    code = """
        import os, pathlib, time
        pathlib.Path("/tmp/mine").touch(exist_ok=False)
        while not os.path.exists("/exercise/all-have-started"): time.sleep(0.01)
        print(os.listdir("/tmp"), sorted(name for name in os.listdir("/proc") if name.isdigit()))
    """
    written = command(tmp_path, code)  # once: those that have started already read the file
    running = [sandbox.start(written, Limits(wall_s=60)) for _ in range(3)]
    (tmp_path / "all-have-started").touch()
    outcomes = [each.wait() for each in running]
    ends = [(outcome.reason, outcome.exit_code, outcome.stdout, outcome.stderr) for outcome in outcomes]
    assert len(set(ends)) == 1, "\n".join(map(str, ends))
    assert "mine" in outcomes[0].stdout


@pytest.mark.parametrize("module", ["busy", "broken"])
def test_what_cannot_be_forked_is_started_as_a_program(
    play: Start,
    forks: list[bool],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    module: str,
) -> None:
    library = tmp_path_factory.mktemp("library")
    (library / "busy.py").write_text(
        "import threading, time; threading.Thread(target=time.sleep, args=(99,)).start()\n"
    )
    (library / "broken.py").write_text("raise RuntimeError('no')\n")
    warm = BubblewrapSandbox._warmth

    def with_library(*arguments: Any) -> forkserver.WarmServers:
        found = warm(*arguments)
        return forkserver.WarmServers(**{**vars(found), "path": (str(library), *found.path)})

    monkeypatch.setattr(BubblewrapSandbox, "_warmth", with_library)
    assert [play("print(1)", preload=(module,)).stdout for _ in range(2)] == ["1\n", "1\n"]
    assert forks == []


def test_a_module_that_must_not_be_visible_is_not_preloaded(play: Start, forks: list[bool]) -> None:
    hidden = {"preload": ("yaml",), "hidden_packages": ("yaml",)}
    outcome = play("import sys; print('yaml' in sys.modules)\nimport yaml\nprint(hasattr(yaml, 'safe_load'))", **hidden)
    assert outcome.stdout == "False\nFalse\n"
    assert forks == []


def test_warm_starts_can_be_switched_off(tmp_path: Path, forks: list[bool]) -> None:
    sandbox = BubblewrapSandbox(warm_starts=False)
    assert sandbox.run(command(tmp_path, "print(1)"), Limits()).stdout == "1\n"
    assert forks == []


def test_a_dead_server_is_replaced_by_another(sandbox: BubblewrapSandbox, tmp_path: Path, forks: list[bool]) -> None:
    running = command(tmp_path, "print(1)")
    for _ in range(4):  # more often than deaths without a fork between them are forgiven
        assert sandbox.run(running, Limits()).stdout == "1\n"
        (server,) = sandbox._servers._servers.values()
        assert isinstance(server, ForkServer)
        server._process.kill()
        server._process.wait()
    assert forks == [True, True, True, True]


def test_a_server_that_dies_while_it_forks_costs_one_program(
    sandbox: BubblewrapSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forks: list[bool]
) -> None:
    running = command(tmp_path, "print(1)")
    place_in, deaths = forkserver.place_in, [True]

    def killing(pid: int) -> tuple[int, dict[str, Any]]:
        (server,) = sandbox._servers._servers.values()
        if deaths:
            assert isinstance(server, ForkServer)
            deaths.pop()
            server._process.kill()
            server._process.wait()
        return place_in(pid)

    monkeypatch.setattr(bubblewrap, "place_in", killing)
    assert [sandbox.run(running, Limits()).stdout for _ in range(3)] == ["1\n"] * 3
    assert forks == [False, True, True]


def test_servers_that_die_at_once_are_given_up(
    sandbox: BubblewrapSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forks: list[bool]
) -> None:
    monkeypatch.setattr(forkserver, "_RUN", "raise SystemExit")
    started: list[object] = []
    start = ForkServer.__init__

    def noted(self: ForkServer, warmth: forkserver.WarmServers) -> None:
        started.append(warmth)
        start(self, warmth)

    monkeypatch.setattr(ForkServer, "__init__", noted)
    running = command(tmp_path, "print(1)")
    assert [sandbox.run(running, Limits()).stdout for _ in range(3)] == ["1\n"] * 3
    assert (len(started), forks) == (3, [])


def test_one_fork_that_fails_does_not_end_the_server(
    sandbox: BubblewrapSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forks: list[bool]
) -> None:
    running = command(tmp_path, "print(1)")
    place_in = forkserver.place_in
    for failures in (1, 3):
        left = [OSError] * failures

        def failing(pid: int, left: list[type[OSError]] = left) -> tuple[int, dict[str, Any]]:
            first, place = place_in(pid)
            return first, place | {"root": [0, 0]} if left and left.pop() else place

        monkeypatch.setattr(bubblewrap, "place_in", failing)
        assert [sandbox.run(running, Limits()).stdout for _ in range(4)] == ["1\n"] * 4
    assert forks == [False, True, True, True, False, False, False]


def test_closing_the_sandbox_ends_server_and_learners(sandbox: BubblewrapSandbox, tmp_path: Path) -> None:
    running = sandbox.start(command(tmp_path, "import time; time.sleep(60)"), Limits())
    (server,) = sandbox._servers._servers.values()
    assert isinstance(server, ForkServer)
    sandbox.close()
    assert not running.poll()
    assert server._process.poll() is not None


def test_servers_that_are_not_used_end(tmp_path: Path) -> None:
    servers = forkserver.ForkServers(most=1)
    warmth = [
        forkserver.WarmServers(sys.executable, (module,), tuple(sys.path[1:]), (), (("PATH", "/usr/bin"),))
        for module in ("decimal", "fractions")
    ]
    first = servers.get(warmth[0])
    servers.get(warmth[1])
    until(lambda: not psutil.pid_exists(first._process.pid))  # it leaves no zombie
    with pytest.raises(CannotFork, match=r"does not answer|died"):
        first.fork({}, [])
    servers.close()


def test_a_host_that_is_killed_leaves_no_server_and_no_learner(tmp_path: Path) -> None:
    host = f"""
        import pathlib, sys, time
        from discoenv.sandbox import Command, Limits, Mount
        from discoenv.sandbox.local.bubblewrap import BubblewrapSandbox
        sandbox = BubblewrapSandbox()
        folder = pathlib.Path({str(tmp_path)!r})
        command = Command(("python", "main.py"), "/exercise", (Mount(folder, "/exercise"),), preload=("decimal",))
        running = sandbox.start(command, Limits())
        (server,) = sandbox._servers._servers.values()
        print(server._process.pid, flush=True)
        time.sleep(60)
    """
    tmp_path.chmod(0o755)
    (tmp_path / "main.py").write_text("import time\ntime.sleep(60)\n")
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(host)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        server = int(process.stdout.readline())
        until(lambda: bubblewrap_waits(process.pid))
        family = descendants(server)
        assert len(family) == 3, "the server, what waits for the learner, and the learner"
        process.send_signal(signal.SIGKILL)
    until(lambda: not any(is_alive(each) for each in family))
