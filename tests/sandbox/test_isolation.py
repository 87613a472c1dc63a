"""What a program in a sandbox can see and reach: the same with every provider."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from discoenv.errors import SandboxError
from discoenv.sandbox import Command, Limits, Mount, Outcome, Sandbox
from tests.sandbox.providers import FAMILY, REPOSITORY, python

Run = Callable[..., Outcome]


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
    except OSError:
        print("refused")
virtual = ("lo", "sit", "ip6", "tunl", "gre", "erspan")
interfaces = [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line]
print([name for name in interfaces if not name.startswith(virtual)])
""")
    assert outcome.stdout.split("\n")[:5] == ["refused"] * 4 + ["[]"], outcome


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
for file in ("/proc/sysrq-trigger", "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches", "/etc/hosts"):
    try:
        open(file, "a").close()
        print(file)
    except OSError:
        pass
""")
    assert outcome.exit_code == 0, outcome
    assert set(outcome.stdout.split()) == {"/tmp", "/dev/shm"}


def test_the_program_has_no_privileges(run: Run) -> None:
    outcome = run("print(open('/proc/self/status').read())")
    status = dict(line.split(":\t", 1) for line in outcome.stdout.splitlines() if ":\t" in line)
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    assert set(status["Groups"].split()) <= {"65534", *status["Gid"].split()}
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
import json, os
environments = [open(f"/proc/{{pid}}/environ").read() for pid in os.listdir("/proc")
                if pid.isdigit() and os.access(f"/proc/{{pid}}/environ", os.R_OK)]
print(json.dumps([dict(os.environ), environments, os.path.exists({str(tmp_path)!r})]))
""")
    assert outcome.exit_code == 0, outcome
    assert "very-secret" not in outcome.stdout
    environment, _, sees_tmp = json.loads(outcome.stdout)
    assert not sees_tmp
    assert environment["HOME"] == "/tmp"
    assert environment["OMP_NUM_THREADS"] == str(Limits().cpus)
    assert not [name for name in environment if name.startswith(("AWS", "OPENAI", "PYTEST", "SSH", "PIP", "DOCKER"))]


def test_hidden_packages_are_masked(run: Run) -> None:
    code = """
import glob, os
import numpy
base = os.path.dirname(numpy.__file__)
print(os.listdir(base + "/testing"), os.path.getsize(base + "/matlib.py"))
print([f for f in glob.glob(base + "/__pycache__/matlib.*") if os.path.getsize(f)])
print(os.path.exists(os.path.dirname(base) + "/not/installed"))
"""
    outcome = run(code, hidden_packages=("numpy/testing", "numpy/matlib.py", "not/installed"))
    assert outcome.stdout == "[] 0\n[]\nFalse\n", outcome


def test_held_out_data_of_a_domain_is_masked(run: Run) -> None:
    from discoenv.tasks.registry import get_domain

    hidden = tuple(get_domain("GreenhouseGasPrediction").specification.hidden_packages)
    code = """
import os, statsmodels
base = os.path.dirname(os.path.dirname(statsmodels.__file__))
for name in os.environ["HIDDEN"].split(":"):
    for folder, _, files in os.walk(os.path.join(base, name)):
        print([f for f in files if os.path.getsize(os.path.join(folder, f))])
"""
    outcome = run(code, hidden_packages=hidden, env={"HIDDEN": ":".join(hidden)})
    assert outcome.stdout == "[]\n" * len(hidden), outcome


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


def test_a_missing_mount_source_is_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"absent.*does not exist"):
        run("", mounts=(Mount(tmp_path / "absent", "/x"),))


def test_a_missing_working_directory_is_an_error_of_the_sandbox(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="/nowhere"):
        sandbox.start(python("", cwd="/nowhere"), Limits())


def test_a_unix_socket_in_a_mount_connects(run: Run, tmp_path: Path) -> None:
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


def test_no_core_is_dumped(run: Run) -> None:
    outcome = run("import os; os.abort()")
    assert (outcome.reason, outcome.exit_code) == ("exited", -6)
    assert not Path("core").exists()


def test_arguments_and_variables_arrive_unchanged(sandbox: Sandbox) -> None:
    odd = "a 'quoted' \"text\" with $HOME `ls` \\n \\\\ %s %b\nand a line\twith ümläuts"
    code = "import os, sys; sys.stdout.write(repr((sys.argv[1:], os.environ['ODD'])))"
    command = Command(("python", "-c", code, odd, "", "x" * 100_000), cwd="/tmp", env={"ODD": odd}, family=FAMILY)
    outcome = sandbox.run(command, Limits(wall_s=60.0, output_bytes=1 << 20))
    assert outcome.stdout == repr(([odd, "", "x" * 100_000], odd)), outcome


def test_the_program_has_no_child_but_its_own_and_no_input(run: Run) -> None:
    outcome = run("""
import os, sys
print(repr(sys.stdin.read()))
try:
    os.wait()
except ChildProcessError:
    print("no child")
""")
    assert outcome.stdout == "''\nno child\n", outcome
