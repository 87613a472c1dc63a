"""Real sandboxes for these tests, and a look at what they leave behind."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from discoenv.sandbox import Command, Limits, Outcome
from discoenv.sandbox.local import bubblewrap
from discoenv.sandbox.local.bubblewrap import BubblewrapSandbox
from discoenv.sandbox.local.cgroup import find_place, usable_place

Run = Callable[..., Outcome]


@pytest.fixture
def sandbox() -> Iterator[BubblewrapSandbox]:
    check = BubblewrapSandbox.check()
    if not check.works:
        pytest.skip(f"bubblewrap does not work here: {check.detail} ({check.fix})")
    provider = BubblewrapSandbox()
    yield provider
    provider.close()


@pytest.fixture
def run(sandbox: BubblewrapSandbox) -> Run:
    """``run(code, mounts=..., wall_s=...)``: Python code in a fresh sandbox; unknown keywords are limits."""

    def run_code(code: str, **options: Any) -> Outcome:
        chosen = {name: options.pop(name) for name in ("mounts", "env", "hidden_packages") if name in options}
        command = Command(("python", "-c", code), cwd="/tmp", **chosen)
        return sandbox.run(command, Limits(**{"wall_s": 60.0, **options}))

    return run_code


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    """After every test: no process, cgroup, mount or temporary directory of ours remains."""
    mounts = Path("/proc/self/mounts").read_text()
    yield
    assert own_cgroups() == []
    assert Path("/proc/self/mounts").read_text() == mounts
    assert list(Path(tempfile.gettempdir()).glob(f"discoenv-scratch-*-{os.getpid()}-*")) == []


def own_cgroups() -> list[Path]:
    """The groups that this process made and has not removed."""
    place = find_place()
    parents = set(place.parents.values()) if place else set()
    return [group for parent in parents for group in parent.glob(f"discoenv-*-{os.getpid()}-*")]


@pytest.fixture(params=["cgroup", "watched"])
def each_way_of_counting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with limits held by cgroups, and again by watching ``/proc``."""
    if request.param == "watched":
        monkeypatch.setattr(bubblewrap, "usable_place", lambda: None)
    elif not usable_place():
        pytest.skip("no cgroup can be made here: start the tests with `systemd-run --user --scope -p Delegate=yes`")
    return str(request.param)
