"""Exams in this process: an examiner, and a learner that it questions."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from discoenv.exams import wire
from discoenv.exams.examiner import Examiner, Learner, OwnCode
from discoenv.exams.examiner_process import load_examiner_class
from discoenv.exams.state import State, checked
from discoenv.kits.exam import messages
from discoenv.tasks.domain import Domain
from discoenv.tasks.specification import Scale


def make_examiner(domain: Domain, dataset: str, scale: Scale | None = None, **changes: Any) -> Examiner:
    """The examiner of one dataset, as an exam has it.

    Args:
        domain, dataset: whose.
        scale: one of the dataset's; None: its smallest.
        changes: keys of the configuration that shall have other values.

    Raises:
        UnknownName: there is no such dataset or scale.
        TypeError: ``examiner.py`` does not define one subclass of :class:`Examiner`.
    """
    domain.require(dataset=dataset)
    scale = scale or domain.scales(dataset)[0]
    config = {**domain.config(dataset, scale), **changes}
    return load_examiner_class(domain.directory)(dataset, scale, config)


class InProcessLearner(Learner):
    """A learner in this process: ``examiner.examine(InProcessLearner(model), seed)``.

    Questions and answers pass through the same bytes and the same checks as those of a learner in a sandbox: the model
    gets plain Python values and writable arrays; what it answers is refused where an exam would refuse it. There is no
    time limit, and what the model raises is raised here.

    Args:
        model: an object whose methods answer the domain's questions.
        state: what its training has handed over, checked as in an exam but for :meth:`Examiner.check_state`.
        answers: constant answers to methods that ``model`` does not have: ``InProcessLearner(policy, env_steps=0)``.
    """

    def __init__(self, model: Any, *, state: Mapping[str, Any] | None = None, **answers: Any) -> None:
        super().__init__(None, math.inf)
        self.model = model
        if state:
            self.state = handed_over(state)
        self._answers = answers

    def _exchange(self, method: str, args: tuple[Any, ...]) -> Any:
        question = messages.unpack(*_parts(messages.pack({"call": method, "args": list(args)})))
        begin = time.monotonic()
        try:
            if method in self._answers:
                answer = self._answers[method]
            else:
                answer = getattr(self.model, method)(*question["args"])
        finally:
            self.answering_s += time.monotonic() - begin
            self.questions += 1
        header, body = _parts(messages.pack({"answer": answer}))
        wire.FrameLimits().check(len(header), len(body))
        return wire.decode(header, body)["answer"]


def handed_over(state: Mapping[str, Any]) -> State:
    """A state after its way from a learner to an examiner.

    Raises:
        ProtocolError: an exam would refuse it, whatever its domain.
    """
    header, body = _parts(messages.pack({"state": state}))
    wire.FrameLimits().check(len(header), len(body))
    return checked(wire.decode(header, body)["state"])


def examined(examiner: Examiner, code: Any, state: Mapping[str, Any], seed: int) -> dict[str, float]:
    """Metrics of a state, to which the domain's own code is applied, as where no module that uses it is editable.

    Args:
        examiner: of the dataset.
        code: ``answer.py`` of a learner's code, see :func:`discoenv.testing.import_learner`.
        state: what its training has handed over.
        seed: of the exam.

    Raises:
        ProtocolError: the state is refused.
    """
    received = handed_over(state)
    examiner.check_state(received)
    return examiner.examine(OwnCode(code, examiner.answering_config, received), seed)


def _parts(message: bytes) -> tuple[bytearray, bytearray]:
    """Header and body of a packed message."""
    start = messages.LENGTHS.size
    header, _ = messages.LENGTHS.unpack(message[:start])
    return bytearray(message[start : start + header]), bytearray(message[start + header :])
