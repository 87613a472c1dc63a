"""What became of an exam: whose failure it was, in one line, and where in the task's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from discoenv.exams import tracebacks
from discoenv.exams.client import Examination
from discoenv.sandbox.base import Outcome

#: ``ok``: examined to the end. Otherwise the learner's failure, scored as the floor: ``error`` (it raised or left),
#: ``timeout`` (compute budget spent), ``memory`` (limit exceeded), ``protocol_error`` (an answer was not valid).
Status = Literal["ok", "error", "timeout", "memory", "protocol_error"]

#: Where learners see the task's folder.
WORKSPACE = "/workspace"


def verdict(
    reply: Examination, outcome: Outcome, *, workspace: Path, budget_s: float, memory_gib: float
) -> tuple[Status, str, str]:
    """Status, one-line message and trimmed traceback of an exam.

    Args:
        reply: the examiner's.
        outcome: how the learner ended.
        workspace: the task's folder on the host.
        budget_s: the compute budget, in seconds.
        memory_gib: the limit on memory, in GiB.
    """
    status, message = reply["status"], reply["message"]
    if status == "ok":
        return "ok", "", ""
    traceback = tracebacks.trim(outcome.stderr, WORKSPACE) or tracebacks.trim(outcome.stderr, str(workspace))
    if outcome.reason == "memory":
        return "memory", f"the memory limit of {memory_gib:g} GiB was exceeded", traceback
    if status == "timeout" or outcome.reason == "wall_time":
        return "timeout", f"{message} ({budget_s:.3g} s)", traceback
    if status == "protocol_error":
        return "protocol_error", message, traceback
    if outcome.reason == "processes":
        return "error", "the limit of processes and threads was exceeded", traceback
    return "error", tracebacks.last_line(traceback) or _without_traceback(message, outcome), traceback


def _without_traceback(message: str, outcome: Outcome) -> str:
    code = outcome.exit_code
    how = f"ended with exit code {code}"
    if code is None or code < 0:
        how = "was killed" if code is None else f"was killed by signal {-code}"
    reason = f"{message}: it {how} and left no traceback"
    last = next((line.strip() for line in reversed(outcome.stderr.splitlines()) if line.strip()), "")
    return f"{reason}; the last line on stderr is: {last[:300]}" if last else reason
