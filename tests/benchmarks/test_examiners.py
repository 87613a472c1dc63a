"""The benchmark of starting examiners starts them with nothing stored, then with what the first one stored."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import examiners


def test_what_the_first_process_stores_spares_the_second_work(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gymnax")
    pytest.importorskip("flatbuffers")
    monkeypatch.setenv("XDG_CACHE_HOME", "/nonexistent")
    stored: list[set[Path]] = []
    first_floor = examiners.first_floor

    def noted(domain: str, dataset: str) -> dict[str, float]:
        figures = first_floor(domain, dataset)
        stored.append({path for path in Path(os.environ["XDG_CACHE_HOME"]).rglob("*") if path.is_file()})
        return figures

    monkeypatch.setattr(examiners, "first_floor", noted)
    figures = examiners.run((("OffPolicyRL", "Classic/CartPole"),), repeats=1)["OffPolicyRL Classic/CartPole"]
    assert os.environ["XDG_CACHE_HOME"] == "/nonexistent"
    cold, later = stored
    assert cold == later != set(), "what is compiled is stored, so the second process compiled nothing"
    assert figures["cold"]["cpu_s"] > 0 and figures["stored"]["cpu_s"] > 0
    assert figures["cache_mib"] > 0
