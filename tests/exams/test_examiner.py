"""Answers are checked for type, shape, range and finiteness before an examiner sees them, and waiting is charged."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discoenv.exams import examiner as examiners
from discoenv.exams.examiner import Array, Examiner, Learner
from discoenv.exams.wire import AnswerTooLate, Channel, Deadline, ProtocolError


@pytest.mark.parametrize(
    ("expected", "answer", "dtype"),
    [
        (Array((3,)), np.ones(3, np.float16), np.float64),
        (Array((3,)), np.ones(3, np.uint8), np.float64),
        (Array((None, 2)), np.ones((5, 2)), np.float64),
        (Array((None,)), np.ones(0), np.float64),
        (Array(()), 1.5, np.float64),
        (Array(()), 3, np.float64),
        (Array(()), np.array(2.0, np.float32), np.float64),
        (Array((), kind="int"), 3, np.int64),
        (Array((2,), kind="int"), np.array([0, 255], np.uint8), np.int64),
        (Array((2,), kind="bool"), np.array([True, False]), np.bool_),
        (Array((), kind="bool"), True, np.bool_),
        (Array((2,), low=0, high=1), np.array([0.0, 1.0]), np.float64),
        (Array((2,), finite=False), np.array([math.nan, math.inf]), np.float64),
    ],
)
def test_a_valid_answer_is_given_in_one_dtype(expected: Array, answer: Any, dtype: type) -> None:
    values = expected.check(answer, "predict()")
    assert values.dtype == dtype
    np.testing.assert_array_equal(values, np.asarray(answer))
    if values.size:
        values[...] = 0  # an independent copy


@pytest.mark.parametrize(
    ("expected", "answer", "message"),
    [
        (Array((3,)), np.ones(4), "predict() answered float64 of shape (4,); expected float of shape (3,)"),
        (Array((3,)), np.ones((3, 1)), "answered float64 of shape (3, 1)"),
        (Array((3,)), 1.0, "answered float64 of shape ()"),
        (Array((None, 2)), np.ones((5, 3)), "expected float of shape (any, 2)"),
        (Array((2,)), [1.0, 2.0], "answered list; expected float of shape (2,)"),
        (Array(()), None, "answered NoneType"),
        (Array(()), "1.0", "answered str"),
        (Array(()), {"x": 1}, "answered dict"),
        (Array(()), True, "answered bool of shape ()"),
        (Array((), kind="int"), True, "answered bool of shape ()"),
        (Array((), kind="int"), 1.0, "answered float64 of shape ()"),
        (Array((), kind="bool"), 1, "answered int64 of shape ()"),
        (Array((3,)), np.ones(3, bool), "answered bool of shape (3,)"),
        (Array((), kind="int"), 2**100, "out of range"),
        (Array(()), 10**40, "out of range"),
        (Array((), kind="int"), 2**63, "out of range"),
        (Array((1,), kind="int"), np.array([2**64 - 1], np.uint64), "out of range"),
        (Array((3,)), np.array([1, math.nan, math.inf]), "answered 2 of 3 values that are NaN or infinite"),
        (Array(()), math.nan, "answered 1 of 1 values that are NaN or infinite"),
        (Array((2,), low=0), np.array([-1.0, 0.5]), "answered values from -1.0 to 0.5; expected 0 to None"),
        (Array((2,), kind="int", low=0, high=3), np.array([0, 4]), "answered values from 0 to 4; expected 0 to 3"),
    ],
)
def test_any_other_answer_is_a_protocol_error_that_names_both_sides(expected: Array, answer: Any, message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        expected.check(answer, "predict()")
    assert str(caught.value).startswith("predict() answered ")
    assert message in str(caught.value)


@given(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.integers(), max_size=3)
    | st.sampled_from([np.zeros(3, dtype) for dtype in ("?", "i1", "u8", "f2", "f4", "f8")]),
    st.sampled_from(["float", "int", "bool"]),
    st.sampled_from([(), (3,), (None,), (1, 3)]),
)
def test_a_check_gives_values_or_a_protocol_error(answer: Any, kind: Any, shape: Any) -> None:
    try:
        values = Array(shape, kind=kind).check(answer, "f()")
    except ProtocolError:
        return
    assert len(values.shape) == len(shape)
    assert np.isfinite(values).all()


class Clock:
    """A clock that only moves when a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class ScriptedChannel(Channel):
    """Answers with given messages; each takes three seconds. A message that is an exception is raised."""

    def __init__(self, clock: Clock, messages: list[Any]) -> None:
        self.clock = clock
        self.messages = messages
        self.sent: list[Any] = []
        self.deadlines: list[Deadline] = []

    def send(self, message: Any, deadline: Deadline) -> None:
        self.sent.append(message)
        self.clock.now += 1

    def receive(self, deadline: Deadline) -> dict[str, Any]:
        self.deadlines.append(deadline)
        self.clock.now += 2
        message = self.messages.pop(0)
        if isinstance(message, Exception):
            raise message
        return dict(message)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(examiners, "time", clock)
    return clock


def test_a_learner_is_charged_for_answering_but_not_for_the_examiners_work(clock: Clock) -> None:
    channel = ScriptedChannel(clock, [{"answer": np.ones(2)}, {"answer": None}])
    learner = Learner(channel, budget_s=10)
    np.testing.assert_array_equal(learner.ask("predict", [1], {"a": 2}, returns=Array((2,))), [1, 1])
    clock.now += 500  # the examiner computes
    learner.tell("reset")
    assert learner.answering_s == 6
    assert learner.questions == 2
    assert channel.sent == [{"call": "predict", "args": [[1], {"a": 2}]}, {"call": "reset", "args": []}]
    assert channel.deadlines == [1010, 1000 + 3 + 500 + 10 - 3]


@pytest.mark.parametrize("message", [{}, {"ready": True}, {"answer": 1, "skill": 1e9}, {"done": True}])
def test_a_message_that_is_not_an_answer_ends_the_exam(clock: Clock, message: dict[str, Any]) -> None:
    learner = Learner(ScriptedChannel(clock, [message]), budget_s=10)
    with pytest.raises(ProtocolError, match=r"predict\(\) was answered by a message that is not an answer"):
        learner.ask("predict", returns=Array(()))
    assert (learner.answering_s, learner.questions) == (3, 1)


def test_time_is_charged_for_an_answer_that_never_came(clock: Clock) -> None:
    learner = Learner(ScriptedChannel(clock, [AnswerTooLate("late")]), budget_s=10)
    with pytest.raises(AnswerTooLate):
        learner.tell("predict")
    assert (learner.answering_s, learner.questions) == (3, 1)


class Coin(Examiner):
    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        return {"score": 1.0}

    def floor(self, seed: int) -> dict[str, float]:
        return {"score": 0.0}


def test_an_examiner_gives_no_training_data_by_default() -> None:
    assert Coin("Line", "tiny", {}).training_data(0) == {}


def test_generators_are_reproducible_and_independent() -> None:
    draws = {
        (dataset, seed, purpose): float(Coin(dataset, "tiny", {}).generator(seed, purpose).random())
        for dataset in ("Line", "Wave")
        for seed in (0, 1, 2**63 - 1)
        for purpose in ("training", "held-out")
    }
    assert len(set(draws.values())) == len(draws)
    assert draws["Line", 0, "training"] == float(Coin("Line", "small", {}).generator(0, "training").random())
