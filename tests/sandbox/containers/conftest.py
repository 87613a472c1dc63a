"""A real engine with an image of learners; see ``engine.sh``. Without one, these tests are skipped."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from discoenv.machine.owner import owner_tag
from discoenv.sandbox import Command, Limits, Outcome
from discoenv.sandbox.containers.docker import DockerSandbox, PodmanSandbox
from discoenv.sandbox.containers.engine import Engine

Run = Callable[..., Outcome]
FAMILY = "sklearn"
#: ``DISCOENV_TEST_PROVIDER=podman`` runs these tests on Podman.
PROVIDER: type[DockerSandbox] = {"docker": DockerSandbox, "podman": PodmanSandbox}[
    os.environ.get("DISCOENV_TEST_PROVIDER", "docker")
]


@pytest.fixture(scope="session")
def engine() -> Engine:
    check = PROVIDER.check()
    if not check.works:
        why = f'{PROVIDER.name}: {check.detail} ({check.fix}); or: eval "$(tests/sandbox/containers/engine.sh start)"'
        if os.environ.get("DOCKER_HOST" if PROVIDER is DockerSandbox else "CONTAINER_HOST"):
            pytest.fail(why)
        pytest.skip(why)
    return Engine(PROVIDER.name)


@pytest.fixture
def sandbox(engine: Engine) -> Iterator[DockerSandbox]:
    provider = PROVIDER()
    yield provider
    provider.close()


@pytest.fixture
def run(sandbox: DockerSandbox) -> Run:
    """``run(code, mounts=..., wall_s=...)``: Python code in a fresh container; unknown keywords are limits."""

    def run_code(code: str, **options: Any) -> Outcome:
        chosen = {name: options.pop(name) for name in ("mounts", "env", "hidden_packages") if name in options}
        command = Command(("python", "-c", code), cwd="/tmp", family=FAMILY, **chosen)
        return sandbox.run(command, Limits(**{"wall_s": 60.0, **options}))

    return run_code


@pytest.fixture(autouse=True)
def no_leftovers(engine: Engine) -> Iterator[None]:
    """After every test: no container and no temporary folder of ours remains."""
    yield
    assert [each.name for each in engine.containers() if each.owner == owner_tag()] == []
    assert list(Path(tempfile.gettempdir()).glob(f"discoenv-mounts-*-{os.getpid()}-*")) == []
