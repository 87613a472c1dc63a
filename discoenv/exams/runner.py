"""Runs one exam: an examiner in one process, a learner in a sandbox, a result that only the examiner can write."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from discoenv.exams import scratch, tracebacks
from discoenv.exams.client import Examination, ExaminerProcess, InfraError
from discoenv.sandbox.base import Command, Limits, Mount, Outcome, Running, Sandbox, SandboxError
from discoenv.tasks.domain import Domain

#: ``ok``: examined to the end. Otherwise the learner's failure, scored as the floor: ``error`` (it raised or left),
#: ``timeout`` (compute budget spent), ``memory`` (limit exceeded), ``protocol_error`` (an answer was not valid).
Status = Literal["ok", "error", "timeout", "memory", "protocol_error"]

WORKSPACE = "/workspace"
_EXAM = "/exam"
#: The examiner's own work is not charged to the learner; this bounds an exam whose examiner never comes to an end.
_EXAMINER_ALLOWANCE_S = 3600.0


@dataclass(frozen=True)
class ExamResult:
    """One exam: one dataset, one seed.

    Attributes:
        metrics: the examiner's, by name; None unless ``status`` is ``ok``.
        seconds: start of the learner to the end of its training, plus its answering time; None if it never served.
        training_s, answering_s: the two parts.
        wall_s: lifetime of the learner, the examiner's own work included.
        cpu_s: CPU seconds of the learner's whole process tree.
        peak_memory_bytes: peak memory of the tree; ``memory_method`` is ``cgroup`` or ``sampled``.
        budget_s: the compute budget that bounded ``seconds``.
        message: one line saying what went wrong, for ``status`` other than ``ok``.
        traceback: the task's own frames of it.
        stdout: the end of what the learner printed; feedback for the agent, never a score.
    """

    dataset: str
    seed: int
    status: Status
    metrics: dict[str, float] | None
    seconds: float | None
    training_s: float | None
    answering_s: float
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    memory_method: str
    budget_s: float
    questions: int
    message: str = ""
    traceback: str = ""
    stdout: str = ""


def learner_seed(seed: int) -> int:
    """The seed (0 ≤ s < 2³¹) that the learner is told; it does not reveal ``seed``, which fixes the held-out data."""
    return int.from_bytes(hashlib.sha256(f"learner:{seed}".encode()).digest()[:4], "big") >> 1


class ExamRunner:
    """Runs exams of one domain in one sandbox provider, with one warm examiner process.

    Thread safe; exams wait for each other. Close it to end the examiner process.
    """

    def __init__(self, domain: Domain, sandbox: Sandbox) -> None:
        self.domain = domain
        self.sandbox = sandbox
        self._examiner = ExaminerProcess(domain.directory)
        self._running: Running | None = None
        self._closed = threading.Event()

    def run(self, workspace: Path, *, dataset: str, scale: str, seed: int, budget_s: float) -> ExamResult:
        """Train with the modules of ``workspace`` on ``dataset`` and examine the result.

        Args:
            workspace: a materialised workspace that has a folder for ``dataset``.
            dataset: id of the dataset.
            scale: its scale, as materialised.
            seed: fixes the held-out data, the evaluation and (through :func:`learner_seed`) the training.
            budget_s: most seconds of training and answering together.

        Raises:
            InfraError: the examiner or the sandbox failed; the learner is not to blame.
        """
        target = {"dataset": dataset, "scale": scale, "config": self.domain.config(dataset, scale)}
        with self._examiner.lock:
            directory = scratch.make()
            try:
                return self._run(directory, workspace, target, seed, budget_s)
            except SandboxError as error:
                raise InfraError(f"the sandbox failed: {error}") from error
            except OSError as error:
                raise InfraError(f"the machine failed: {error}") from error
            finally:
                if self._running is not None:
                    self._running.kill()
                    self._running = None
                scratch.remove(directory)

    def floor(self, *, dataset: str, scale: str, seed: int) -> dict[str, float]:
        """Metrics of the examiner's trivial learner."""
        target = {"dataset": dataset, "scale": scale, "config": self.domain.config(dataset, scale)}
        with self._examiner.lock:
            metrics: dict[str, float] = self._examiner.request("floor", target=target, seed=seed)
        return metrics

    def close(self) -> None:
        """Kill a running learner and end the examiner process. Safe to call again."""
        self._closed.set()
        if self._running is not None:
            self._running.kill()
        self._examiner.close()

    def _run(
        self, directory: Path, workspace: Path, target: Mapping[str, object], seed: int, budget_s: float
    ) -> ExamResult:
        dataset = str(target["dataset"])
        exam = directory / "exam"
        exam.mkdir()
        exam.chmod(0o755)
        examiner = self._examiner
        examiner.request("prepare", target=target, seed=seed, data=str(exam), address=str(exam / "socket"))
        command = Command(
            argv=("python", "main.py"),
            cwd=f"{WORKSPACE}/{dataset}",
            mounts=(Mount(workspace, WORKSPACE), Mount(exam, _EXAM)),
            env={
                "EXAM_SOCKET": f"{_EXAM}/socket",
                "EXAM_DATA": _EXAM,
                "EXAM_SEED": str(learner_seed(seed)),
                "JAX_PLATFORMS": "cpu",
            },
            hidden_packages=tuple(self.domain.specification.hidden_packages),
        )
        running = self._running = self.sandbox.start(command, self._limits(budget_s))
        aborted = False

        def watch() -> None:
            nonlocal aborted
            if not aborted and not running.poll():
                aborted = True
                examiner.abort()

        reply: Examination = examiner.request(
            "examine", while_waiting=watch, target=target, seed=seed, started=running.started, budget_s=budget_s
        )
        outcome = running.kill()
        return self._result(dataset, seed, budget_s, reply, outcome, workspace)

    def _limits(self, budget_s: float) -> Limits:
        resources = self.domain.specification.limits
        return Limits(
            wall_s=budget_s + _EXAMINER_ALLOWANCE_S,
            memory_bytes=int(resources.memory_gib * 2**30),
            scratch_bytes=int(resources.scratch_gib * 2**30),
        )

    def _result(
        self,
        dataset: str,
        seed: int,
        budget_s: float,
        reply: Examination,
        outcome: Outcome,
        workspace: Path,
    ) -> ExamResult:
        status, message, traceback = self._verdict(reply, outcome, workspace, budget_s)
        training_s, answering_s = reply["training_s"], reply["answering_s"]
        return ExamResult(
            dataset=dataset,
            seed=seed,
            status=status,
            metrics=reply["metrics"] if status == "ok" else None,
            seconds=None if training_s is None else training_s + answering_s,
            training_s=training_s,
            answering_s=answering_s,
            wall_s=outcome.usage.wall_s,
            cpu_s=outcome.usage.cpu_s,
            peak_memory_bytes=outcome.usage.peak_memory_bytes,
            memory_method=outcome.usage.method,
            budget_s=budget_s,
            questions=reply["questions"],
            message=message,
            traceback=traceback,
            stdout=outcome.stdout,
        )

    def _verdict(
        self, reply: Examination, outcome: Outcome, workspace: Path, budget_s: float
    ) -> tuple[Status, str, str]:
        """Status, one-line message and trimmed traceback of an exam."""
        status, message = reply["status"], reply["message"]
        if status == "ok":
            return "ok", "", ""
        traceback = tracebacks.trim(outcome.stderr, WORKSPACE) or tracebacks.trim(outcome.stderr, str(workspace))
        if outcome.reason == "memory":
            limit = self.domain.specification.limits.memory_gib
            return "memory", f"the memory limit of {limit:g} GiB was exceeded", traceback
        if status == "timeout" or outcome.reason == "wall_time":
            return "timeout", f"{message} ({budget_s:.0f} s)", traceback
        if status == "protocol_error":
            return "protocol_error", message, traceback
        reason = tracebacks.last_line(traceback)
        if not reason:
            code = outcome.exit_code
            how = "was killed" if code is None else f"ended with exit code {code}"
            reason = f"{message}: it {how} and left no traceback"
        return "error", reason, traceback
