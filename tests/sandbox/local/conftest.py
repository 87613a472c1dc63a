"""Bubblewrap alone, however many providers work here."""

from __future__ import annotations

import pytest

from discoenv.sandbox.local.bubblewrap import BubblewrapSandbox
from tests.sandbox.providers import local


@pytest.fixture(params=["bubblewrap"])
def provider(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[BubblewrapSandbox]:
    """The provider under test; ``WAYS_OF_COUNTING`` are further parameters."""
    return local(request.param, monkeypatch)
