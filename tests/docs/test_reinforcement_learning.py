"""The table of docs/reinforcement_learning.md says what the shipped baselines say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from discoenv.exams import baselines
from discoenv.tasks.domain import get_domain

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reinforcement_learning.md"
BACKENDS = ("default", "recurrent", "transformer")


@pytest.mark.parametrize("game", ["Asterix", "Breakout", "Freeway", "SpaceInvaders"])
def test_the_table_shows_the_shipped_baselines(game: str) -> None:
    domain, dataset = get_domain("OnPolicyRL"), f"MinAtar/{game}"
    entries = [baselines.entry(domain, backend=backend, dataset=dataset, scale="small") for backend in BACKENDS]
    cells = [f"{entries[0].floor.mean:.2f}"]
    cells += [f"{entry.baseline.mean:.2f} ± {entry.baseline.std:.2f}" for entry in entries]
    (row,) = re.findall(rf"^\| {dataset} \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert row.split(" | ") == cells


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("game", ["Asterix", "Breakout", "Freeway", "SpaceInvaders"])
def test_baselines_of_all_backends_are_above_the_floor(backend: str, game: str) -> None:
    """By more than three standard errors of the baseline's mean."""
    entry = baselines.entry(get_domain("OnPolicyRL"), backend=backend, dataset=f"MinAtar/{game}", scale="small")
    assert len(entry.seeds) == 3
    assert entry.baseline.mean - entry.floor.mean > 3 * (entry.baseline.std / 3**0.5)
