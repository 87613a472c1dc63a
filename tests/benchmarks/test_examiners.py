"""The benchmark of starting examiners starts them with nothing stored, then with what the first one stored."""

from __future__ import annotations

import os

import pytest

from benchmarks import examiners


def test_what_the_first_process_stores_spares_the_second_work(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gymnax")
    pytest.importorskip("flatbuffers")
    monkeypatch.setenv("XDG_CACHE_HOME", "/nonexistent")
    figures = examiners.run((("OffPolicyRL", "Classic/CartPole"),), repeats=1)["OffPolicyRL Classic/CartPole"]
    assert os.environ["XDG_CACHE_HOME"] == "/nonexistent"
    assert figures["cold"]["cpu_s"] > figures["stored"]["cpu_s"] > 0
    assert figures["cache_mib"] > 0
