"""Sessions of the toy domain and models whose waiting takes no time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from discoenv.agents.llm.chat import ChatModel
from discoenv.agents.search.islands import Individual

MakeModel = Callable[..., ChatModel]
KEY = "sk-test-0123456789abcdef"


def ended(directory: Path) -> dict[int, tuple[Any, ...]]:
    """Of a run of evolution: what must not depend on whether it was interrupted."""
    folder = directory / "individuals"
    loaded = [Individual.load(path) for path in folder.glob("*.json")]
    return {each.number: (each.modules, each.parents, each.score, each.island, each.evaluated) for each in loaded}


@pytest.fixture
def waits() -> list[float]:
    """Seconds that models of ``make_model`` would have slept."""
    return []


@pytest.fixture
def make_model(waits: list[float]) -> Iterator[MakeModel]:
    """Models that do not sleep, closed after the test."""
    made: list[ChatModel] = []

    def make(url: str, **arguments: Any) -> ChatModel:
        defaults: dict[str, Any] = {
            "base_url": url,
            "api_key": KEY,
            "sleep": waits.append,
            "jitter": lambda: 0.0,
            "max_completion_tokens": 2000,
        }
        made.append(ChatModel("fake", **(defaults | arguments)))
        return made[-1]

    yield make
    for model in made:
        model.close()
