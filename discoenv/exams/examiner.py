"""What a domain's ``examiner.py`` builds on: the base class :class:`Examiner` and the learner as it sees it.

An examiner is trusted. It owns the held-out data, environments or black-box functions of one dataset, questions a
learner that may answer anything, and computes the metrics. It never runs code of the agent.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, final, overload

import numpy as np

from discoenv.exams.budget import Budget
from discoenv.exams.state import State
from discoenv.exams.wire import Channel, Deadline, LearnerGone, ProtocolError, RuleBroken

__all__ = ["Array", "Examiner", "Learner", "OwnCode", "ProtocolError", "RuleBroken", "State", "Tree"]

#: Most bytes of arrays that an examiner may save as artifacts of one exam.
MOST_ARTIFACT_BYTES: Final = 4 << 20


@dataclass(frozen=True)
class Array:
    """What an answer must be.

    Attributes:
        shape: expected sizes; None: any size.
        kind: ``float`` accepts any real dtype and gives float64; ``int`` accepts integers and gives int64; ``bool``.
        low, high: inclusive bounds of every element, if any.
        finite: whether NaN and infinities are refused.
    """

    shape: tuple[int | None, ...]
    kind: Literal["float", "int", "bool"] = "float"
    low: float | None = None
    high: float | None = None
    finite: bool = True

    _ACCEPTED: ClassVar[Mapping[str, str]] = {"float": "fiu", "int": "iu", "bool": "b"}
    _GIVEN: ClassVar[Mapping[str, type[np.generic]]] = {"float": np.float64, "int": np.int64, "bool": np.bool_}

    def check(self, answer: Any, question: str) -> np.ndarray[Any, Any]:
        """The answer as a checked array.

        Raises:
            ProtocolError: if it is not what this describes; the message names ``question`` and both sides.
        """
        if isinstance(answer, (bool, int, float)):
            answer = np.asarray(answer)
        if not isinstance(answer, np.ndarray):
            raise ProtocolError(f"{question} answered {type(answer).__name__}; expected {self}")
        if answer.dtype.hasobject:  # a Python integer of more than 64 bits
            raise ProtocolError(f"{question} answered an integer that is out of range")
        fits = len(answer.shape) == len(self.shape) and all(
            want is None or have == want for have, want in zip(answer.shape, self.shape, strict=True)
        )
        if not fits or answer.dtype.kind not in self._ACCEPTED[self.kind]:
            raise ProtocolError(f"{question} answered {answer.dtype} of shape {answer.shape}; expected {self}")
        if self.kind == "int" and answer.dtype == np.uint64 and (answer > np.iinfo(np.int64).max).any():
            raise ProtocolError(f"{question} answered an integer that is out of range")
        with np.errstate(over="ignore"):
            values = answer.astype(self._GIVEN[self.kind])
        if self.kind == "float" and self.finite and not np.isfinite(values).all():
            count = int((~np.isfinite(values)).sum())
            raise ProtocolError(f"{question} answered {count} of {values.size} values that are NaN or infinite")
        if (self.low is not None and (values < self.low).any()) or (
            self.high is not None and (values > self.high).any()
        ):
            raise ProtocolError(
                f"{question} answered values from {values.min()} to {values.max()}; expected {self.low} to {self.high}"
            )
        return values

    def __str__(self) -> str:
        sizes = ", ".join("any" if n is None else str(n) for n in self.shape)
        return f"{self.kind} of shape ({sizes}{',' if len(self.shape) == 1 else ''})"


@dataclass(frozen=True)
class Tree:
    """What an answer must be that the examiner only keeps, for example the memory of a policy: a tree of arrays.

    Attributes:
        leading: sizes of the first axes of every array, for example the number of environments.
        most_bytes: bytes of all arrays that are allowed.
    """

    leading: tuple[int, ...] = ()
    most_bytes: int = 64 << 20

    def check(self, answer: Any, question: str) -> Any:
        """The answer, each number of it an array.

        Raises:
            ProtocolError: an array has other sizes, a value is not finite, or there are too many bytes.
        """
        total = 0

        def checked(node: Any) -> Any:
            nonlocal total
            if isinstance(node, dict):
                return {key: checked(value) for key, value in node.items()}
            if isinstance(node, (list, tuple)):
                return [checked(value) for value in node]
            array = np.asarray(node)
            if array.dtype.kind not in "biuf":
                raise ProtocolError(f"{question} answered a tree that holds {type(node).__name__}; expected arrays")
            if array.shape[: len(self.leading)] != self.leading:
                raise ProtocolError(
                    f"{question} answered a tree with an array of shape {array.shape}; its first axes must be "
                    f"{self.leading}"
                )
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ProtocolError(f"{question} answered a tree with values that are NaN or infinite")
            total += array.nbytes
            if total > self.most_bytes:
                raise ProtocolError(f"{question} answered a tree of more than {self.most_bytes:,} bytes")
            return array

        return checked(answer)


class Learner:
    """The learner, as an examiner sees it: something that answers questions, against a clock.

    While nothing is asked of it, the learner has nothing to do: CPU seconds that its processes use then, in threads or
    children that go on, are charged as if it had answered all that time.

    Args:
        channel: the connection.
        budget_s: most seconds of answering.
        cpu_s: reads the CPU seconds of all of the learner's processes so far; None if they cannot be read.
        budget: what bounds the answering instead of wall time; None: wall time does.

    Attributes:
        state: what training handed over; empty where the algorithm itself is examined.
        witness: a second learner that answers for the same state, if the domain has such; it shares nothing with this
            one.
        code: ``answer.py`` of the domain, if the examiner applies the domain's own code by itself; None if a process
            answers.
        answering_s: seconds spent waiting for answers so far, ``background_s`` included; they are part of the exam's
            ``seconds``.
        background_s: CPU seconds used between an answer and the next question.
        questions: number of questions asked.
        budget: what bounds the answering; None: wall time does.
    """

    def __init__(
        self,
        channel: Channel | None,
        budget_s: float,
        cpu_s: Callable[[], float] | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.state = State({}, {})
        self.code: Any = None
        self.witness: Learner | None = None
        self._channel = channel
        self._budget_s = budget_s
        self.budget = budget
        self._cpu_s = cpu_s or (lambda: 0.0)
        self._cpu_s_before = self._cpu_s()
        self.answering_s = 0.0
        self.background_s = 0.0
        self.questions = 0

    @overload
    def ask(self, method: str, *args: Any, returns: Array) -> np.ndarray[Any, Any]: ...
    @overload
    def ask(self, method: str, *args: Any, returns: Tree | tuple[Array | Tree, ...]) -> Any: ...
    def ask(self, method: str, *args: Any, returns: Array | Tree | tuple[Array | Tree, ...]) -> Any:
        """Call ``model.<method>(*args)`` in the learner and return its checked answer.

        Args:
            method: a method of the domain's contract.
            args: trees of dict, list, str, numbers, bool, None and NumPy arrays.
            returns: what the answer must look like; several of them for a tuple.

        Raises:
            ExamEnded: the learner is gone, out of time, or answered something else. Let it pass: it ends the exam.
        """
        answer, question = self._exchange(method, args), f"{method}()"
        if not isinstance(returns, tuple):
            return returns.check(answer, question)
        if not isinstance(answer, (list, tuple)) or len(answer) != len(returns):
            raise ProtocolError(f"{question} must answer {len(returns)} values, in a tuple")
        return tuple(part.check(value, question) for part, value in zip(returns, answer, strict=True))

    def tell(self, method: str, *args: Any) -> None:
        """Call ``model.<method>(*args)`` in the learner, wait until it has returned, and ignore what it returned.

        Raises:
            ExamEnded: as :meth:`ask`.
        """
        self._exchange(method, args)

    @staticmethod
    def guarded(function: Callable[..., Any], *args: Any) -> Any:
        """Apply the domain's own code to what a learner handed over; what it raises is the state's fault.

        Raises:
            ProtocolError: it raised.
        """
        try:
            return function(*args)
        except Exception as error:
            raise ProtocolError(f"the state cannot be used: {type(error).__name__}: {error}") from error

    def _exchange(self, method: str, args: tuple[Any, ...]) -> Any:
        background_s = max(0.0, self._cpu_s() - self._cpu_s_before)
        self.background_s += background_s
        self.answering_s += background_s
        begin = time.monotonic()
        if self._channel is None:
            raise LearnerGone("no learner answers any more")
        try:
            with self._deadline(background_s) as deadline:
                self._channel.send({"call": method, "args": list(args)}, deadline)
                message = self._channel.receive(deadline)
        finally:
            self.answering_s += time.monotonic() - begin
            self.questions += 1
            self._cpu_s_before = self._cpu_s()
        if set(message) != {"answer"}:
            raise ProtocolError(f"{method}() was answered by a message that is not an answer")
        return message["answer"]

    @contextlib.contextmanager
    def _deadline(self, background_s: float) -> Iterator[Deadline]:
        if self.budget is None:
            yield time.monotonic() + self._budget_s - self.answering_s
            return
        self.budget.charge(background_s)
        with self.budget.running() as budget:
            yield budget


class OwnCode(Learner):
    """The domain's own code, which the examiner applies to a state by itself: no process answers, and no clock runs.

    What it raises is the state's fault: the code is ours, and is tested with the states of base modules.
    """

    def __init__(self, code: Any, config: Mapping[str, Any], state: State) -> None:
        super().__init__(None, 0.0)
        self.state = state
        self.code = code
        self._config = config
        self._model: Any = None

    def _exchange(self, method: str, args: tuple[Any, ...]) -> Any:
        self.questions += 1
        if self._model is None:
            self._model = self.guarded(self.code.make, self._config, self.state.tree)
        return self.guarded(getattr(self._model, method), *args)


class Examiner(ABC):
    """Examiner of one dataset at one scale. One instance is kept warm and used for many exams, one at a time.

    Args:
        dataset: the dataset's id, as in ``domain.yaml``.
        scale: ``tiny``, ``small`` or ``full``.
        config: the dataset's configuration at this scale (what the learner sees as ``config.yaml``).
    """

    def __init__(self, dataset: str, scale: str, config: Mapping[str, Any]) -> None:
        self.dataset = dataset
        self.scale = scale
        self.config = config
        #: Copies of arrays of the present exam, by name; see :meth:`save_artifact`.
        self.artifacts: dict[str, np.ndarray[Any, Any]] = {}
        #: Folder of the dataset's downloaded files, known from the first exam on; None if it has none.
        self.data: Path | None = None

    def training_data(self, seed: int) -> dict[str, np.ndarray[Any, Any]]:
        """Arrays that the learner may train on, by name; by default none (its workspace is all it needs)."""
        return {}

    @property
    def answering_config(self) -> Mapping[str, Any]:
        """The configuration that ``make(config, state)`` of answer.py gets."""
        return self.config

    def stages(self, seed: int) -> int:
        """Number of trainings, one after another. The domains that have several are ``staged``."""
        return 1

    def stage_data(self, seed: int, stage: int) -> dict[str, np.ndarray[Any, Any]]:
        """As :meth:`training_data`, for one of several stages, from 0."""
        return self.training_data(seed)

    def prepare_questions(self, seed: int, stage: int) -> None:  # noqa: B027 (many have nothing to prepare)
        """Make, and keep, what :meth:`examine` needs besides the state and takes long. Called while a learner trains.

        Another thread calls it than the other methods, never at the same time as one of them.
        """

    def check_state(self, state: State) -> None:  # noqa: B027 (not every domain has something to refuse)
        """Refuse a state that the domain does not allow: names, shapes, dtypes, number of parameters.

        That it is a tree of finite arrays of at most ``state_mib`` has been checked.

        Raises:
            ProtocolError, RuleBroken: see the methods ``require_…`` of :class:`State`.
        """

    def carried_state(self, state: State, seed: int, stage: int) -> Mapping[str, Any]:
        """What the next of several trainings gets of what this one handed over, as its ``previous_state()``.

        By default all of it. A domain may round it, or add what the examiner holds; called after the questions.
        """
        return state.tree

    @abstractmethod
    def examine(self, learner: Learner, seed: int) -> dict[str, float]:
        """Question ``learner`` and return its metrics by the names of ``domain.yaml``.

        ``seed`` fixes all randomness of the exam (held-out draws, evaluation episodes). The learner does not know it.
        """

    def examine_stage(self, learner: Learner, seed: int, stage: int) -> dict[str, float]:
        """Question what one of several trainings has brought, in their order; what it returns after the last counts."""
        return self.examine(learner, seed)

    @abstractmethod
    def floor(self, seed: int) -> dict[str, float]:
        """The metrics of a trivial learner (random policy, majority class, persistence), by the same names."""

    @final
    def save_artifact(self, name: str, array: Any) -> None:
        """Save a copy of an array of the present exam, for pictures that are drawn from the episode's record.

        It goes into the run directory beside the scores, and never to the learner or into an observation. An artifact
        of the same name is replaced.

        Args:
            name: name of the array in the exam's ``.npz``.
            array: numbers or text, of any shape.

        Raises:
            ValueError: it is not a plain array, or the exam's artifacts would exceed ``MOST_ARTIFACT_BYTES``.
        """
        copy = np.array(array)
        others = sum(saved.nbytes for other, saved in self.artifacts.items() if other != name)
        if copy.dtype.kind not in "biufU" or others + copy.nbytes > MOST_ARTIFACT_BYTES:
            raise ValueError(
                f"save_artifact({name!r}): {copy.dtype} of {copy.nbytes} bytes beside {others} others; only numbers "
                f"and text, at most {MOST_ARTIFACT_BYTES} bytes per exam: save less of it"
            )
        self.artifacts[name] = copy

    @final
    def generator(self, seed: int, purpose: str) -> np.random.Generator:
        """A NumPy generator for ``purpose``, independent of other purposes, datasets and seeds.

        Its seed is a cryptographic hash: a learner that finds out the state of the generator of its training data knows
        nothing of the exam's seed, or of the generators of the held-out data.
        """
        digest = hashlib.sha256(f"{seed}:{self.dataset}:{purpose}".encode()).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
