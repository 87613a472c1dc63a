"""Environments that play the real domains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from discoenv.env import DiscoGenEnv


@pytest.fixture
def make_env(tmp_path: Path) -> Iterator[Callable[..., DiscoGenEnv]]:
    """Environments that are closed after the test."""
    made: list[DiscoGenEnv] = []

    def make(**arguments: Any) -> DiscoGenEnv:
        # the cores are shared with other tests, and perhaps with other programs
        settings: dict[str, Any] = {"runs_dir": tmp_path / "runs", "limits": {"budget_scale": 20.0}}
        made.append(DiscoGenEnv(**(settings | arguments)))
        return made[-1]

    yield make
    for env in made:
        env.close()
