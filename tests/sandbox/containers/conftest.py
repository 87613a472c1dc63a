"""An engine's containers alone; see ``engine.sh``."""

from __future__ import annotations

import pytest

from discoenv.sandbox.containers.docker import DockerSandbox
from discoenv.sandbox.containers.engine import Engine
from tests.sandbox.providers import CONTAINERS


@pytest.fixture
def provider(engine: Engine) -> type[DockerSandbox]:
    """The provider under test."""
    return CONTAINERS
