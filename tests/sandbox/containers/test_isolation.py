"""What a program in a container can see of its image, and what must be masked in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from discoenv.errors import SandboxError
from discoenv.sandbox import Limits, Outcome, Sandbox
from tests.sandbox.providers import CONTAINERS, REPOSITORY, python

Run = Callable[..., Outcome]
pytestmark = pytest.mark.docker


def test_discoenv_the_repository_and_the_engine_are_absent(run: Run) -> None:
    outcome = run(f"""
import importlib.util, os, stat, sys
print(importlib.util.find_spec("discoenv"), os.path.exists({str(REPOSITORY)!r}))
for directory, _, files in os.walk("/"):
    if directory.startswith(("/proc", "/sys")):
        continue
    for file in files:
        path = os.path.join(directory, file)
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            continue
        if stat.S_ISSOCK(mode) or "discoenv" in file or file in ("docker", "ca-bundle.pem", "pip"):
            print(path)
""")
    assert outcome.stdout == "None False\n", outcome


def test_the_network_has_no_name_in_sysfs_and_nothing_resolves_names(run: Run) -> None:
    outcome = run("""
import os
virtual = ("lo", "sit", "ip6", "tunl", "gre", "erspan")
print([name for name in os.listdir("/sys/class/net") if not name.startswith(virtual)])
print(os.listdir("/root") if os.access("/root", os.R_OK) else [], repr(open("/etc/resolv.conf").read()))
""")
    assert outcome.stdout == "[]\n[] ''\n", outcome


def test_an_engine_that_does_not_mask_is_not_used(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    dialect = CONTAINERS._dialect
    unmasked = {"MaskedPaths": [], "SecurityOpt": ["no-new-privileges"]}
    monkeypatch.setattr(CONTAINERS, "_dialect", lambda self, engine, host: dialect(self, engine, host) | unmasked)
    with pytest.raises(SandboxError, match=r"does not hide.*numpy/testing"):
        sandbox.start(python("", hidden_packages=("numpy/testing",)), Limits())


def test_a_missing_image_names_the_command_that_builds_it(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="discoenv image build torch"):
        sandbox.start(python("", family="torch"), Limits())
