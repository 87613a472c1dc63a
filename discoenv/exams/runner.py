"""Runs one exam: an examiner in one process, a learner in a sandbox, a result that only the examiner can write."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from discoenv.errors import DatasetUnavailable, InfraError, LearnerStarved, SandboxError
from discoenv.exams import compile_cache, imports, learner_environment, reported
from discoenv.exams.beginning import Beginning
from discoenv.exams.budget import Budget, Use, most_wall_s
from discoenv.exams.compile_cache import CompileCache
from discoenv.exams.examiner_client import (
    REPLY_TIMEOUT_S,
    Examination,
    ExaminerPool,
    ExaminerProcess,
    Reply,
    Training,
)
from discoenv.exams.output import last_lines
from discoenv.exams.result import WORKSPACE, ExamResult, verdict
from discoenv.exams.spec import ExamSpec, RunningExam
from discoenv.machine import scratch
from discoenv.machine.cores import usable_cores
from discoenv.machine.devices import CPU, Device
from discoenv.machine.energy import EnergyMeter
from discoenv.machine.gpu_meter import GpuMeter
from discoenv.machine.gpus import Lease
from discoenv.sandbox.base import Command, Limits, Mount, Outcome, Running, Sandbox
from discoenv.sandbox.cpu_clock import CpuClock
from discoenv.tasks.task import Setting
from discoenv.tasks.workspace import DISCOVERED
from discoenv.text import printable

_EXAM = "/exam"
#: The examiner's own work is not charged to the learner, so a learner lives for longer than its budget. This is more
#: than ExaminerProcess.request waits, which thus bounds an exam whose examiner never comes to an end.
_EXAMINER_ALLOWANCE_S = 4 * REPLY_TIMEOUT_S
#: Grace period for a crashed learner to print its traceback.
_LAST_WORDS_S = 3.0
#: The share of the time from which on a learner that got no core is held to be starved.
STARVED = 0.4
#: Characters of what learners print that are kept, the last ones.
MOST_OUTPUT = 1 << 16
#: Linux allows no longer path for a Unix socket, in bytes.
_MAX_SOCKET_PATH = 107


@dataclass(frozen=True)
class ExamPlace:
    """What a host gives to an exam.

    Attributes:
        sandbox: where the learner runs.
        examiners: where examiner processes come from.
        device: what the learner trains on.
        cores: the only CPU cores that the learner runs on; empty: any.
        measured: costs are measured: the machine's energy counters are read around the exam (0.2 s more per exam), a
            GPU is not shared, and no compiled program is used.
    """

    sandbox: Sandbox
    examiners: ExaminerPool
    device: Device = CPU
    cores: tuple[int, ...] = ()
    measured: bool = False


def learner_seed(seed: int) -> int:
    """The seed (0 ≤ s < 2³¹) that the learner gets; it does not reveal ``seed``, which fixes the held-out data."""
    return int.from_bytes(hashlib.sha256(f"learner:{seed}".encode()).digest()[:4], "big") >> 1


def floor(examiners: ExaminerPool, setting: Setting, seed: int) -> dict[str, float]:
    """Metrics of the examiner's trivial learner.

    Raises:
        InfraError: the examiner failed.
        DatasetUnavailable: the data of the dataset is not here.
    """
    target = _target(setting)
    with examiners.lease(setting.domain.directory) as examiner:
        metrics: dict[str, float] = examiner.request("floor", target=target, seed=seed)
    _require_metric(setting, metrics)
    return metrics


class ExamRun:
    """One exam. :meth:`run` holds it, :meth:`cancel` ends it from another thread.

    Args:
        place: where it is run.
        workspace: a materialised workspace that has a folder for the dataset.
        spec: the exam.
        programs: compiled in earlier exams. They are not used

            * where costs are measured, because costs would depend on them;
            * on GPUs;
            * in a sandbox that does not isolate, because a learner could change them.
    """

    def __init__(self, place: ExamPlace, workspace: Path, spec: ExamSpec, programs: CompileCache | None = None) -> None:
        self.spec = spec
        self._place = place
        self._workspace = workspace
        self._programs = programs
        self._domain = spec.setting.domain
        self._exam = self._domain.specification.exam
        self._examiner: ExaminerProcess | None = None
        self._running: list[Running] = []
        self._beginnings: dict[Running, Beginning] = {}
        self._cancelled = threading.Event()
        self._again = False
        self._began = time.monotonic()

    def run(self, *, again: bool = False) -> ExamResult:
        """Train with the modules of the workspace and examine the result. It can be run again if it fails.

        Args:
            again: it was run before. A learner that is killed by SIGKILL for no reason that is known may have done it
                by itself: the first time it is an InfraError, the second time the learner's.

        Raises:
            InfraError: the examiner or the sandbox failed, or the machine kept the learner from running; the learner is
                not to blame.
            DatasetUnavailable: a package that the dataset requires is not installed, or its data is not here; or its
                program needs a network.
        """
        if not (self._domain.self_reported and self._place.sandbox.own_packages):
            self._domain.require_packages(self.spec.dataset)
        target = _target(self.spec.setting)
        self._require_open()
        self._again = again
        place = self._place
        try:
            place.sandbox.require_image(self._domain.image)
            directory = scratch.make(for_sockets=True)
            try:
                with place.device.lease(alone=place.measured, give_up=self._cancelled.is_set) as lease:
                    try:
                        if self._domain.self_reported:
                            return self._run_reported(directory, lease)
                        with self._leased() as examiner:
                            return self._run(directory, target, lease, examiner)
                    finally:
                        self._kill_running()  # before another exam may have its GPU
                        while self._beginnings:
                            self._beginnings.popitem()[1].close()
            finally:
                scratch.remove(directory)
        except SandboxError as error:
            raise InfraError(f"the sandbox failed: {error}") from error
        except OSError as error:
            raise InfraError(f"the machine failed: {error}") from error

    def now(self) -> RunningExam:
        """How it stands, for another thread than the one that runs it."""
        spec, learners = self.spec, list(self._running)
        line = learners[-1].last_line() if learners and spec.side == "meta_train" else ""
        return RunningExam(spec.dataset, spec.side, spec.number, time.monotonic() - self._began, printable(line))

    def cancel(self) -> None:
        """Kill the learner and end its examiner: :meth:`run` ends with an InfraError. Safe to call again."""
        self._cancelled.set()
        self._kill_running()
        examiner = self._examiner
        if examiner is not None:
            examiner.close()

    @contextlib.contextmanager
    def _leased(self) -> Iterator[ExaminerProcess]:
        with self._place.examiners.lease(self._domain.directory) as examiner:
            self._examiner = examiner
            try:
                self._require_open()
                yield examiner
            finally:
                self._examiner = None

    def _require_open(self) -> None:
        if self._cancelled.is_set():
            raise InfraError("the exam was cancelled")

    def _kill_running(self) -> None:
        while self._running:
            with contextlib.suppress(SandboxError):
                self._running.pop().kill()

    def _run(
        self, directory: Path, target: Mapping[str, object], lease: Lease | None, examiner: ExaminerProcess
    ) -> ExamResult:
        """Each training and the questions about what it brought, until one fails or the last is over."""
        spec, record = self.spec, _Record(self.spec.budget_s)
        meter = self._meter(lease)
        meter.start()
        stages = int(examiner.request("stages", target=target, seed=spec.seed)) if self._exam.kind == "staged" else 1
        for stage in range(stages):
            if self._train(directory, stage, target, lease, examiner, record):
                self._question(directory, stage, target, lease, examiner, record)
            if record.status != "ok":
                break
        if record.status == "ok" and record.metrics is not None:
            _require_metric(spec.setting, record.metrics)
        return self._result(record, meter)

    def _train(
        self,
        directory: Path,
        stage: int,
        target: Mapping[str, object],
        lease: Lease | None,
        examiner: ExaminerProcess,
        record: _Record,
    ) -> bool:
        """Run a learner until it hands over, or is ready for questions. Whether it did."""
        exam = self._folder(directory, f"training{stage}")
        address = str(exam / "socket")
        examiner.request("prepare", target=target, seed=self.spec.seed, stage=stage, data=str(exam), address=address)
        programs = self._usable_programs(lease)
        running = self._start(self._on_gpu(self._command(exam, programs), lease), "main.py", exam)
        reply: Training = examiner.request(
            "train",
            while_waiting=self._watching([running], examiner),
            target=target,
            seed=self.spec.seed,
            stage=stage,
            started=running.started,
            budget_s=record.budget_left_s,
            cpu_clock=_fields(running.cpu_clock()),
            wall=lease is not None,
            programs=str(programs.kept_in) if self._exam.hands_over and programs and programs.kept_in else None,
        )
        record.train(reply)
        if self._exam.hands_over or record.status != "ok":
            record.end(*self._end(running, wait=reply["status"] == "gone"))
        return record.status == "ok"

    def _question(
        self,
        directory: Path,
        stage: int,
        target: Mapping[str, object],
        lease: Lease | None,
        examiner: ExaminerProcess,
        record: _Record,
    ) -> None:
        """Examine what the training has brought: the state, by our own code or by a learner; or the learner."""
        programs = None if lease else self._usable_programs(lease)
        if self._exam.hands_over and not self.own_code:
            names = ["answering", *(["witness"] if self._exam.witness else [])]
            folders = [self._folder(directory, f"{name}{stage}") for name in names]
            examiner.request("listen", addresses=[str(folder / "socket") for folder in folders])
            programs = programs and programs.answering()
            for folder in folders:
                command = self._on_gpu(self._answering_command(directory, folder, programs), lease)
                self._start(command, "answer.py", folder)
        learners = list(self._running)
        reply: Examination = examiner.request(
            "question",
            while_waiting=self._watching(learners, examiner) if learners else None,
            target=target,
            seed=self.spec.seed,
            stage=stage,
            budget_s=record.budget_left_s,
            answered_by="learner" if learners else "own code",
            cpu_clocks=[_fields(running.cpu_clock()) for running in learners],
            wall=lease is not None,
            programs=str(programs.kept_in) if learners and programs and programs.kept_in else None,
        )
        record.question(reply)
        ends = [self._end(running, wait=reply["status"] == "gone") for running in learners]
        for outcome, _ in sorted(ends, key=lambda end: end[0].exit_code != 0):  # the last one's words are reported
            record.end(outcome, any(begun for _, begun in ends))

    @property
    def editable(self) -> Collection[str]:
        """Modules that are not known to be the base ones."""
        return self._domain.modules if self.spec.editable is None else self.spec.editable

    @property
    def own_code(self) -> bool:
        """Whether the examiner applies the domain's own code to what is handed over."""
        return self._domain.own_code_answers(self.editable)

    def _folder(self, directory: Path, name: str) -> Path:
        """A folder for a learner's socket and data."""
        folder = directory / name
        folder.mkdir()
        folder.chmod(0o755)
        if len(os.fsencode(folder / "socket")) > _MAX_SOCKET_PATH:
            raise InfraError(f"{folder} is too long for a socket; set TMPDIR to a folder with a shorter path")
        return folder

    def _usable_programs(self, lease: Lease | None) -> CompileCache | None:
        place = self._place
        if place.measured or lease is not None or not place.sandbox.isolated:
            return None
        return self._programs if compile_cache.compiles(self._domain) else None

    def _start(
        self, command: Command, script: str, folder: Path, allowance_s: float = _EXAMINER_ALLOWANCE_S
    ) -> Running:
        """Start a command with ``script`` as its program; ``folder`` is what it sees as the exam's."""
        dataset = self.spec.dataset
        names = self.editable or self._domain.modules
        modules = [f"{WORKSPACE}/{place}/{name}.py" for place in (dataset, DISCOVERED) for name in names]
        beginning = Beginning(folder, _EXAM, [*modules, f"{_EXAM}/state", compile_cache.INSIDE])
        try:
            command = replace(command, argv=beginning.argv(script))
            running = self._place.sandbox.start(command, self._limits(allowance_s))
        except BaseException:
            beginning.close()
            raise
        self._beginnings[running] = beginning
        self._running.append(running)
        self._require_open()  # cancel() may have come before there was something to kill
        return running

    def _watching(self, learners: list[Running], examiner: ExaminerProcess) -> Callable[[], None]:
        """A function to be called while the examiner is waited for: it tells the examiner when a learner ends."""
        aborted = False

        def watch() -> None:
            nonlocal aborted
            if not aborted and not all(running.poll() for running in learners):
                aborted = True
                examiner.abort()

        return watch

    def _end(self, running: Running, *, wait: bool) -> tuple[Outcome, bool]:
        """End a learner, which gets a moment for its last words if it ended by itself; and whether it had begun."""
        if wait:
            with contextlib.suppress(TimeoutError):
                running.wait(_LAST_WORDS_S)
        with contextlib.suppress(ValueError):  # cancel() was faster
            self._running.remove(running)
        outcome = running.kill()
        if outcome.reason == "machine_memory":
            raise InfraError(
                "the kernel killed a process of the learner because memory ran out outside of its own limit of "
                f"{self._domain.specification.limits.memory_gib:g} GiB: free memory, or run fewer exams at once"
            )
        beginning = self._beginnings.pop(running)
        begun = beginning.begun
        beginning.close()
        return outcome, begun

    def _answering_command(self, directory: Path, exam: Path, programs: CompileCache | None) -> Command:
        """What answers for a state: the files that are needed for it, and no others, no data, no seed."""
        dataset, specification = self.spec.dataset, self._domain.specification
        folder = directory / "answering"
        if not folder.exists():
            names = [*self._exam.answering_files, *(f"{name}.py" for name in self._exam.answers_with), "exam"]
            for name in (*names, *specification.kits):
                source, copy = self._workspace / dataset / name, folder / dataset / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                if source.is_dir():
                    shutil.copytree(source, copy)
                else:
                    shutil.copyfile(source, copy)
            folder.chmod(0o755)
        own = {"EXAM_SOCKET": f"{_EXAM}/socket"}
        return Command(
            argv=(),
            cwd=f"{WORKSPACE}/{dataset}",
            mounts=(Mount(folder, WORKSPACE), Mount(exam, _EXAM), *(programs.mounts() if programs else ())),
            env={**learner_environment.on_cpu(), **(compile_cache.environment() if programs else {}), **own},
            hidden_packages=(*specification.hidden_packages, *self._exam.hidden_when_answering),
            family=specification.extra,
            preload=self._preload(),
            env_after_preload=tuple(own),
            python=self._domain.python,
            image=self._domain.image,
        )

    def _command(self, exam: Path, programs: CompileCache | None) -> Command:
        """What the learner runs, with ``exam`` as the folder of its socket and training data."""
        specification = self._domain.specification
        own = {
            "EXAM_SOCKET": f"{_EXAM}/socket",
            "EXAM_DATA": _EXAM,
            "EXAM_SEED": str(learner_seed(self.spec.seed)),
        }
        return Command(
            argv=(),
            cwd=f"{WORKSPACE}/{self.spec.dataset}",
            mounts=(Mount(self._workspace, WORKSPACE), Mount(exam, _EXAM), *(programs.mounts() if programs else ())),
            env={**learner_environment.on_cpu(), **(compile_cache.environment() if programs else {}), **own},
            hidden_packages=tuple(specification.hidden_packages),
            family=specification.extra,
            preload=self._preload(),
            env_after_preload=tuple(own),
            python=self._domain.python,
            image=self._domain.image,
        )

    def _preload(self) -> tuple[str, ...]:
        if self._place.measured or self._domain.python is not None or self._domain.image:
            return ()
        return learner_environment.preloaded(self._domain.specification.requirements)

    def _meter(self, lease: Lease | None) -> EnergyMeter:
        gpu = GpuMeter(lease.gpu.uuid) if lease is not None and lease.exclusive else None
        return EnergyMeter(gpu, counters=None if self._place.measured else [])

    def _on_gpu(self, command: Command, lease: Lease | None) -> Command:
        if lease is None:
            return command
        command = command.with_gpus((lease.gpu.uuid,), lease.environment)
        if self._place.measured:  # memory set aside is not memory used
            command = replace(command, env={**command.env, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"})
        return command

    def _run_reported(self, directory: Path, lease: Lease | None) -> ExamResult:
        """Run ``main.py`` as DiscoGen does, from the task's folder and free to write there, and read what it prints."""
        dataset = self.spec.dataset
        online = self._domain.needs_network(dataset)
        if online and self._place.sandbox.isolated:
            raise DatasetUnavailable(f"{self._domain.name}: {dataset}: {online}, and sandboxes have no network")
        folder = directory / "workspace"
        shutil.copytree(self._workspace, folder, symlinks=True)
        exam = self._folder(directory, "exam")
        mounts = [Mount(folder, WORKSPACE, writable=True), Mount(exam, _EXAM)]
        linked = folder / dataset / "data"
        data = linked.resolve(strict=True) if linked.is_symlink() else self._domain.data(dataset)
        if data is not None:
            linked.unlink(missing_ok=True)
            linked.mkdir()
            mounts.append(Mount(data, f"{WORKSPACE}/{dataset}/data"))
            if not (folder / "data").exists():  # for programs that look for it in their working directory
                (folder / "data").symlink_to(Path(dataset) / "data")
        command = Command(
            argv=(),
            cwd=WORKSPACE,
            mounts=tuple(mounts),
            family=self._domain.specification.extra,
            python=self._domain.python,
            image=self._domain.image,
        )
        meter = self._meter(lease)
        meter.start()
        running = self._start(self._on_gpu(command, lease), f"{dataset}/main.py", exam, allowance_s=0.0)
        budget = Budget(self.spec.budget_s, running.cpu_clock(), wall=lease is not None)
        late = False
        with budget.running():
            while running.poll():
                try:
                    patience_s = budget.wait_s()
                except TimeoutError:
                    late = True
                    break
                with contextlib.suppress(TimeoutError):
                    running.wait(patience_s)
        outcome, begun = self._end(running, wait=False)
        record = self._reported(outcome, begun=begun, late=late)
        record.use(budget.use())
        return self._result(record, meter)

    def _reported(self, outcome: Outcome, *, begun: bool, late: bool) -> _Record:
        """What a program that reports its own score has come to.

        Args:
            outcome: how it ended.
            begun: agent code had begun to run.
            late: its budget was spent.
        """
        dataset, backend = self.spec.dataset, self.spec.setting.backend
        if outcome.reason == "exited" and outcome.exit_code != 0:
            not_ours = reported.failed_import(outcome.stderr, self.editable)
            if not_ours:
                raise InfraError(f"{self._domain.name}: main.py of {dataset} does not start: {not_ours}")
        metrics = reported.last_metrics(outcome.stdout) if outcome.exit_code == 0 else None
        if metrics is not None:
            metrics = self._domain.with_score(metrics, dataset, backend=backend)
        name = self.spec.setting.metric.name
        record = _Record(self.spec.budget_s, metrics=metrics, training_s=outcome.usage.wall_s)
        record.end(outcome, begun)
        if late or outcome.reason == "wall_time":
            record.status, record.message = "timeout", "the compute budget was spent"
        elif outcome.exit_code != 0:
            record.status, record.message = "gone", "main.py failed"
        elif metrics is None or name not in metrics:
            wanted = [metric.name for metric in self._domain.metrics(dataset)]
            absent = [each for each in wanted if each not in (metrics or {})] or [name]
            named = " and ".join(map(repr, absent))
            record.status, record.message = "protocol_error", f"main.py printed no line of JSON with {named}"
        return record

    def _limits(self, allowance_s: float = _EXAMINER_ALLOWANCE_S) -> Limits:
        resources = self._domain.specification.limits
        return Limits(
            wall_s=most_wall_s(self.spec.budget_s) + allowance_s,
            memory_bytes=int(resources.memory_gib * 2**30),
            scratch_bytes=int(resources.scratch_gib * 2**30),
            cores=self._place.cores,
        )

    def _never_began(self, record: _Record) -> InfraError:
        """What is to be said of a learner that failed before any code of an agent had run."""
        dataset, last = self.spec.dataset, record.last
        if not self._domain.self_reported:
            imports.require(self._place.sandbox, self._domain, self._workspace / dataset)
        words = (last.stderr.strip().splitlines() or [f"{record.message or last.reason}, exit code {last.exit_code}"])[
            -1
        ]
        fails = f"{self._domain.name}: main.py of {dataset} fails in the {self._place.sandbox.name} sandbox"
        help_ = f"`discoenv doctor` looks for the reason; `discoenv validate {self._domain.name}` tries again"
        kind = LearnerStarved if record.status == "timeout" else InfraError
        return kind(f"{fails} before any module of an agent is read: {printable(words[:500])}. {help_}")

    def _result(self, record: _Record, meter: EnergyMeter) -> ExamResult:
        energy, peak_gpu_memory = meter.stop(record.cpu_s), meter.stop_gpu()
        spec = self.spec
        if record.status == "timeout" and record.starved:
            on_gpu = self._place.device.broker is not None
            if on_gpu or record.spent_s < spec.budget_s or not self._again:
                raise LearnerStarved(_starvation(record))
        if record.status != "ok" and not record.begun:
            raise self._never_began(record)
        reported_itself = self._domain.self_reported  # whose files need not all be run
        if (
            record.status == "gone"
            and not reported_itself
            and not _of_a_module(record.last.stderr, self._domain.modules)
        ):
            imports.require(self._place.sandbox, self._domain, self._workspace / spec.dataset)
        if _killed(record) and not self._again:
            raise InfraError("the learner was killed by SIGKILL, by whom is not known")
        status, message, traceback = verdict(
            record.status,
            record.message,
            record.last,
            workspace=self._workspace,
            budget_s=spec.budget_s,
            memory_gib=self._domain.specification.limits.memory_gib,
        )
        training_s, answering_s = record.training_s, record.answering_s
        return ExamResult(
            dataset=spec.dataset,
            seed=spec.seed,
            number=spec.number,
            status=status,
            metrics=record.metrics if status == "ok" else None,
            seconds=None if training_s is None else training_s + answering_s,
            training_s=training_s,
            answering_s=answering_s,
            background_s=record.background_s,
            wall_s=record.wall_s,
            cpu_s=record.cpu_s,
            peak_memory_bytes=record.peak_memory_bytes,
            memory_method=record.last.usage.method,
            peak_gpu_memory_bytes=peak_gpu_memory,
            device=self._place.device.name,
            energy=energy,
            budget_s=spec.budget_s,
            spent_s=record.spent_s,
            starved_s=record.starved_s,
            questions=record.questions,
            message=message,
            traceback=traceback,
            stdout=record.stdout,
            artifacts=base64.b64decode(record.artifacts) if status == "ok" else b"",
        )


class _Record:
    """What is known of an exam so far, over its trainings and the questions after them.

    Attributes:
        status, message: of the last reply.
        metrics: of the last questions.
        training_s, answering_s, background_s, questions, wall_s, cpu_s: sums. ``training_s`` is None until a training
            is over.
        spent_s, starved_s, watched_s: sums of the :class:`discoenv.exams.budget.Use` of the budget.
        peak_memory_bytes: the largest.
        last: how the last learner ended.
        begun: whether agent code had begun to run in it, see :mod:`discoenv.exams.beginning`.
    """

    last: Outcome

    def __init__(
        self, budget_s: float, *, metrics: dict[str, float] | None = None, training_s: float | None = None
    ) -> None:
        self._budget_s = budget_s
        self.status: Reply = "ok"
        self.message = ""
        self.metrics = metrics
        self.training_s = training_s
        self.answering_s = self.background_s = self.wall_s = self.cpu_s = 0.0
        self.spent_s = self.starved_s = self.watched_s = 0.0
        self.questions = self.peak_memory_bytes = 0
        self.stdout = self.artifacts = ""
        self.begun = True

    @property
    def budget_left_s(self) -> float:
        """Seconds that are left for training and answering."""
        return self._budget_s - self.spent_s

    @property
    def starved(self) -> bool:
        """Whether the learner got no core for much of the time in which it could have used one."""
        return self.starved_s > STARVED * self.watched_s

    def use(self, use: Use) -> None:
        """Some of the budget was spent."""
        self.spent_s += use["spent_s"]
        self.starved_s += use["starved_s"]
        self.watched_s += use["watched_s"]

    def train(self, reply: Training) -> None:
        """A training is over."""
        self.status, self.message = reply["status"], reply["message"]
        self.use(reply["use"])
        if reply["training_s"] is not None:
            self.training_s = (self.training_s or 0.0) + reply["training_s"]

    def question(self, reply: Examination) -> None:
        """What a training brought was examined."""
        self.status, self.message, self.metrics = reply["status"], reply["message"], reply["metrics"]
        self.answering_s += reply["answering_s"]
        self.background_s += reply["background_s"]
        self.questions += reply["questions"]
        self.artifacts = reply["artifacts"]
        self.use(reply["use"])

    def end(self, outcome: Outcome, begun: bool) -> None:
        """A learner has ended; ``begun``: agent code had begun to run in it."""
        self.last = outcome
        self.begun = begun
        self.wall_s += outcome.usage.wall_s
        self.cpu_s += outcome.usage.cpu_s
        self.peak_memory_bytes = max(self.peak_memory_bytes, outcome.usage.peak_memory_bytes)
        self.stdout = last_lines(self.stdout + outcome.stdout, MOST_OUTPUT)


def _fields(clock: CpuClock | None) -> dict[str, object] | None:
    """A clock as it is sent to the examiner."""
    return None if clock is None else dict(vars(clock))


def _of_a_module(stderr: str, modules: Collection[str]) -> bool:
    """Whether a learner says that it failed in a module that agents write: its own word, and a reason not to look."""
    imports_failed = "ImportError" in stderr or "ModuleNotFoundError" in stderr
    return not imports_failed and any(f'/{name}.py", line ' in stderr for name in modules)


def _killed(record: _Record) -> bool:
    """Whether the learner ended by SIGKILL, of which no limit is the reason."""
    return record.status == "gone" and record.last.reason == "exited" and record.last.exit_code == -signal.SIGKILL


def _starvation(record: _Record) -> str:
    """Why an exam is not judged."""
    waited, watched = record.starved_s, record.watched_s
    return (
        f"its learner was ready to run, and got no core, for {waited:.0f} of {watched:.0f} s: other programs use the "
        f"cores (the load is {os.getloadavg()[0]:.1f}, on {usable_cores()} cores), or a quota throttles us. End "
        "them, lower exams_at_once, or raise the quota"
    )


def _target(setting: Setting) -> dict[str, object]:
    """The description of an exam for its examiner; raises :class:`DatasetUnavailable` before anything is started."""
    domain, dataset = setting.domain, setting.dataset
    data = None if domain.self_reported else domain.held_data(dataset)
    config = domain.config(dataset, setting.scale)
    exam = domain.specification.exam
    return {
        "dataset": dataset,
        "backend": setting.backend,
        "scale": setting.scale,
        "config": config,
        "data": str(data) if data else None,
        "hands_over": exam.hands_over,
        "state_bytes": int(exam.state_mib * 2**20),
    }


def _require_metric(setting: Setting, metrics: Mapping[str, float]) -> None:
    name = setting.metric.name
    if name not in metrics:
        raise InfraError(
            f"{setting.domain.directory}/examiner.py: the metric {name} of domain.yaml is not among "
            f"those that it gave ({', '.join(metrics) or 'none'})"
        )
