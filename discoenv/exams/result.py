"""What became of an exam: whose failure it was, in one line, and where in the task's own code."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from discoenv.exams import tracebacks
from discoenv.exams.examiner_client import Reply
from discoenv.machine.energy import Energy
from discoenv.sandbox.base import Outcome

#: ``ok``: examined to the end. Otherwise the learner's failure: ``error`` (it raised or left),
#: ``timeout`` (compute budget spent), ``memory`` (limit exceeded), ``protocol_error`` (an answer was not valid).
ExamStatus = Literal["ok", "error", "timeout", "memory", "protocol_error"]

#: Where learners see the task's folder.
WORKSPACE = "/workspace"


def verdict(
    status: Reply, message: str, outcome: Outcome, *, workspace: Path, budget_s: float, memory_gib: float
) -> tuple[ExamStatus, str, str]:
    """Status, one-line message and trimmed traceback of an exam.

    Args:
        status, message: the examiner's.
        outcome: how the learner ended.
        workspace: the task's folder on the host.
        budget_s: the compute budget, in seconds.
        memory_gib: the limit on memory, in GiB.
    """
    if status == "ok":
        return "ok", "", ""
    traceback = tracebacks.trim(outcome.stderr, WORKSPACE) or tracebacks.trim(outcome.stderr, str(workspace))
    if outcome.reason == "memory" or _met_sampled_limit(outcome, memory_gib * 2**30):
        return "memory", f"the memory limit of {memory_gib:g} GiB was exceeded", traceback
    if status == "timeout" or outcome.reason == "wall_time":
        return "timeout", f"{message} ({budget_s:.3g} s)", traceback
    if status == "protocol_error":
        return "protocol_error", message, traceback
    if outcome.reason == "processes":
        return "error", "the limit of processes and threads was exceeded", traceback
    return "error", tracebacks.last_line(traceback) or _without_traceback(message, outcome), traceback


def _met_sampled_limit(outcome: Outcome, most_bytes: float) -> bool:
    """Whether the kernel killed a learner whose memory, as far as it was seen, had nearly reached its own limit."""
    killed = outcome.reason == "exited" and outcome.exit_code == -signal.SIGKILL
    return killed and outcome.usage.method == "sampled" and outcome.usage.peak_memory_bytes > 0.9 * most_bytes


def _without_traceback(message: str, outcome: Outcome) -> str:
    code = outcome.exit_code
    how = f"ended with exit code {code}"
    if code is None or code < 0:
        how = "was killed" if code is None else f"was killed by signal {-code}"
    reason = f"{message}: it {how} and left no traceback"
    last = next((line.strip() for line in reversed(outcome.stderr.splitlines()) if line.strip()), "")
    return f"{reason}; the last line on stderr is: {last[:300]}" if last else reason


@dataclass(frozen=True)
class ExamResult:
    """One exam: one dataset, one seed.

    Attributes:
        seed, number: as of the :class:`discoenv.exams.spec.ExamSpec`; the seed is a secret and is not recorded.
        metrics: the examiner's, by name; None unless ``status`` is ``ok``.
        seconds: start of the learner to the end of its training, plus its answering time (and what its processes did
            while the examiner was busy); None if it never served.
        training_s, answering_s: the two parts.
        background_s: the part of ``answering_s`` that the learner used, in CPU seconds, while nothing was asked of it.
        wall_s: lifetime of the learner, the examiner's own work included.
        cpu_s: CPU seconds of the learner's whole process tree.
        peak_memory_bytes: peak memory of the tree; ``memory_method`` is ``cgroup`` or ``sampled``.
        peak_gpu_memory_bytes: peak memory on the GPU, sampled; 0 unless one was used, and used alone.
        device: ``cpu``, or the product name of the GPU.
        energy: what the machine drew for the exam; an estimate unless energy was to be measured.
        budget_s: the compute budget.
        spent_s: seconds of it that were spent: CPU seconds, and those in which the learner was idle while something was
            expected of it; on a GPU wall time.
        starved_s: seconds in which the learner was ready to run and got no core; they are not charged.
        message: one line saying what went wrong, for ``status`` other than ``ok``.
        traceback: the task's own frames of it.
        stdout: the end of what the learner printed; feedback for the agent, never a score.
        artifacts: arrays that the examiner saved of a passed exam, for pictures: the bytes of an .npz; empty if none.
    """

    dataset: str
    seed: int = field(repr=False)
    status: ExamStatus
    metrics: dict[str, float] | None
    seconds: float | None
    training_s: float | None
    answering_s: float
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    memory_method: str
    energy: Energy
    budget_s: float
    questions: int
    message: str = ""
    traceback: str = ""
    stdout: str = ""
    background_s: float = 0.0
    peak_gpu_memory_bytes: int = 0
    device: str = "cpu"
    artifacts: bytes = field(default=b"", repr=False)
    number: int = 0
    spent_s: float = 0.0
    starved_s: float = 0.0

    @property
    def total_memory_bytes(self) -> int:
        """Peak memory of the processes and on the GPU, added up."""
        return self.peak_memory_bytes + self.peak_gpu_memory_bytes
