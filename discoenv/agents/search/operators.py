"""Operators of evolutionary search: how new modules come from old ones, by random changes or by a language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from discoenv.agents.llm.code_blocks import INSTRUCTIONS, parse_modules
from discoenv.agents.search.mutations import NothingToMutate, mutate
from discoenv.errors import ChatError
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import describe

if TYPE_CHECKING:
    from discoenv.agents.llm.chat import ChatModel
    from discoenv.episodes.transcript import CallRecorder

#: Probability that a child of two parents takes each module from either of them, before it is changed.
_CROSSOVER: Final = 0.25
_FEEDBACK_CHARACTERS: Final = 4000

SYSTEM_PROMPT: Final = """\
You are a researcher who discovers machine-learning algorithms. You are shown a task, a candidate solution with its \
scores, and perhaps another candidate for inspiration. Propose a better one. Read the scores and errors, decide what \
limits the candidate, and make one change that you can argue for: an idea, not a cosmetic edit. The modules must run \
as they are and keep the interfaces that their docstrings promise. They are judged on datasets that you are not shown, \
so prefer what generalises."""


class OperatorFailed(Exception):
    """An operator made no new modules; the message names the reason. Another attempt may succeed."""


@dataclass(frozen=True)
class Parent:
    """What an operator works from.

    Attributes:
        modules: source text by file name.
        score: mean normalised meta-train score, if it has one.
        feedback: scores and errors, as text of the environment.
    """

    modules: Mapping[str, str]
    score: float | None
    feedback: str = ""


@dataclass(frozen=True)
class Proposal:
    """New modules, and one line on what is new."""

    modules: dict[str, str]
    description: str


class Operator(Protocol):
    """Makes new modules; safe to call from several threads.

    Attributes:
        attempts: how often to ask until a child differs from all earlier ones.
    """

    attempts: int

    def propose(self, parents: Sequence[Parent], rng: np.random.Generator, *, label: str) -> Proposal:
        """A child of one or two parents, the first being the one to improve.

        Args:
            parents: one or two.
            rng: the only source of randomness of our own.
            label: names the child in records.

        Raises:
            OperatorFailed: there is no child; another attempt may give one.
        """


class AstOperator:
    """Random changes of numbers, switches and known functions; see :mod:`discoenv.agents.search.mutations`.

    Args:
        task: the task.
        changes: mean number of changes; at least 1.
    """

    attempts = 50

    def __init__(self, task: Task, *, changes: float = 1.5) -> None:
        if changes < 1:
            raise ValueError(f"changes is {changes}; a child that changes nothing is none")
        self._configuration = task.resolve().config(task.meta_train[0], task.scale)
        self._changes = changes

    def propose(self, parents: Sequence[Parent], rng: np.random.Generator, *, label: str) -> Proposal:
        """As :class:`Operator`."""
        modules, changes = dict(parents[0].modules), []
        if len(parents) > 1 and rng.random() < _CROSSOVER:
            for name, text in parents[1].modules.items():
                if rng.random() < 0.5 and text != modules[name]:
                    modules[name] = text
                    changes.append(f"{name} of the second parent")
        count = int(rng.geometric(1 / self._changes))
        try:
            mutation = mutate(modules, rng, changes=count, configuration=self._configuration)
        except NothingToMutate as error:
            raise OperatorFailed(str(error)) from error
        return Proposal(mutation.modules, "; ".join([*changes, *mutation.changes]))


class LlmOperator:
    """A language model reads the parents with their scores and writes a child.

    Args:
        task: the task.
        model: the language model.
        recorder: where its calls are recorded.
        instructions: the system prompt.
    """

    attempts = 2

    def __init__(
        self,
        task: Task,
        model: ChatModel,
        *,
        recorder: CallRecorder | None = None,
        instructions: str = SYSTEM_PROMPT,
    ) -> None:
        self._introduction = describe(task.side("meta_train"))
        self._model = model
        self._recorder = recorder
        self._instructions = instructions

    def propose(self, parents: Sequence[Parent], rng: np.random.Generator, *, label: str) -> Proposal:
        """As :class:`Operator`; a child that equals its parent is a failure.

        Raises:
            OperatorFailed: the model's answer holds no new module, or the model cannot be had.
            BudgetSpent: there is nothing left to spend.
        """
        try:
            reply = self._model.complete(
                self._messages(parents), recorder=self._recorder, conversation=label, label="mutation"
            )
        except ChatError as error:
            raise OperatorFailed(f"the model cannot be had: {error}") from error
        found = parse_modules(reply.text, list(parents[0].modules))
        modules = {**parents[0].modules, **found}
        if modules == dict(parents[0].modules):
            problem = "was cut off" if reply.finish_reason == "length" else "holds no new module"
            raise OperatorFailed(f"the model's answer {problem}")
        return Proposal(modules, _first_line(reply.text))

    def _messages(self, parents: Sequence[Parent]) -> list[dict[str, Any]]:
        shown = [_shown("The candidate to improve", parents[0])]
        shown += [_shown("Another candidate, for inspiration", other) for other in parents[1:]]
        task = "Say in one sentence what you change and why. Then write the new candidate: only the files that change."
        content = "\n\n".join([self._introduction, *shown, f"# What to do\n\n{task} {INSTRUCTIONS}"])
        return [{"role": "system", "content": self._instructions}, {"role": "user", "content": content}]


def _shown(title: str, parent: Parent) -> str:
    score = "not known" if parent.score is None else f"{parent.score:.4f}"
    files = "\n\n".join(f"### `{name}`\n\n```python\n{text.rstrip()}\n```" for name, text in parent.modules.items())
    return f"# {title} (mean normalised score {score})\n\n{parent.feedback[:_FEEDBACK_CHARACTERS]}\n\n{files}"


def _first_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("`", "#"))), "")
    return line if len(line) <= 200 else f"{line[:197]}..."
