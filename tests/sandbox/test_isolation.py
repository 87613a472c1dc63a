"""What a program in the bubblewrap sandbox can see and reach."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from discoenv.errors import SandboxError
from discoenv.sandbox import Command, Limits, Mount, Outcome
from discoenv.sandbox.local.bubblewrap import BubblewrapSandbox

Run = Callable[..., Outcome]
REPOSITORY = Path(__file__).resolve().parents[2]


def test_there_is_no_network(run: Run) -> None:
    outcome = run("""
import socket
for attempt in (
    lambda: socket.getaddrinfo("example.com", 80),
    lambda: socket.create_connection(("1.1.1.1", 80), 2),
    lambda: socket.create_connection(("169.254.169.254", 80), 2),
    lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
):
    try:
        attempt()
        print("reached")
    except OSError as error:
        print("refused")
print(socket.if_nameindex())
""")
    assert outcome.stdout.split("\n")[:4] == ["refused"] * 4, outcome
    assert "eth" not in outcome.stdout


def test_only_scratch_is_writable(run: Run) -> None:
    outcome = run("""
import os
for directory, _, _ in os.walk("/"):
    if directory.startswith("/proc"):
        continue
    try:
        open(directory + "/written", "w").close()
        print(directory)
    except OSError:
        pass
for file in ("/proc/sysrq-trigger", "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches"):
    assert not os.access(file, os.W_OK), file
""")
    assert outcome.exit_code == 0, outcome
    assert set(outcome.stdout.split()) == {"/tmp", "/dev/shm"}


def test_the_program_has_no_privileges(run: Run) -> None:
    outcome = run("print(open('/proc/self/status').read())")
    status = dict(line.split(":\t", 1) for line in outcome.stdout.splitlines() if ":\t" in line)
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    assert status["Groups"].split() in ([], ["65534"])
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[capabilities], 16) == 0, capabilities
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_discoenv_cannot_be_imported_and_its_repository_cannot_be_seen(run: Run) -> None:
    outcome = run(f"""
import os, sys
try:
    import discoenv
    print("imported", discoenv.__path__)
except ModuleNotFoundError:
    pass
print(os.path.exists({str(REPOSITORY / "discoenv")!r}))
for directory, _, files in os.walk(sys.prefix):
    for file in files:
        path = os.path.join(directory, file)
        if file.endswith((".pth", ".egg-link", ".json", ".py")) and b"discoenv" in open(path, "rb").read():
            print(path)
""")
    assert outcome.stdout == "False\n", outcome


def test_secrets_of_the_host_are_absent(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    (tmp_path / "secret").write_text("secret")
    outcome = run(f"""
import json, os, sys
files = [os.path.join(d, f) for top in ("/root", "/home", "/etc") for d, _, fs in os.walk(top) for f in fs
         if not d.startswith((sys.prefix, sys.base_prefix))]
environments = [open(f"/proc/{{pid}}/environ").read() for pid in os.listdir("/proc")
                if pid.isdigit() and os.access(f"/proc/{{pid}}/environ", os.R_OK)]
print(json.dumps([dict(os.environ), environments, files, os.path.exists({str(tmp_path)!r})]))
""")
    assert outcome.exit_code == 0, outcome
    assert "very-secret" not in outcome.stdout
    environment, _, files, sees_tmp = json.loads(outcome.stdout)
    assert not sees_tmp
    assert environment["HOME"] == "/tmp"
    assert environment["OMP_NUM_THREADS"] == str(Limits().cpus)
    for secret in ("/etc/shadow", "/etc/machine-id", "/etc/resolv.conf", "/etc/hostname"):
        assert secret not in files
    assert not [file for file in files if "/.ssh/" in file or "/.bash" in file]
    assert not [name for name in environment if name.startswith(("AWS", "OPENAI", "PYTEST", "SSH"))]


def test_proc_shows_only_the_own_processes(run: Run) -> None:
    outcome = run("import os; print([p for p in os.listdir('/proc') if p.isdigit()], open('/proc/1/cmdline').read())")
    assert outcome.stdout.startswith("['1', '2']"), outcome
    assert str(REPOSITORY) not in outcome.stdout.replace(sys.prefix, "")  # the interpreter may be in the repository


def test_hidden_packages_are_masked(run: Run) -> None:
    code = """
import importlib.util, os
import numpy
base = os.path.dirname(numpy.__file__)
print(os.listdir(base + "/testing"), os.path.getsize(base + "/matlib.py"))
compiled = [base + "/__pycache__/" + f for f in os.listdir(base + "/__pycache__") if f.startswith("matlib.")]
print([f for f in compiled if os.path.getsize(f)])
"""
    outcome = run(code, hidden_packages=("numpy/testing", "numpy/matlib.py", "not/installed"))
    assert outcome.stdout == "[] 0\n[]\n", outcome


@pytest.mark.parametrize("path", ["/etc", "../x", ""])
def test_a_hidden_package_must_be_a_relative_path(run: Run, path: str) -> None:
    with pytest.raises(SandboxError, match="relative to site-packages"):
        run("", hidden_packages=(path,))


def test_mounts_are_read_only_unless_asked(run: Run, tmp_path: Path) -> None:
    for name in ("given", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "given/data").write_text("42")
    outcome = run(
        """
print(open("/given/data").read())
open("/scratch/result", "w").write("done")
for path in ("/given/data", "/given/new", "/new"):
    try: open(path, "w"); print("wrote", path)
    except OSError: pass
""",
        mounts=(Mount(tmp_path / "given", "/given"), Mount(tmp_path / "scratch", "/scratch", writable=True)),
    )
    assert outcome.stdout == "42\n", outcome
    assert (tmp_path / "scratch/result").read_text() == "done"


def test_a_private_directory_can_be_mounted(run: Run, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "data").write_text("42")
    outcome = run("print(open('/x/data').read())", mounts=(Mount(private, "/x"),))
    assert outcome.stdout == "42\n", outcome
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_a_missing_mount_source_is_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"absent.*does not exist"):
        run("", mounts=(Mount(tmp_path / "absent", "/x"),))


def test_a_missing_working_directory_is_an_error_of_the_sandbox(sandbox: BubblewrapSandbox) -> None:
    with pytest.raises(SandboxError, match="/nowhere"):
        sandbox.start(Command(("python", "-c", ""), cwd="/nowhere"), Limits())


def test_a_unix_socket_in_a_mount_connects(run: Run, tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "exam.sock"))
        (tmp_path / "exam.sock").chmod(0o777)
        server.listen(1)
        outcome = run(
            "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/exam/exam.sock'); s.sendall(b'hello')",
            mounts=(Mount(tmp_path, "/exam"),),
        )
        assert outcome.exit_code == 0, outcome
        connection, _ = server.accept()
        with connection:
            assert connection.recv(5) == b"hello"


@pytest.mark.usefixtures("each_way_of_counting")
def test_numerical_libraries_work(run: Run) -> None:
    outcome = run(
        """
import jax, jax.numpy as jnp, numpy as np
from joblib import Parallel, delayed
from sklearn.ensemble import RandomForestClassifier
assert float(jax.jit(lambda x: (x @ x).sum())(jnp.ones((100, 100)))) == 1e6
x = np.random.default_rng(0).random((200, 5))
assert RandomForestClassifier(10, n_jobs=2).fit(x, x[:, 0] > 0.5).score(x, x[:, 0] > 0.5) > 0.9
assert sum(Parallel(n_jobs=2)(delayed(abs)(-i) for i in range(10))) == 45
print("fine")
"""
    )
    assert outcome.stdout == "fine\n", outcome


def test_no_core_is_dumped(run: Run) -> None:
    outcome = run("import os; os.abort()")
    assert (outcome.reason, outcome.exit_code) == ("exited", -6)
    assert not Path("core").exists()
