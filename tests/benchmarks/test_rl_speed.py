"""The speed benchmark runs both programs for as long, and both learn."""

from __future__ import annotations

import sys

import pytest

from benchmarks import rl_speed

pytest.importorskip("gymnax")


@pytest.mark.slow
def test_both_programs_learn_and_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    try:
        figures = rl_speed.measure("MinAtar/Breakout", steps=131_072, repeats=1)
    finally:
        for name in set(sys.modules) - before:
            if not getattr(sys.modules[name], "__package__", None):
                del sys.modules[name]  # the learner's plain modules
    assert set(figures) == {"discoenv", "plain"}
    for row in figures.values():
        assert row["steps_per_s"] > 0 and row["compile_s"] > 0
        assert row["return"] > 2.5  # a random policy has about 0.5
