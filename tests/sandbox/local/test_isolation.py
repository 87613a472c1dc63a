"""What a program in the bubblewrap sandbox can see of the host's files and processes."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from discoenv.sandbox import Mount, Outcome
from tests.sandbox.providers import REPOSITORY, WAYS_OF_COUNTING

Run = Callable[..., Outcome]


def test_files_that_belong_to_the_host_alone_are_absent(run: Run) -> None:
    outcome = run("""
import os, sys
for top in ("/root", "/home", "/etc"):
    for directory, _, files in os.walk(top):
        if not directory.startswith((sys.prefix, sys.base_prefix)):
            print(*(os.path.join(directory, file) for file in files), sep="\\n")
""")
    assert outcome.exit_code == 0, outcome
    files = outcome.stdout.splitlines()
    for secret in ("/etc/shadow", "/etc/machine-id", "/etc/resolv.conf", "/etc/hostname"):
        assert secret not in files
    assert not [file for file in files if "/.ssh/" in file or "/.bash" in file]


def test_proc_shows_only_the_own_processes(run: Run) -> None:
    outcome = run("import os; print([p for p in os.listdir('/proc') if p.isdigit()], open('/proc/1/cmdline').read())")
    assert outcome.stdout.startswith("['1', '2']"), outcome
    assert str(REPOSITORY) not in outcome.stdout.replace(sys.prefix, "")  # the interpreter may be in the repository


def test_a_private_directory_can_be_mounted(run: Run, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "data").write_text("42")
    outcome = run("print(open('/x/data').read())", mounts=(Mount(private, "/x"),))
    assert outcome.stdout == "42\n", outcome
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@pytest.mark.parametrize("provider", WAYS_OF_COUNTING, indirect=True)
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
