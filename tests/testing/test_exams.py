"""A learner in this process is asked and checked as one in a sandbox is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from discoenv.errors import UnknownName
from discoenv.exams.examiner import Array
from discoenv.exams.wire import ProtocolError
from discoenv.tasks.domain import Domain
from discoenv.testing import InProcessLearner, import_workspace, make_examiner, write_workspace


def test_a_learner_in_this_process_is_examined(toy: Domain, tmp_path: Path) -> None:
    examiner = make_examiner(toy, "Line")
    data = examiner.training_data(3)
    with import_workspace(write_workspace(toy, tmp_path / "code")) as code:
        model = code.model.Model()
        model.fit(code.features.features(data["x"]), data["y"], np.random.default_rng(0))
        learner = InProcessLearner(code.main.Regressor(model))
        assert examiner.examine(learner, 3)["r2"] > 0.8
    assert learner.questions == 4
    assert learner.answering_s > 0


def test_questions_and_answers_are_those_of_the_wire() -> None:
    heard: list[Any] = []

    def note(*args: Any) -> Any:
        heard.extend(args)
        args[0][0] = 7.0  # learners may write into what they get
        return args[0]

    sent = np.zeros(2, np.float32)
    learner = InProcessLearner(SimpleNamespace(note=note))
    answer = learner.ask("note", sent, (1, {"a": None}), returns=Array((2,)))
    assert answer.dtype == np.float64 and answer.tolist() == [7.0, 0.0]
    assert heard[0].dtype == np.float32 and heard[1] == [1, {"a": None}]
    assert sent.tolist() == [0.0, 0.0]
    learner.tell("note", sent)
    assert learner.questions == 2


@pytest.mark.parametrize("answer", [[1.0, 2.0], np.zeros(3), np.array([1.0, np.nan]), None, "text"])
def test_answers_that_an_exam_would_refuse_are_refused(answer: Any) -> None:
    with pytest.raises(ProtocolError, match=r"^act\(\) answered"):
        InProcessLearner(SimpleNamespace(act=lambda: answer)).ask("act", returns=Array((2,)))


def test_a_message_that_is_too_long_is_refused() -> None:
    learner = InProcessLearner(SimpleNamespace(act=lambda: ["x" * 1024] * 1024))
    with pytest.raises(ProtocolError, match=r"a message announces \d{7} \+ 0 bytes; the limits are 1048576 for its"):
        learner.ask("act", returns=Array((2,)))


def test_constant_answers_and_exceptions() -> None:
    def fail() -> None:
        raise NotImplementedError("loss.py: loss is not implemented")

    learner = InProcessLearner(SimpleNamespace(fail=fail), env_steps=5)
    assert learner.ask("env_steps", returns=Array((), "int")) == 5
    with pytest.raises(NotImplementedError, match="loss is not"):
        learner.tell("fail")
    assert learner.questions == 2


def test_an_examiner_has_the_configuration_of_its_dataset_and_what_is_changed(toy: Domain) -> None:
    examiner = make_examiner(toy, "Line", "small", noise=0.0)
    assert (examiner.dataset, examiner.scale) == ("Line", "small")
    assert examiner.config == {"n": 256, "noise": 0.0, "held_out": 256}
    assert make_examiner(toy, "Line").scale == "tiny"
    with pytest.raises(UnknownName, match="no dataset is called 'Lin' in Toy; did you mean 'Line'"):
        make_examiner(toy, "Lin")
