"""The examiner's process: ``python -m discoenv.exams.examiner_process DOMAIN FD OWNER``.

It holds warm examiners and runs one exam at a time.

The host sends JSON lines over the socket ``FD`` and gets one JSON line back for each (none for ``abort``). The process
holds held-out data, so it must not outlive its host: it ends when that socket is closed or reset, and when the host's
process, which ``OWNER`` names, has ended, whoever else may hold the socket.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import io
import json
import os
import queue
import select
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

from discoenv.exams import compile_cache as compiled
from discoenv.exams import fixed_code
from discoenv.exams.budget import Budget, Use
from discoenv.exams.examiner import Examiner, Learner, OwnCode
from discoenv.exams.examiner_client import Examination, Training
from discoenv.exams.state import State, checked
from discoenv.exams.wire import AnswerTooLate, Channel, ExamEnded, LearnerGone, ProtocolError
from discoenv.kits.exam.messages import pack
from discoenv.machine.owner import is_abandoned, owner_pid
from discoenv.sandbox.cpu_clock import CpuClock
from discoenv.tasks.domain import Domain

_ACCEPT_POLL_S = 0.02
#: A learner that has passed gets this long to hand over what it has compiled.
_HANDOVER_S = 10.0
#: A learner that is to answer gets this long to start; it is not charged.
_START_S = 120.0
#: Datasets whose examiners a process keeps; the oldest goes first.
_MOST_EXAMINERS = 16


def load_domain_file(directory: Path, stem: str) -> ModuleType:
    """The module ``<stem>.py`` of a domain's folder.

    The folder is imported as a package, so that its files can import each other (``from . import data``).
    """
    name = f"discoenv_domain_{directory.name}"
    if getattr(sys.modules.get(name), "__path__", None) != [str(directory)]:
        for known in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
            del sys.modules[known]  # of a folder with the same name, as packs may have
        package = ModuleType(name)
        package.__path__ = [str(directory)]
        sys.modules[name] = package
    return importlib.import_module(f"{name}.{stem}")


def load_examiner_class(directory: Path) -> type[Examiner]:
    """The one subclass of :class:`Examiner` that ``examiner.py`` of a domain's folder defines."""
    module = load_domain_file(directory, "examiner")
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Examiner) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise TypeError(f"{directory}/examiner.py: must define one subclass of Examiner, not {len(classes)}")
    return classes[0]


class Server:
    """Answers the host's requests; see the methods called ``do_<operation>``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._class: type[Examiner] | None = None
        self._examiners: dict[str, Examiner] = {}
        self._answers: dict[tuple[str, str], ModuleType] = {}
        self._state = State({}, {})
        self._listeners: list[socket.socket] = []
        self._channels: list[Channel] = []
        self.aborted = threading.Event()

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to one request; a failure of the examiner itself is a reply with ``fault``."""
        try:
            operation = getattr(self, f"do_{request['operation']}")
            arguments = {key: value for key, value in request.items() if key != "operation"}
            return {"reply": operation(**arguments)}
        except Exception as error:
            return {"fault": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}

    def do_prepare(self, target: dict[str, Any], seed: int, stage: int, data: str, address: str) -> None:
        """Write what a training gets into the folder ``data``, and listen for its learner at ``address``."""
        if stage == 0:
            self._state = State({}, {})
        arrays = self._examiner(target).stage_data(seed, stage)
        if arrays:
            for array in arrays.values():
                if np.asarray(array).dtype.kind not in "biufU":
                    raise TypeError(f"training_data() of {target['dataset']}: only plain arrays, not {array!r}")
            with Path(data, "train.npz").open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            Path(data, "train.npz").chmod(0o644)
        if stage > 0:
            carried = self._examiner(target).carried_state(self._state, seed, stage - 1)
            Path(data, "state").write_bytes(pack(carried))
            Path(data, "state").chmod(0o644)
        self._listen(address)

    def do_stages(self, target: dict[str, Any], seed: int) -> int:
        """Number of trainings of an exam."""
        return self._examiner(target).stages(seed)

    def do_train(
        self,
        target: dict[str, Any],
        seed: int,
        stage: int,
        started: float,
        budget_s: float,
        cpu_clock: dict[str, Any] | None = None,
        wall: bool = False,
        programs: str | None = None,
    ) -> Training:
        """Wait until a training is over, and check what it hands over.

        Args:
            target, seed, stage: which exam.
            started: when the learner was started, in seconds of ``time.monotonic()``.
            budget_s: the compute budget that is left, in seconds.
            cpu_clock: the fields of the :class:`CpuClock` of the learner's processes, if there is one.
            wall: the budget is wall time, although there is a clock.
            programs: the folder for the programs that the learner has compiled, if they are to be kept.
        """
        examiner = self._examiner(target)
        budget = Budget(budget_s, CpuClock(**cpu_clock) if cpu_clock else None, wall=wall, since=started)
        result = Training(status="gone", message="", training_s=None, use=budget.use())
        with self._failures(result):
            with self._preparing(examiner, seed, stage):
                try:
                    with budget.running():
                        channel = self._accept(budget)
                        message = channel.receive(budget)
                        arrived = time.monotonic()
                finally:
                    result["use"] = budget.use()
            if target["hands_over"]:
                if set(message) != {"state"}:
                    raise ProtocolError(
                        "the first message was not hand_over()'s state: end main.py in hand_over(state)"
                    )
                result["training_s"] = arrived - started
                state = checked(message["state"], most_bytes=target["state_bytes"])
                examiner.check_state(state)
                self._state = state
                self._keep_programs(channel, programs)
            elif message != {"ready": True}:
                raise ProtocolError("the first message was not serve()'s announcement that training is over")
            else:
                result["training_s"] = arrived - started
            result["status"] = "ok"
        if result["status"] != "ok":
            self._leave()
        return result

    @staticmethod
    @contextlib.contextmanager
    def _preparing(examiner: Examiner, seed: int, stage: int) -> Iterator[None]:
        """Let an examiner prepare its questions meanwhile; the block ends when it has."""
        faults: list[BaseException] = []

        def prepare() -> None:
            try:
                examiner.prepare_questions(seed, stage)
            except BaseException as error:
                faults.append(error)

        thread = threading.Thread(target=prepare)
        thread.start()
        try:
            yield
        finally:
            thread.join()
            if faults:
                raise faults[0]

    def do_listen(self, addresses: list[str]) -> None:
        """Listen for a learner that answers for the state of the last training, and for its witness, if it has one."""
        self._listen(*addresses)

    def do_question(
        self,
        target: dict[str, Any],
        seed: int,
        stage: int,
        budget_s: float,
        answered_by: Literal["own code", "learner"],
        cpu_clocks: Sequence[dict[str, Any] | None] = (),
        wall: bool = False,
        programs: str | None = None,
    ) -> Examination:
        """Examine what the last training has brought.

        Args:
            target, seed, stage: which exam.
            budget_s: most seconds of answering.
            answered_by: the domain's own code in this process; or a learner: the one that trained, where the algorithm
                itself is examined, or else one that connects now, and its witness.
            cpu_clocks: for each of them the fields of the :class:`CpuClock` of its processes, if there is one.
            wall: budgets are wall time, although there are clocks.
            programs: the folder for the programs that the learner has compiled, if they are to be kept.
        """
        examiner = self._examiner(target)
        result = Examination(
            status="gone",
            message="",
            metrics=None,
            answering_s=0.0,
            background_s=0.0,
            questions=0,
            artifacts="",
            use=Use(spent_s=0.0, starved_s=0.0, watched_s=0.0),
        )
        learners: list[Learner] = []
        if stage == 0:
            examiner.artifacts.clear()
        with self._failures(result):
            if answered_by == "own code":
                learners.append(OwnCode(self._answer(target), examiner.answering_config, self._state))
            else:
                clocks = [CpuClock(**each) if each else None for each in cpu_clocks] or [None]
                if target["hands_over"]:
                    self._give_state(examiner, budget_s, clocks, wall)
                for channel, clock in zip(self._channels, clocks, strict=False):
                    budget = Budget(budget_s, clock, wall=wall)
                    learners.append(Learner(channel, budget_s, clock.read if clock else None, budget))
                learners[0].witness = learners[-1] if len(learners) > 1 else None
                for learner in learners:
                    learner.state = self._state
            metrics = examiner.examine_stage(learners[0], seed, stage)
            result["metrics"] = {name: float(value) for name, value in metrics.items()}
            result["status"] = "ok"
            if examiner.artifacts:
                file = io.BytesIO()
                np.savez_compressed(file, **examiner.artifacts)  # type: ignore[arg-type]
                result["artifacts"] = base64.b64encode(file.getvalue()).decode()
            if self._channels:
                self._keep_programs(self._channels[0], programs)
        if result["status"] != "ok":
            self._leave()
        for learner in learners:
            result["answering_s"] += learner.answering_s
            result["background_s"] += learner.background_s
            result["questions"] += learner.questions
            if learner.budget is not None:
                total, used = result["use"], learner.budget.use()
                total["spent_s"] += used["spent_s"]
                total["starved_s"] += used["starved_s"]
                total["watched_s"] += used["watched_s"]
        return result

    def _give_state(self, examiner: Examiner, budget_s: float, clocks: Sequence[CpuClock | None], wall: bool) -> None:
        """Let those that answer for a state connect, and give it to them."""
        given = {"config": dict(examiner.answering_config), "state": self._state.tree}
        for _, clock in zip(list(self._listeners), clocks, strict=True):
            with Budget(_START_S, clock, wall=wall).running() as starting:
                channel = self._accept(starting)
            with Budget(budget_s, clock, wall=wall).running() as budget:
                channel.send(given, budget)
        for channel, clock in zip(self._channels, clocks, strict=True):
            with Budget(budget_s, clock, wall=wall).running() as budget:
                if channel.receive(budget) != {"ready": True}:
                    raise ProtocolError("the first message was not answer()'s announcement that it is ready")

    @contextlib.contextmanager
    def _failures(self, result: Training | Examination) -> Iterator[None]:
        """Note what a learner did wrong, if that is why the block ends."""
        try:
            yield
        except LearnerGone as error:
            result["status"], result["message"] = "gone", str(error)
        except AnswerTooLate as error:
            result["status"], result["message"] = "timeout", str(error)
        except ProtocolError as error:
            result["status"], result["message"] = "protocol_error", str(error)
        finally:
            self._close_listeners()

    def _keep_programs(self, channel: Channel, folder: str | None) -> None:
        """Ask a learner that has passed for what it has compiled. Whatever comes of it, the exam is passed."""
        if folder is None:
            return
        with contextlib.suppress(ExamEnded, OSError):  # a full disk or a read-only home costs time, not the score
            channel.send({"programs": True}, time.monotonic() + 1.0)
            sent = channel.receive(time.monotonic() + _HANDOVER_S).get("programs")
            compiled.keep(Path(folder), sent if isinstance(sent, dict) else {})

    def _answer(self, target: dict[str, Any]) -> ModuleType:
        """``answer.py`` of a dataset's code base, imported once."""
        key = (target["backend"], target["dataset"])
        if key not in self._answers:
            self._answers[key] = fixed_code.load(Domain(self._directory), backend=key[0], dataset=key[1])
        return self._answers[key]

    def do_floor(self, target: dict[str, Any], seed: int) -> dict[str, float]:
        """Metrics of the trivial learner."""
        return {key: float(value) for key, value in self._examiner(target).floor(seed).items()}

    def _examiner(self, target: dict[str, Any]) -> Examiner:
        key = json.dumps(target, sort_keys=True)
        if key not in self._examiners:
            self._class = self._class or load_examiner_class(self._directory)
            while len(self._examiners) >= _MOST_EXAMINERS:
                del self._examiners[next(iter(self._examiners))]
            self._examiners[key] = self._class(target["dataset"], target["scale"], target["config"])
            self._examiners[key].data = Path(target["data"]) if target.get("data") else None
        return self._examiners[key]

    def _accept(self, budget: Budget) -> Channel:
        """The first connection at the next address; later ones are refused, because the socket is closed."""
        if not self._listeners:
            raise RuntimeError("train was requested before prepare")
        listener = self._listeners[0]
        while True:
            try:
                listener.settimeout(min(_ACCEPT_POLL_S, budget.wait_s()))
            except TimeoutError:
                raise AnswerTooLate("the compute budget was spent before training was over") from None
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                if self.aborted.is_set():
                    raise LearnerGone("the learner ended before training was over") from None
                continue
            self._close_listener()
            channel = Channel(connection)
            self._channels.append(channel)
            return channel

    def _listen(self, *addresses: str) -> None:
        self.aborted.clear()
        self._leave()
        self._close_listeners()
        for address in addresses:
            Path(address).unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX)
            self._listeners.append(listener)
            listener.bind(address)
            Path(address).chmod(0o777)
            listener.listen(1)

    def _leave(self) -> None:
        """Close the connections of the last learners: at once if they failed, else when others are expected.

        A learner that passed is killed while it waits, so that interpreter shutdown is not measured.
        """
        while self._channels:
            self._channels.pop().close()

    def _close_listener(self) -> None:
        """Close the next one."""
        listener = self._listeners.pop(0)
        Path(listener.getsockname()).unlink(missing_ok=True)
        listener.close()

    def _close_listeners(self) -> None:
        while self._listeners:
            self._close_listener()


def _end_with(owner: str) -> None:
    """End this process when its owner, named as in :mod:`discoenv.machine.owner`, has ended."""
    with contextlib.suppress(OSError):  # before Linux 5.3, or already gone
        descriptor = os.pidfd_open(owner_pid(owner))
        if not is_abandoned(owner):  # else the number is another process's
            select.select([descriptor], [], [])
            os._exit(0)
    while not is_abandoned(owner):
        time.sleep(1.0)
    os._exit(0)


def main(arguments: list[str]) -> None:
    """Serve requests until the host closes the socket whose descriptor is given, or has ended."""
    directory, descriptor, owner = Path(arguments[0]), int(arguments[1]), arguments[2]
    threading.Thread(target=_end_with, args=(owner,), daemon=True).start()
    control = socket.socket(fileno=descriptor)
    server = Server(directory)
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        try:
            with control.makefile("r", encoding="utf-8") as lines:
                for line in lines:
                    request = json.loads(line)
                    if request["operation"] == "abort":
                        server.aborted.set()
                    else:
                        requests.put(request)
        finally:  # also when a host that was killed has left a reply unread: the connection is then reset
            os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        reply = server.answer(requests.get())
        control.sendall(json.dumps(reply).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
