"""Real sandboxes of every provider, and a look at what they leave behind.

Without an engine (see ``containers/engine.sh``), the tests that need one are skipped; they are marked ``docker``.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from discoenv.machine.owner import owner_tag
from discoenv.sandbox import Limits, Outcome, Sandbox
from discoenv.sandbox.containers.docker import DockerSandbox
from discoenv.sandbox.containers.engine import Engine
from discoenv.sandbox.local.cgroup import find_place
from tests.sandbox.programs import processes_with
from tests.sandbox.providers import CONTAINERS, PROVIDERS, Gate, local, python

Run = Callable[..., Outcome]


@pytest.fixture(scope="session")
def engine() -> Engine:
    """A real engine with an image of learners."""
    check = CONTAINERS.check()
    if not check.works:
        start = 'eval "$(tests/sandbox/containers/engine.sh start)"'
        why = f"{check.name}: {check.detail} ({check.fix}); or: {start}"
        if os.environ.get("DOCKER_HOST" if CONTAINERS is DockerSandbox else "CONTAINER_HOST"):
            pytest.fail(why)
        pytest.skip(why)
    return Engine(CONTAINERS.name)


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Sandbox]:
    """The provider under test, by a parameter of :mod:`tests.sandbox.providers`."""
    if request.param == CONTAINERS.name:
        request.getfixturevalue("engine")
        return CONTAINERS
    return local(request.param, monkeypatch)


@pytest.fixture
def sandbox(provider: type[Sandbox]) -> Iterator[Sandbox]:
    """A sandbox of the provider under test."""
    made = provider()
    yield made
    made.close()


@pytest.fixture
def run(sandbox: Sandbox) -> Run:
    """``run(code, mounts=..., wall_s=...)``: Python code in a fresh sandbox; unknown keywords are limits."""

    def run_code(code: str, **options: Any) -> Outcome:
        chosen = {name: options.pop(name) for name in ("mounts", "env", "hidden_packages") if name in options}
        return sandbox.run(python(code, **chosen), Limits(**{"wall_s": 60.0, **options}))

    return run_code


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A gate that is closed."""
    folder = tmp_path / "gate"
    folder.mkdir()
    folder.chmod(0o755)
    return Gate(folder)


@pytest.fixture
def mark() -> Iterator[str]:
    """A word to put in a program's text; nothing with it may be left."""
    word = uuid.uuid4().hex
    yield word
    assert processes_with(word) == []


@pytest.fixture(autouse=True)
def no_leftovers(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test: no process, cgroup, mount, container or temporary folder of ours remains."""
    engine = request.getfixturevalue("engine") if request.node.get_closest_marker("docker") else None
    mounts = Path("/proc/self/mounts").read_text()
    yield
    if engine:
        assert [each.name for each in engine.containers() if each.owner == owner_tag()] == []
    else:  # an engine mounts the roots of containers, and not only of ours
        assert Path("/proc/self/mounts").read_text() == mounts
    assert own_cgroups() == []
    for kind in ("scratch", "mounts"):
        assert list(Path(tempfile.gettempdir()).glob(f"discoenv-{kind}-*-{os.getpid()}-*")) == []


def own_cgroups() -> list[Path]:
    """The groups that this process made and has not removed."""
    place = find_place()
    parents = set(place.parents.values()) if place else set()
    return [group for parent in parents for group in parent.glob(f"discoenv-*-{os.getpid()}-*")]
