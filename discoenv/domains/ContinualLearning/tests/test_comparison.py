"""The study of ContinualLearning compares three methods on the same images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discoenv.domains.ContinualLearning.studies import comparison
from discoenv.tasks.registry import get_domain

pytest.importorskip("torch")


def made_up(*scores: float) -> list[dict[str, float]]:
    return [{"average_accuracy": score, "forgetting": 0.2, "forgetting_score": score - 0.1} for score in scores]


def test_methods_are_ordered_only_if_they_differ_by_three_standard_errors() -> None:
    found: Any = {"fine-tuning": made_up(0.1, 0.1), "baseline": made_up(0.4, 0.5), "joint training": made_up(0.9, 0.9)}
    assert comparison.is_ordered(found)  # 0.35 with a standard error of 0.05
    assert not comparison.is_ordered(found | {"joint training": made_up(0.5, 0.69)})
    text = comparison.table("small", "default", 2, {"SplitGlyphs": found})
    assert "| SplitGlyphs | baseline | 0.450 ± 0.050 | 0.200 ± 0.000 | 0.350 ± 0.050 |" in text
    assert "on 1 of 1 datasets" in text


@pytest.mark.slow
def test_replay_beats_fine_tuning_and_joint_training_beats_both() -> None:
    found = comparison.measure(get_domain("ContinualLearning"), "SplitGlyphs", "tiny", "default", [0, 1])
    means = [np.mean(comparison.values(rows, "average_accuracy")) for rows in found.values()]
    assert tuple(found) == comparison.METHODS
    assert means == sorted(means)
    assert means[1] - means[0] > 0.1


def test_the_page_has_the_marks_that_the_table_goes_between() -> None:
    text = comparison.RESULTS.read_text(encoding="utf-8")
    assert text.index("<!-- table: written by studies/comparison.py -->") > 0
    assert "<!-- /table -->" in text
