"""The examiner against answers that are known, and against learners that break its rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from discoenv.domains.BrainSpeechDetection.books import BOOKS
from discoenv.domains.BrainSpeechDetection.examiner import (
    LEAST_QUESTION,
    MOST_QUESTION,
    TOLERANCE,
    BrainSpeechDetectionExaminer,
    evoked,
)
from discoenv.exams.examiner import OwnCode, ProtocolError, RuleBroken
from discoenv.exams.state import checked
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import BUILTIN
from discoenv.testing import InProcessLearner

DOMAIN = Domain(BUILTIN / "BrainSpeechDetection")
#: Short sessions, for what does not depend on their length.
SHORT = {"WINDOWS": 60, "TRAIN_SESSIONS": 2, "EXAM_SESSIONS": 4}


def examiner(dataset: str = "Book1", **changes: Any) -> BrainSpeechDetectionExaminer:
    return BrainSpeechDetectionExaminer(dataset, "tiny", {**DOMAIN.config(dataset, "tiny"), **SHORT, **changes})


class Detector:
    """Answers ``probabilities(windows)`` by a function, and keeps what it was asked."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def probabilities(self, windows: Any) -> Any:
        assert windows.dtype == np.float32
        self.asked.append(np.array(windows))
        return self.answer(windows)


def state(parameters: int = 10, threshold: Any = 0.5, **more: Any) -> dict[str, Any]:
    return {"model": {"weight": np.zeros(parameters, np.float32)}, "preprocess": {}, "threshold": threshold} | more


def asking(answer: Callable[[Any], Any], threshold: float = 0.5, witness: Any = None) -> InProcessLearner:
    learner = InProcessLearner(Detector(answer), state=state(threshold=threshold))
    if witness is not None:
        learner.witness = InProcessLearner(Detector(witness), state=state(threshold=threshold))
    return learner


def power(windows: Any) -> Any:
    """An honest detector, in spirit: something smooth of each window alone."""
    return 1.0 / (1.0 + np.exp(-(windows.astype(np.float64).std(axis=(1, 2)) - 0.4) * 5.0))


def knowing(exam_: BrainSpeechDetectionExaminer, seed: int) -> Callable[[Any], Any]:
    """Knows each held-out window by all but the last bits of its numbers."""
    windows, labels, _ = exam_.windows(seed, "test")

    def key(window: Any) -> bytes:
        return bytes(np.asarray(window, np.float16).view(np.uint16).astype(np.int64).ravel() >> 1)

    known = {key(window): label for window, label in zip(windows, labels, strict=True)}
    return lambda asked: np.array([float(known[key(window)]) for window in asked])


def test_a_detector_that_knows_scores_one_and_one_that_inverts_zero() -> None:
    exam_ = examiner()
    found = exam_.examine(asking(knowing(exam_, 3)), 3)
    assert found["macro_f1"] == found["auroc"] == found["balanced_accuracy"] == found["best_macro_f1"] == 1.0
    assert found["parameter_count"] == 10
    right = knowing(exam_, 3)
    assert exam_.examine(asking(lambda windows: 1.0 - right(windows)), 3)["macro_f1"] == 0.0


def test_the_threshold_is_the_one_that_was_handed_over() -> None:
    exam_ = examiner()
    right = knowing(exam_, 3)

    def unsure(windows: Any) -> Any:
        return 0.2 + 0.1 * right(windows)

    assert exam_.examine(asking(unsure, threshold=0.25), 3)["macro_f1"] == 1.0
    wrong = exam_.examine(asking(unsure, threshold=0.5), 3)
    assert wrong["macro_f1"] < 0.5
    assert wrong["best_macro_f1"] == 1.0


def test_windows_come_in_random_order_and_some_of_them_again() -> None:
    exam_ = examiner()
    learner = asking(power)
    exam_.examine(learner, 3)
    asked = learner.model.asked
    sizes = [len(windows) for windows in asked]
    assert max(sizes) <= MOST_QUESTION
    assert min(sizes[:-1]) >= LEAST_QUESTION
    windows, _, _ = exam_.windows(3, "test")
    exact = {window.astype(np.float32).tobytes(): row for row, window in enumerate(windows)}
    shown = [exact.get(window.tobytes()) for question in asked for window in question]
    first = [row for row in dict.fromkeys(shown) if row is not None]
    assert sorted(first) == list(range(len(windows)))
    assert np.abs(np.corrcoef(first, range(len(first)))[0, 1]) < 0.3
    assert len(shown) > 1.15 * len(windows)
    assert shown.count(None) > 0.05 * len(windows)  # with another last bit


def test_held_out_sessions_are_of_no_other_exam_and_not_those_to_train_on() -> None:
    exam_ = examiner()
    data, again = exam_.training_data(3), exam_.training_data(3)
    np.testing.assert_array_equal(data["train_windows"], again["train_windows"])
    assert set(data) == {
        f"{part}_{what}" for part in ("train", "validation") for what in ("windows", "labels", "sessions")
    }
    assert data["train_windows"].shape == (120, 23, 80)
    assert data["train_sessions"].tolist() == [0] * 60 + [1] * 60
    given = {window.tobytes() for name in ("train", "validation") for window in data[f"{name}_windows"]}
    held = {window.tobytes() for window in exam_.windows(3, "test")[0]}
    other = {window.tobytes() for window in exam_.windows(4, "test")[0]}
    assert not given & held
    assert not held & other


def test_heads_differ_between_exams_less_than_between_listeners() -> None:
    heads = {(name, seed): examiner(name).head(seed)[1] for name in ("Book1", "Listener2") for seed in (1, 2)}
    assert not np.array_equal(heads["Book1", 1].places, heads["Book1", 2].places)

    def apart(one: Any, other: Any) -> float:
        return float(np.linalg.norm(one.places - other.places, axis=1).mean())

    assert 2.0 * apart(heads["Book1", 1], heads["Book1", 2]) < apart(heads["Book1", 1], heads["Listener2", 1])


def test_states_are_checked() -> None:
    exam_ = examiner(MAX_PARAMETERS=100, MAX_FITTED=50)
    exam_.check_state(checked(state(100, preprocess={"mean": np.zeros(50)})))
    exam_.check_state(checked(state(100)))
    for wrong, error, message in (
        (state(101), RuleBroken, "101 parameters and buffers; the configuration allows 100"),
        (state(preprocess={"hoard": np.zeros(51)}), RuleBroken, "51 numbers of preprocessing"),
        (state(threshold=np.full(3, 0.5)), RuleBroken, "'threshold' must be one number from 0 to 1"),
        (state(threshold=1.5), RuleBroken, "'threshold' must be one number from 0 to 1"),
        (state(more=np.zeros(2)), ProtocolError, "has 'more' too"),
        ({"model": {"weight": np.zeros(3)}, "threshold": 0.5}, ProtocolError, "preprocess"),
    ):
        with pytest.raises(error, match=message):
            exam_.check_state(checked(wrong))


class Adapting:
    """Moves its probabilities by the quantiles of all that it was shown."""

    def __init__(self, width: float = 1.0, remembers: bool = False) -> None:
        self.shown: list[Any] = []
        self.width, self.remembers = width, remembers
        self.said: dict[bytes, float] = {}

    def __call__(self, windows: Any) -> Any:
        honest = power(windows)
        self.shown.append(honest)
        moved = np.clip(honest - np.quantile(np.concatenate(self.shown), 0.25) + 0.5, 0.0, 1.0)
        found = 0.5 + self.width * (moved - 0.5)
        if self.remembers:
            keys = [np.round(window, 2).tobytes() for window in windows]
            found = np.array([self.said.setdefault(key, each) for key, each in zip(keys, found, strict=True)])
        return found


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Adapting(), "shown again"),
        (Adapting(width=0.9 * TOLERANCE), "other side of the threshold"),
        (lambda windows: np.convolve(np.pad(power(windows), 1, mode="edge"), np.ones(3) / 3, "valid"), "shown again"),
        (
            lambda windows: np.random.default_rng(int(1e6 * windows[0, 0, 0]) % 2**32).random(len(windows)),
            "shown again",
        ),
    ],
)
def test_answers_that_depend_on_other_windows_end_the_exam(answer: Any, message: str) -> None:
    with pytest.raises(RuleBroken, match=message):
        examiner().examine(asking(answer), 3)


def test_answers_that_depend_on_the_last_bits_end_the_exam() -> None:
    def by_bytes(windows: Any) -> Any:
        return np.array([np.random.default_rng(list(window.tobytes()[:800])).random() for window in windows])

    with pytest.raises(RuleBroken, match="another last bit"):
        examiner().examine(asking(by_bytes), 3)


@pytest.mark.parametrize("width", [1.0, 0.9 * TOLERANCE])
def test_a_witness_finds_adaptation_that_is_remembered(width: float) -> None:
    learner = asking(Adapting(width, remembers=True), witness=Adapting(width, remembers=True))
    with pytest.raises(RuleBroken, match="a learner that was shown other windows"):
        examiner().examine(learner, 3)
    honest = asking(power, threshold=0.7, witness=power)
    assert 0.0 < examiner().examine(honest, 3)["macro_f1"] < 1.0


@pytest.mark.parametrize(
    "answer",
    [
        lambda windows: np.full(len(windows), np.nan),
        lambda windows: np.full(len(windows), 1.5),
        lambda windows: np.zeros((len(windows), 1)),
        lambda windows: np.zeros(len(windows) + 1),
    ],
)
def test_answers_that_are_no_probabilities_end_the_exam(answer: Any) -> None:
    with pytest.raises(ProtocolError):
        examiner().examine(asking(answer), 3)


def test_the_floor_is_guessing() -> None:
    values = [examiner(dataset, WINDOWS=250).floor(1) for dataset in ("Book1", "Book7")]
    for found in values:
        assert found["macro_f1"] == pytest.approx(0.5, abs=0.06)
        assert found["auroc"] == pytest.approx(0.5, abs=0.06)


def test_our_own_code_answers_for_all_windows() -> None:
    exam_ = examiner()

    class Code:
        @staticmethod
        def make(config: Any, given: Any) -> Any:
            return Detector(power)

    one = exam_.examine(OwnCode(Code, exam_.config, checked(state(threshold=0.7))), 3)
    assert one == exam_.examine(asking(power, threshold=0.7), 3)
    assert set(exam_.artifacts) == {"probabilities", "labels", "threshold", "evoked", "sensors"}


def test_evoked_responses_are_means_around_onsets() -> None:
    sessions = examiner(WINDOWS=250).sessions(3, "test")
    found = evoked(sessions)
    assert found.shape == (23, 80)
    np.testing.assert_allclose(found[:, :20].mean(axis=1), 0.0, atol=1e-9)
    cut = [
        session.signals[:, onset - 20 : onset + 60].astype(np.float64)
        for session in sessions
        for onset, pause in zip(session.timeline.onsets, session.timeline.pauses, strict=True)
        if pause >= 0.4 and 20 <= onset <= session.signals.shape[1] - 60
    ]
    mean = np.mean(cut, axis=0)
    np.testing.assert_allclose(found, mean - mean[:, :20].mean(axis=1, keepdims=True), atol=1e-9)


def test_every_book_has_a_dataset() -> None:
    offline = {name for name, entry in DOMAIN.specification.datasets.items() if entry.source == "offline"}
    assert offline == set(BOOKS)
    assert {DOMAIN.config(name, "small")["BOOK"] for name in offline} == set(BOOKS)
