"""What an exam is before it is run, and what is reported of exams while they run."""

from __future__ import annotations

from dataclasses import dataclass

from discoenv.exams.result import ExamResult
from discoenv.tasks.task import Setting, Side


@dataclass(frozen=True)
class ExamSpec:
    """One exam, before it is run.

    Attributes:
        setting: the dataset, at a backend and a scale.
        seed: fixes the held-out data, the evaluation and, through :func:`discoenv.exams.runner.learner_seed`, the
            training; 0 ≤ seed < 2¹²⁸. Domains that report their own scores are not told it.
        budget_s: most seconds of training and answering together.
        side: the side of its task that the dataset is on.
        editable: modules that are not known to be the base ones, None: any may be. What they are needed for is not done
            by our own code.
        number: which of the exams of its dataset in an episode, from 0.
        gpu: whether the learner trains on a GPU, if the host has one to lease.
    """

    setting: Setting
    seed: int
    budget_s: float
    side: Side = "meta_train"
    gpu: bool = False
    editable: tuple[str, ...] | None = None
    number: int = 0

    @property
    def dataset(self) -> str:
        """Id of the dataset."""
        return self.setting.dataset


@dataclass(frozen=True)
class RunningExam:
    """An exam that goes on, as it is at the moment.

    Attributes:
        dataset: id of the dataset.
        side: the side of its task that the dataset is on.
        number: which of the exams of its dataset in an episode, from 0.
        elapsed_s: seconds since it began.
        last_line: the last line that its learner has written, at most 2,000 bytes; empty on the meta-test side, whose
            data an agent must not see, and where the sandbox shows output only at the end.
    """

    dataset: str
    side: Side
    number: int
    elapsed_s: float
    last_line: str = ""


@dataclass(frozen=True)
class Progress:
    """An exam begins (``result`` is None) or has ended.

    Attributes:
        spec: the exam.
        number: 1 for the first of the exams that were asked for together.
        total: number of these exams.
        result: its result.
        reference: whether it is an exam of the base modules, with which those of the agent are compared.
    """

    spec: ExamSpec
    number: int
    total: int
    result: ExamResult | None = None
    reference: bool = False

    @property
    def label(self) -> str:
        """The exam in words: ``exam 1 of 3``, ``reference exam 1 of 3``."""
        return f"{'reference ' if self.reference else ''}exam {self.number} of {self.total}"
