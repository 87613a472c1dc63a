"""Whole exams in the real sandbox, pictures of them, and the study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discoenv.domains.BrainSpeechDetection.examiner import BrainSpeechDetectionExaminer
from discoenv.domains.BrainSpeechDetection.pictures import plot
from discoenv.domains.BrainSpeechDetection.studies import references
from discoenv.exams.host import Host
from discoenv.scoring import baselines
from discoenv.scoring.calibration import calibrate
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting
from discoenv.testing import InProcessLearner


@pytest.mark.slow
def test_a_tiny_exam_in_the_sandbox_beats_guessing(domain: Domain) -> None:
    found = calibrate(Host(), Setting(domain, "default", "Book1", "tiny"), seeds=[11])
    assert found.baseline.mean > found.floor.mean + 0.05


class Exam:
    """What an exam left for pictures."""

    dataset, side, number, step = "Book1", "meta_train", 0, 1

    def __init__(self, artifacts: Mapping[str, Any]) -> None:
        self._artifacts = artifacts

    def arrays(self) -> Mapping[str, Any]:
        return self._artifacts


def test_pictures_show_evoked_responses_maps_and_decisions(domain: Domain, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    exam_ = BrainSpeechDetectionExaminer("Book1", "tiny", {**domain.config("Book1", "tiny"), "WINDOWS": 60})

    class Detector:
        @staticmethod
        def probabilities(windows: Any) -> Any:
            return np.full(len(windows), 0.6)

    state = {"model": {"w": np.zeros(1)}, "preprocess": {}, "threshold": 0.5}
    exam_.examine(InProcessLearner(Detector, state=state), 0)
    exams: Any = [Exam(exam_.artifacts)]
    paths = plot(exams, tmp_path)
    assert [path.name for path in paths] == ["evoked_Book1.png", "decisions_Book1.png"]
    assert all(path.stat().st_size > 10_000 for path in paths)
    published = {name: array for name, array in exam_.artifacts.items() if name not in ("evoked", "sensors")}
    exams = [Exam(published), Exam({})]
    assert [path.name for path in plot(exams, tmp_path)] == ["decisions_Book1.png"]


def short(domain: Domain, **changes: Any) -> BrainSpeechDetectionExaminer:
    return BrainSpeechDetectionExaminer("Book1", "tiny", {**domain.config("Book1", "tiny"), **changes})


def test_a_matched_filter_is_far_above_a_linear_decoder(
    domain: Domain, code: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "_LIBRARY", 4)
    monkeypatch.setattr(references, "_OWN", 2)
    exam_ = short(domain)
    threshold_of: Callable[..., Any] = code.main.best_threshold
    oracle, linear = references.matched(exam_, threshold_of, 1), references.linear(exam_, threshold_of, 1)
    floor = exam_.floor(1)
    assert floor["auroc"] + 0.02 < linear["auroc"] < oracle["auroc"] - 0.1
    assert oracle["macro_f1"] > 0.8


def test_tables_say_whether_methods_are_in_order() -> None:
    recordings = {"exponent": 1.2, "hertz": 10.0, "decibel": 5.0, "first": 0.05, "second": 0.1, "third": 0.2}

    def found(values: Sequence[float]) -> dict[str, list[dict[str, float]]]:
        each = {name: [{"macro_f1": v, "auroc": v}] * 2 for name, v in zip(references.METHODS, values, strict=True)}
        return {**each, "recordings": [recordings] * 2}

    books = {"Book1": found((0.5, 0.6, 0.7, 0.9)), "Book2": found((0.5, 0.7, 0.6, 0.9))}
    text = references.table("small", 2, books)
    assert "on 1 of 2 datasets" in text
    assert "| Book1 | 0.500 ± 0.000 | 0.600 ± 0.000 | 0.700 ± 0.000 | 0.900 ± 0.000 |" in text
    assert "| Book2 | 1.20 | 10.0 | 5.0 | 50, 100, 200 |" in text


@pytest.mark.slow
@pytest.mark.long
def test_methods_are_in_order_on_a_book(domain: Domain) -> None:
    found = references.measure(domain, "Book1", "tiny", range(2))
    assert references.is_ordered(found)


def test_baselines_are_far_above_guessing_and_not_perfect(domain: Domain) -> None:
    for name, entry in domain.specification.datasets.items():
        for scale in domain.scales(name) if entry.source == "offline" else ():
            found = baselines.entry(Setting(domain, "default", name, scale))
            errors = [each.std / np.sqrt(len(each.values)) for each in (found.floor, found.baseline)]
            assert found.baseline.mean - found.floor.mean > 5.0 * np.hypot(*errors), (name, scale)
            assert 0.4 < found.floor.mean < 0.55 < found.baseline.mean < 0.85, (name, scale)
