"""The same sandbox started by an ordinary user, from a virtual environment inside the repository, through symlinks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from discoenv.sandbox.local.bubblewrap import BubblewrapSandbox

PACKAGE = Path(__file__).resolve().parents[3] / "discoenv"
SYSTEM_PYTHON = "/usr/bin/python3"

HOST = """
import dataclasses, json, os, sys
sys.path.insert(0, {checkout!r})
from discoenv.sandbox import Command, Limits
from discoenv.sandbox.local.bubblewrap import BubblewrapSandbox
check = BubblewrapSandbox.check()
assert check.works, check
def run(code, **limits):
    outcome = BubblewrapSandbox().run(Command(("python", "-c", code), cwd="/tmp"), Limits(**dict(wall_s=20.0) | limits))
    return dataclasses.asdict(outcome)
print(json.dumps({{"uid": os.getuid(), "outcomes": [run(code, **limits) for code, limits in {programs!r}]}}))
"""

Program = tuple[str, dict[str, Any]]


@pytest.fixture
def checkout(sandbox: BubblewrapSandbox) -> Iterator[Path]:
    """A copy of the sandbox package, and of what it imports, that everybody can read."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        for part in ("sandbox", "machine"):
            shutil.copytree(PACKAGE / part, Path(directory, "checkout/discoenv", part))
        shutil.copy(PACKAGE / "errors.py", Path(directory, "checkout/discoenv"))
        Path(directory, "checkout/discoenv/__init__.py").touch()
        yield Path(directory, "checkout")


def run_from(interpreter: list[str], checkout: Path, programs: list[Program]) -> dict[str, Any]:
    source = HOST.format(checkout=str(checkout), programs=programs)
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [*interpreter, "-c", source], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def is_new_enough(interpreter: str) -> bool:
    code = "import sys; raise SystemExit(sys.version_info < (3, 11))"
    return Path(interpreter).exists() and subprocess.run([interpreter, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="not root: all the other tests are of an ordinary user")
def test_an_ordinary_user_gets_the_same_sandbox(checkout: Path) -> None:
    if not is_new_enough(SYSTEM_PYTHON):
        pytest.skip(f"{SYSTEM_PYTHON} is not a Python 3.11 that another user could run")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    mib = 1 << 20
    result = run_from(
        [*nobody, SYSTEM_PYTHON],
        checkout,
        [
            ("print(open('/proc/self/status').read())", {}),
            (f"import os; print(os.listdir('/tmp'), os.path.exists({str(checkout)!r}))", {}),
            ("import socket; socket.create_connection(('1.1.1.1', 80), 2)", {}),
            ("kept = []\nwhile True: kept.append(bytearray(b'x' * 1_000_000))", {"memory_bytes": 100 * mib}),
            ("f = open('/tmp/x', 'wb')\nwhile True: f.write(bytes(1 << 20))", {"memory_bytes": 100 * mib}),
            ("import os\nwhile True:\n try: os.fork()\n except OSError: pass", {"processes": 40}),
            ("import os; os.memfd_create('hidden')", {}),
            ("for p in ('/x', '/etc/x', '/dev/x', '/usr/x'):\n try: open(p, 'w'); print(p)\n except OSError: pass", {}),
        ],
    )
    assert result["uid"] == 65534
    status, files, network, memory, scratch, bomb, unmapped, writes = result["outcomes"]
    fields = dict(line.split(":\t", 1) for line in status["stdout"].splitlines() if ":\t" in line)
    assert (fields["Uid"].split()[0], fields["NoNewPrivs"], fields["Seccomp"]) == ("1000", "1", "2")
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert files["stdout"] == "[] False\n"
    assert "unreachable" in network["stderr"]
    assert (memory["reason"], scratch["reason"]) == ("memory", "memory")
    assert bomb["reason"] in ("processes", "wall_time")
    assert "not implemented" in unmapped["stderr"]
    assert (writes["exit_code"], writes["stdout"]) == (0, "")


LOOK_AROUND = """
import json, os, sys
top = sys.prefix
while os.path.basename(top) != "checkout":
    top = os.path.dirname(top)
found = []
for directory, _, files in os.walk(sys.prefix):
    for file in files:
        if os.path.isfile(path := os.path.join(directory, file)):
            found += [path] * (b"SECRET" in open(path, "rb").read())
print(json.dumps([sys.prefix, os.listdir(top), found]))
"""


def test_only_the_virtual_environment_of_a_repository_is_visible(checkout: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    packages = next((checkout / ".venv").glob("lib/python3*/site-packages"))
    (packages / "__editable__.discoenv.pth").write_text("# SECRET")
    (packages / "project.pth").write_text(f"{checkout}\n# SECRET")
    (packages / "discoenv-0.1.0.dist-info").mkdir()
    (packages / "discoenv-0.1.0.dist-info/RECORD").write_text("SECRET")
    (packages / "discoenv").mkdir()
    (packages / "discoenv/__init__.py").write_text("SECRET = 1")
    (packages / "innocent.py").touch()

    interpreter = str(checkout / ".venv/bin/python")
    (outcome,) = run_from([interpreter], checkout, [("import innocent\n" + LOOK_AROUND, {})])["outcomes"]
    assert outcome["exit_code"] == 0, outcome
    assert json.loads(outcome["stdout"]) == [str(checkout / ".venv"), [".venv"], []]


def test_an_environment_behind_a_symbolic_link_works_and_stays_masked(checkout: Path) -> None:
    real = checkout.parent / "real"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", real], check=True)
    (next(real.glob("lib/python3*/site-packages")) / "discoenv.pth").write_text("# SECRET")
    (checkout / "linked").symlink_to(real)
    (outcome,) = run_from([str(checkout / "linked/bin/python")], checkout, [(LOOK_AROUND, {})])["outcomes"]
    assert outcome["exit_code"] == 0, outcome
    assert json.loads(outcome["stdout"]) == [str(checkout / "linked"), ["linked"], []]
