"""Runs one exam: an examiner in one process, a learner in a sandbox, a result that only the examiner can write."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from discoenv.errors import InfraError, SandboxError
from discoenv.exams import compile_cache as compiled
from discoenv.exams import learner_environment, reported
from discoenv.exams.compile_cache import CompileCache
from discoenv.exams.examiner_client import Examination, ExaminerPool, ExaminerProcess
from discoenv.exams.result import WORKSPACE, ExamResult, verdict
from discoenv.machine import scratch
from discoenv.machine.devices import CPU, Device
from discoenv.machine.energy import EnergyMeter
from discoenv.machine.gpu_meter import GpuMeter
from discoenv.machine.gpus import Lease
from discoenv.sandbox.base import Command, Limits, Mount, Outcome, Running, Sandbox
from discoenv.tasks.domain import Domain

_EXAM = "/exam"
#: The examiner's own work is not charged to the learner; this bounds an exam whose examiner never comes to an end.
_EXAMINER_ALLOWANCE_S = 3600.0
#: A learner that closed its connection because of an exception gets this long to print the traceback and end.
_LAST_WORDS_S = 3.0
#: Linux allows no longer path for a Unix socket, in bytes.
_MAX_SOCKET_PATH = 107


def learner_seed(seed: int) -> int:
    """The seed (0 ≤ s < 2³¹) that the learner is told; it does not reveal ``seed``, which fixes the held-out data."""
    return int.from_bytes(hashlib.sha256(f"learner:{seed}".encode()).digest()[:4], "big") >> 1


class ExamRunner:
    """Runs exams of one domain in one sandbox provider.

    Thread safe; exams wait for each other. Close it to end a running exam.

    Args:
        domain: the domain.
        sandbox: where learners run.
        measure_costs: read this machine's energy counters around each exam (0.2 s more per exam), and share a GPU with
            nobody.
        device: what learners train on.
        examiners: where examiner processes come from; None: one of its own, ended with the runner.
        cores: the only CPU cores that learners run on; empty: any.
    """

    def __init__(
        self,
        domain: Domain,
        sandbox: Sandbox,
        *,
        measure_costs: bool = False,
        device: Device = CPU,
        examiners: ExaminerPool | None = None,
        cores: tuple[int, ...] = (),
    ) -> None:
        self.domain = domain
        self.sandbox = sandbox
        self.device = device
        self._measure_costs = measure_costs
        self._cores = cores
        self._examiners = examiners or ExaminerPool(idle=1)
        self._owns_examiners = examiners is None
        self._examiner: ExaminerProcess | None = None
        self._lock = threading.Lock()
        self._running: Running | None = None
        self._closed = threading.Event()

    def run(
        self,
        workspace: Path,
        *,
        dataset: str,
        scale: str,
        seed: int,
        budget_s: float,
        programs: CompileCache | None = None,
    ) -> ExamResult:
        """Train with the modules of ``workspace`` on ``dataset`` and examine the result.

        Args:
            workspace: a materialised workspace that has a folder for ``dataset``.
            dataset: id of the dataset.
            scale: its scale, as materialised.
            seed: fixes the held-out data, the evaluation and (through :func:`learner_seed`) the training.
            budget_s: most seconds of training and answering together.
            programs: compiled in earlier exams; not used where costs are measured, which would depend on them, on GPUs,
                and in a sandbox that does not isolate, where a learner could change them.

        Raises:
            InfraError: the examiner or the sandbox failed; the learner is not to blame.
            DatasetUnavailable: a package that the dataset requires is not installed.
        """
        if self.domain.missing_packages(dataset):
            self.domain.data(dataset)
        target = self._target(dataset, scale)
        with self._lock:
            self._require_open()
            try:
                directory = scratch.make()
                try:
                    with self.device.lease(alone=self._measure_costs, give_up=self._closed.is_set) as lease:
                        try:
                            if self.domain.self_reported:
                                return self._run_reported(directory, workspace, dataset, seed, budget_s, lease)
                            with self._leased() as examiner:
                                return self._run(
                                    directory, workspace, target, seed, budget_s, lease, examiner, programs
                                )
                        finally:
                            self._kill_running()  # before anyone else may have its GPU
                finally:
                    scratch.remove(directory)
            except SandboxError as error:
                raise InfraError(f"the sandbox failed: {error}") from error
            except OSError as error:
                raise InfraError(f"the machine failed: {error}") from error

    def floor(self, *, dataset: str, scale: str, seed: int) -> dict[str, float]:
        """Metrics of the examiner's trivial learner."""
        target = self._target(dataset, scale)
        with self._lock, self._leased() as examiner:
            metrics: dict[str, float] = examiner.request("floor", target=target, seed=seed)
        self._require_metric(dataset, metrics)
        return metrics

    def _target(self, dataset: str, scale: str) -> dict[str, object]:
        """What the examiner is told about an exam; raises :class:`DatasetUnavailable` before anything is started."""
        data = None if self.domain.self_reported else self.domain.held_data(dataset)
        config = self.domain.config(dataset, scale)
        return {"dataset": dataset, "scale": scale, "config": config, "data": str(data) if data else None}

    def close(self) -> None:
        """Kill a running learner and end its examiner. Safe to call again."""
        self._closed.set()
        self._kill_running()
        examiner = self._examiner
        if examiner is not None:
            examiner.close()
        if self._owns_examiners:
            self._examiners.close()

    @contextlib.contextmanager
    def _leased(self) -> Iterator[ExaminerProcess]:
        with self._examiners.lease(self.domain.directory) as examiner:
            self._examiner = examiner
            try:
                self._require_open()
                yield examiner
            finally:
                self._examiner = None

    def _require_metric(self, dataset: str, metrics: Mapping[str, float]) -> None:
        name = self.domain.metric(dataset).name
        if name not in metrics:
            raise InfraError(
                f"{self.domain.directory}/examiner.py: the metric {name} of domain.yaml is not among "
                f"those that it gave ({', '.join(metrics) or 'none'})"
            )

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise InfraError("the exam was cancelled: its runner is closed")

    def _kill_running(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            with contextlib.suppress(SandboxError):
                running.kill()

    def _run(
        self,
        directory: Path,
        workspace: Path,
        target: Mapping[str, object],
        seed: int,
        budget_s: float,
        lease: Lease | None,
        examiner: ExaminerProcess,
        programs: CompileCache | None,
    ) -> ExamResult:
        dataset = str(target["dataset"])
        exam = directory / "exam"
        exam.mkdir()
        exam.chmod(0o755)
        if len(os.fsencode(exam / "socket")) > _MAX_SOCKET_PATH:
            raise InfraError(f"{exam} is too long for a socket; set TMPDIR to a folder with a shorter path")
        examiner.request("prepare", target=target, seed=seed, data=str(exam), address=str(exam / "socket"))
        if self._measure_costs or lease is not None or not self.sandbox.isolated or not compiled.compiles(self.domain):
            programs = None
        own = {"EXAM_SOCKET": f"{_EXAM}/socket", "EXAM_DATA": _EXAM, "EXAM_SEED": str(learner_seed(seed))}
        specification = self.domain.specification
        command = Command(
            argv=("python", "main.py"),
            cwd=f"{WORKSPACE}/{dataset}",
            mounts=(Mount(workspace, WORKSPACE), Mount(exam, _EXAM), *(programs.mounts() if programs else ())),
            env={**learner_environment.on_cpu(), **(compiled.environment() if programs else {}), **own},
            hidden_packages=tuple(specification.hidden_packages),
            family=specification.extra,
            preload=() if self._measure_costs else learner_environment.preloaded(specification.requirements),
            env_after_preload=tuple(own),
        )
        meter = self._meter(lease)
        meter.start()
        running = self._running = self.sandbox.start(self._on_gpu(command, lease), self._limits(budget_s))
        self._require_open()
        aborted = False

        def watch() -> None:
            nonlocal aborted
            if not aborted and not running.poll():
                aborted = True
                examiner.abort()

        clock = running.cpu_clock()
        reply: Examination = examiner.request(
            "examine",
            while_waiting=watch,
            target=target,
            seed=seed,
            started=running.started,
            budget_s=budget_s,
            cpu_clock=None if clock is None else vars(clock),
            programs=str(programs.kept_in) if programs and programs.kept_in else None,
        )
        if reply["metrics"] is not None:
            self._require_metric(dataset, reply["metrics"])
        if reply["status"] == "gone":
            with contextlib.suppress(TimeoutError):
                running.wait(_LAST_WORDS_S)
        outcome = running.kill()
        return self._result(dataset, seed, budget_s, reply, outcome, meter, workspace)

    def _meter(self, lease: Lease | None) -> EnergyMeter:
        gpu = GpuMeter(lease.gpu.uuid) if lease is not None and lease.exclusive else None
        return EnergyMeter(gpu, counters=None if self._measure_costs else [])

    def _on_gpu(self, command: Command, lease: Lease | None) -> Command:
        if lease is None:
            return command
        command = command.with_gpus((lease.gpu.uuid,), lease.environment)
        if self._measure_costs:  # memory set aside is not memory used
            command = replace(command, env={**command.env, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"})
        return command

    def _run_reported(
        self, directory: Path, workspace: Path, dataset: str, seed: int, budget_s: float, lease: Lease | None
    ) -> ExamResult:
        """Run ``main.py`` as DiscoGen does, from the task's folder and free to write there, and read what it prints."""
        folder = directory / "workspace"
        shutil.copytree(workspace, folder, symlinks=True)
        mounts = [Mount(folder, WORKSPACE, writable=True)]
        linked = folder / dataset / "data"
        data = linked.resolve(strict=True) if linked.is_symlink() else self.domain.data(dataset)
        if data is not None:
            linked.unlink(missing_ok=True)
            linked.mkdir()
            mounts.append(Mount(data, f"{WORKSPACE}/{dataset}/data"))
        command = Command(
            argv=("python", f"{dataset}/main.py"),
            cwd=WORKSPACE,
            mounts=tuple(mounts),
            family=self.domain.specification.extra,
        )
        meter = self._meter(lease)
        meter.start()
        self._running = self.sandbox.start(self._on_gpu(command, lease), self._limits(budget_s, 0.0))
        outcome = self._running.wait()
        metrics = reported.last_metrics(outcome.stdout) if outcome.exit_code == 0 else None
        name = self.domain.metric(dataset).name
        reply = Examination(
            status="ok",
            message="",
            metrics=metrics,
            training_s=outcome.usage.wall_s,
            answering_s=0.0,
            background_s=0.0,
            questions=0,
        )
        if outcome.reason == "wall_time":
            reply["status"], reply["message"] = "timeout", "the compute budget was spent"
        elif outcome.exit_code != 0:
            reply["status"], reply["message"] = "gone", "main.py failed"
        elif metrics is None or name not in metrics:
            reply["status"] = "protocol_error"
            reply["message"] = f"main.py printed no line of JSON with {name!r}"
        return self._result(dataset, seed, budget_s, reply, outcome, meter, workspace)

    def _limits(self, budget_s: float, allowance_s: float = _EXAMINER_ALLOWANCE_S) -> Limits:
        resources = self.domain.specification.limits
        return Limits(
            wall_s=budget_s + allowance_s,
            memory_bytes=int(resources.memory_gib * 2**30),
            scratch_bytes=int(resources.scratch_gib * 2**30),
            cores=self._cores,
        )

    def _result(
        self,
        dataset: str,
        seed: int,
        budget_s: float,
        reply: Examination,
        outcome: Outcome,
        meter: EnergyMeter,
        workspace: Path,
    ) -> ExamResult:
        energy, peak_gpu_memory = meter.stop(outcome.usage.cpu_s), meter.stop_gpu()
        memory_gib = self.domain.specification.limits.memory_gib
        status, message, traceback = verdict(
            reply, outcome, workspace=workspace, budget_s=budget_s, memory_gib=memory_gib
        )
        training_s, answering_s = reply["training_s"], reply["answering_s"]
        return ExamResult(
            dataset=dataset,
            seed=seed,
            status=status,
            metrics=reply["metrics"] if status == "ok" else None,
            seconds=None if training_s is None else training_s + answering_s,
            training_s=training_s,
            answering_s=answering_s,
            background_s=reply["background_s"],
            wall_s=outcome.usage.wall_s,
            cpu_s=outcome.usage.cpu_s,
            peak_memory_bytes=outcome.usage.peak_memory_bytes,
            memory_method=outcome.usage.method,
            peak_gpu_memory_bytes=peak_gpu_memory,
            device=self.device.name,
            energy=energy,
            budget_s=budget_s,
            questions=reply["questions"],
            message=message,
            traceback=traceback,
            stdout=outcome.stdout,
            artifacts=base64.b64decode(reply.get("artifacts", "")) if status == "ok" else b"",
        )
