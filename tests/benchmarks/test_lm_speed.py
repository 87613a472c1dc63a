"""The comparison of LanguageModelling's training with a plain loop."""

from __future__ import annotations

import pytest

from benchmarks import lm_speed

pytest.importorskip("torch")


@pytest.mark.slow
def test_both_programs_learn_the_same_and_are_timed() -> None:
    figures = lm_speed.measure("StoryGrammar", steps=40, repeats=1)
    assert set(figures) == {"discoenv", "plain"}
    assert all(row["tokens_per_s"] > 0 and len(row["samples"]) == 1 for row in figures.values())
    assert figures["plain"]["bits"] == pytest.approx(figures["discoenv"]["bits"], abs=1.0)  # batches differ
    assert figures["plain"]["bits"] < 4.0  # frequencies of bytes need 4.4
