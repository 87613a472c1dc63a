"""Where exams run: one sandbox, the cores and GPUs of this machine, warm examiners.

A :class:`Host` is shared by everything that runs exams in a process (environments, benchmarks, calibration, audits) and
is closed once, by its owner.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import get_args

from discoenv import arguments
from discoenv.errors import InfraError, LearnerStarved
from discoenv.exams import runner, secrets
from discoenv.exams.compile_cache import CompileCache
from discoenv.exams.examiner_client import ExaminerPool
from discoenv.exams.jobs import run_jobs
from discoenv.exams.result import ExamResult
from discoenv.exams.runner import ExamPlace, ExamRun
from discoenv.exams.secrets import Secret
from discoenv.exams.spec import ExamSpec, Progress, RunningExam
from discoenv.machine import devices, signals, streams
from discoenv.machine.cores import Cores, WaitEnded
from discoenv.machine.devices import Device, DeviceChoice
from discoenv.sandbox import SandboxChoice, get_sandbox
from discoenv.sandbox.base import Sandbox
from discoenv.tasks.task import Setting

#: Which compiled programs an exam may use, see :mod:`discoenv.exams.compile_cache`.
Programs = Callable[[ExamSpec], CompileCache | None]
#: Reports the start or end of an exam to the caller's thread, and returns when the caller has dealt with it.
_Report = Callable[[Progress], None]


class ExamGroup:
    """Exams that are ended together, from any thread. Those under way are killed; the others never begin.

    Args:
        parents: groups that this one belongs to; cancelling one of them cancels this one, too.
    """

    def __init__(self, *parents: ExamGroup) -> None:
        self._parents = parents
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._runs: set[ExamRun] = set()

    @property
    def cancelled(self) -> bool:
        """Whether this group, or one that it belongs to, was cancelled."""
        return self._event.is_set() or any(parent.cancelled for parent in self._parents)

    @property
    def running(self) -> list[RunningExam]:
        """The exams that go on, those that have run for longest first."""
        with self._lock:
            runs = list(self._runs)
        return sorted((run.now() for run in runs), key=lambda exam: -exam.elapsed_s)

    def cancel(self) -> None:
        """End the exams of the group. Safe to call again."""
        self._event.set()
        with self._lock:
            runs = list(self._runs)
        for run in runs:
            run.cancel()

    @contextlib.contextmanager
    def watching(self, run: ExamRun) -> Iterator[None]:
        """Have the group end this exam.

        Raises:
            InfraError: the group was cancelled already.
        """
        with contextlib.ExitStack() as stack:
            for parent in self._parents:
                stack.enter_context(parent.watching(run))
            with self._lock:
                if self._event.is_set():
                    raise InfraError("the exam was cancelled before it began")
                self._runs.add(run)
            try:
                yield
            finally:
                with self._lock:
                    self._runs.discard(run)


class Host:
    """Runs exams on this machine. Thread safe; close it once, when nothing that uses it goes on.

    Args:
        sandbox: where learners run: a provider, the name of one (``bubblewrap``, ``docker``, …), several names for the
            first of these that works here, or ``auto``; see :func:`discoenv.sandbox.get_sandbox`. A provider that was
            named is closed with the host.
        device: ``cpu``; ``gpu``: each exam leases a GPU; ``auto``: as ``gpu`` for exams that want one, if this machine
            has one.
        exams_at_once: number of exams to run concurrently, in this process and beside others on this machine; None: one
            per usable core. Where costs are measured, an exam runs alone on the machine. A :class:`Cores` says more.
        gpu_sharers: exams that may share a GPU, also with other processes, while no costs are measured.
        secret: what exam seeds come from: a :class:`Secret`, or the file of one; None: the file that
            ``DISCOENV_SECRET_FILE`` names, else this user's own. Scores can be repeated by those who have it.
        idle_examiners: idle examiner processes to keep warm; None: one per usable core, at least two.

    Raises:
        SandboxUnavailable: the sandbox or the device does not work on this machine.
        SecretError: the secret cannot be read or written.
        UnknownSandbox: no sandbox has that name.
        ArgumentError: an argument is of the wrong kind or out of range.
    """

    def __init__(
        self,
        sandbox: SandboxChoice = "auto",
        *,
        device: DeviceChoice = "auto",
        exams_at_once: int | Cores | None = None,
        gpu_sharers: int = 1,
        secret: Secret | str | Path | None = None,
        idle_examiners: int | None = None,
    ) -> None:
        arguments.choice("device", device, get_args(DeviceChoice))
        arguments.integer(
            "gpu_sharers",
            gpu_sharers,
            least=1,
            why="at least one exam must be able to use a GPU",
        )
        if exams_at_once is not None and not isinstance(exams_at_once, Cores):
            why = "at least one exam must be able to run, a whole number of them"
            exams_at_once = arguments.integer("exams_at_once", exams_at_once, least=1, why=why)
        if idle_examiners is not None:
            arguments.integer("idle_examiners", idle_examiners, least=0)
        if not isinstance(sandbox, Sandbox):
            arguments.names("sandbox", sandbox)
        if secret is not None and not isinstance(secret, Secret):
            arguments.path("secret", secret)
        self._owner = os.getpid()
        streams.fill()
        signals.heed_children()
        self.cores = exams_at_once if isinstance(exams_at_once, Cores) else Cores(exams_at_once)
        self._devices = {gpu: devices.choose(device, prefer_gpu=gpu, sharers=gpu_sharers) for gpu in (False, True)}
        self.secret = secrets.chosen(secret)
        self.sandbox = get_sandbox(sandbox)
        self._owns_sandbox = not isinstance(sandbox, Sandbox)
        self._examiners = ExaminerPool(idle_examiners)
        self._all = ExamGroup()

    def __enter__(self) -> Host:
        """The host itself; leaving the block closes it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def device(self, gpu: bool) -> Device:
        """What exams train on, those that want a GPU or those that do not."""
        return self._devices[gpu]

    @property
    def has_gpu(self) -> bool:
        """Whether exams that want a GPU get one."""
        return self._devices[True].broker is not None

    def run(
        self,
        workspace: Path,
        spec: ExamSpec,
        *,
        alone: bool = False,
        held: tuple[int, ...] | None = None,
        programs: Programs = lambda spec: None,
        group: ExamGroup | None = None,
        on_begin: Callable[[], None] = lambda: None,
    ) -> ExamResult:
        """Wait for a core, train with the modules of ``workspace`` and examine the result.

        An exam at which the machine fails is repeated once; if others kept its learner from running, it is repeated
        while no other exam of ours runs.

        Args:
            workspace: a materialised workspace that has a folder for the dataset.
            spec: the exam.
            alone: measure costs: nothing else of ours runs on the machine meanwhile, no GPU is shared and nothing that
                was compiled before is used.
            held: cores that the caller holds already (see :meth:`reserve`), so that nothing is waited for.
            programs: what the exam may use that was compiled in earlier ones; asked when it begins.
            group: cancelling it ends the exam.
            on_begin: called when the exam begins.

        Raises:
            InfraError: the machine failed, at the exam itself twice, or the exam was cancelled.
            DatasetUnavailable: a package or data that the dataset requires is not here.
        """
        group = group or self._all
        device = self.device(spec.gpu)

        def attempt(reservation: AbstractContextManager[tuple[int, ...]], *, again: bool) -> ExamResult:
            with reservation as cores:
                place = ExamPlace(
                    self.sandbox,
                    self._examiners,
                    device=device,
                    cores=() if device.broker else cores,  # CUDA frameworks run host threads of their own
                    measured=alone,
                )
                run = ExamRun(place, workspace, spec, programs(spec))
                with group.watching(run):
                    if not again:
                        on_begin()
                    try:
                        return run.run(again=again)
                    except LearnerStarved:
                        raise
                    except InfraError:
                        if again or group.cancelled:
                            raise
                        return run.run(again=True)

        def place_for(*, alone: bool) -> AbstractContextManager[tuple[int, ...]]:
            return self.reserve(alone=alone, group=group) if held is None else contextlib.nullcontext(held)

        try:
            return attempt(place_for(alone=alone), again=False)
        except LearnerStarved:
            if group.cancelled:
                raise
            return attempt(place_for(alone=True), again=True)

    def run_all(
        self,
        workspace: Path,
        specs: Sequence[ExamSpec],
        *,
        alone: bool = False,
        programs: Programs = lambda spec: None,
        group: ExamGroup | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> list[ExamResult]:
        """Run exams, as many at once as there are cores and places on GPUs, one after another if ``alone``.

        The first exception, be it an exam's, ``on_progress``'s or an interruption of the wait, ends the other exams and
        is raised when they have ended. Scores do not depend on what runs beside what.

        Args:
            workspace: a materialised workspace that has a folder for each dataset.
            specs: the exams, begun in their order.
            alone: as for :meth:`run`.
            programs: what each exam may use that was compiled in earlier ones.
            group: cancelling it ends the exams.
            on_progress: called at the start and the end of each exam, in the caller's thread.

        Returns:
            The results, in the order of ``specs``.

        Raises:
            As :meth:`run`.
        """
        together = ExamGroup(group or self._all)

        def job(number: int, spec: ExamSpec, report: _Report) -> ExamResult:
            begun = Progress(spec, number, len(specs))
            result = self.run(
                workspace,
                spec,
                alone=alone,
                programs=programs,
                group=together,
                on_begin=lambda: report(begun),
            )
            report(Progress(spec, number, len(specs), result))
            return result

        jobs = [functools.partial(job, number, spec) for number, spec in enumerate(specs, start=1)]
        at_once = 1 if alone else self._most_at_once(specs)
        return run_jobs(jobs, at_once=at_once, on_report=on_progress, stop=together.cancel)

    def floor(self, setting: Setting, seed: int) -> dict[str, float]:
        """Metrics of the examiner's trivial learner.

        Raises:
            InfraError: the examiner failed.
            DatasetUnavailable: the data of the dataset is not here.
        """
        if self._all.cancelled:
            raise InfraError("the exam was cancelled: its host is closed")
        return runner.floor(self._examiners, setting, seed)

    def group(self) -> ExamGroup:
        """A new group of exams, which can be ended without the others; closing the host ends it, too."""
        return ExamGroup(self._all)

    def close(self) -> None:
        """End what runs, the examiners, and the sandbox if it is the host's own. Safe to call again.

        In a child made by ``os.fork()`` it does nothing: all that is the parent's.
        """
        if os.getpid() != self._owner:
            return
        self._all.cancel()
        self._examiners.close()
        if self._owns_sandbox:
            self.sandbox.close()

    @contextlib.contextmanager
    def reserve(self, *, alone: bool = False, group: ExamGroup | None = None) -> Iterator[tuple[int, ...]]:
        """Hold a core, or the whole machine, for exams that are run with ``held``.

        Yields:
            The cores that learners are pinned to; empty if they are not pinned.

        Raises:
            InfraError: the locks cannot be made, or ``group`` was cancelled.
        """
        group = group or self._all
        with contextlib.ExitStack() as stack:
            try:
                cores = stack.enter_context(self.cores.hold(alone=alone, give_up=lambda: group.cancelled))
            except (OSError, WaitEnded) as error:
                raise InfraError(f"no core for an exam: {error}") from error
            yield cores

    def _most_at_once(self, specs: Sequence[ExamSpec]) -> int:
        broker = self.device(any(spec.gpu for spec in specs)).broker
        places = len(specs) if broker is None else len(broker.devices) * self.device(True).sharers
        return max(1, min(len(specs), self.cores.count, places))
