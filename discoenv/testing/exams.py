"""Exams in this process: an examiner, and a learner that it questions."""

from __future__ import annotations

import math
import time
from typing import Any

from discoenv.exams import wire
from discoenv.exams.examiner import Examiner, Learner
from discoenv.exams.examiner_process import load_examiner_class
from discoenv.exams.state import checked
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
        state: what training has handed over, a tree of arrays; None: nothing.
        answers: constant answers to methods that ``model`` does not have: ``InProcessLearner(policy, env_steps=0)``.
    """

    def __init__(self, model: Any, *, state: Any = None, **answers: Any) -> None:
        super().__init__(None, math.inf)
        self.model = model
        if state is not None:
            self.state = checked(wire.decode(*_parts(messages.pack(state))))
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


def _parts(message: bytes) -> tuple[bytearray, bytearray]:
    """Header and body of a packed message."""
    start = messages.LENGTHS.size
    header, _ = messages.LENGTHS.unpack(message[:start])
    return bytearray(message[start : start + header]), bytearray(message[start + header :])
