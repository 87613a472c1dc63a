"""The examiner's process: ``python -m discoenv.exams.examiner_process FD``.

It holds warm examiners and runs one exam at a time.

The host sends JSON lines over the socket ``FD`` and gets one JSON line back for each (none for ``abort``). The process
ends when that socket is closed, so it never outlives its host.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import io
import json
import os
import queue
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from discoenv.exams import compile_cache as compiled
from discoenv.exams.examiner import Examiner, Learner
from discoenv.exams.examiner_client import Examination
from discoenv.exams.wire import AnswerTooLate, Channel, LearnerGone, ProtocolError
from discoenv.sandbox.cpu_clock import CpuClock

_ACCEPT_POLL_S = 0.02
#: A learner that has passed gets this long to hand over what it has compiled.
_HANDOVER_S = 10.0
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
        self._listener: socket.socket | None = None
        self._passed: Channel | None = None
        self.aborted = threading.Event()

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to one request; a failure of the examiner itself is a reply with ``fault``."""
        try:
            operation = getattr(self, f"do_{request['operation']}")
            arguments = {key: value for key, value in request.items() if key != "operation"}
            return {"reply": operation(**arguments)}
        except Exception as error:
            return {"fault": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}

    def do_prepare(self, target: dict[str, Any], seed: int, data: str, address: str) -> None:
        """Write the training data of an exam into ``data`` and listen for its learner at ``address``."""
        arrays = self._examiner(target).training_data(seed)
        if arrays:
            for array in arrays.values():
                if np.asarray(array).dtype.kind not in "biufU":
                    raise TypeError(f"training_data() of {target['dataset']}: only plain arrays, not {array!r}")
            with Path(data, "train.npz").open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            Path(data, "train.npz").chmod(0o644)
        self.aborted.clear()
        self._close_listener()
        Path(address).unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        Path(address).chmod(0o777)
        self._listener.listen(1)

    def do_examine(
        self,
        target: dict[str, Any],
        seed: int,
        started: float,
        budget_s: float,
        cpu_clock: dict[str, Any] | None = None,
        programs: str | None = None,
    ) -> Examination:
        """Wait for the learner and examine it; times are those of ``time.monotonic()``.

        ``cpu_clock`` holds the fields of the :class:`CpuClock` of the learner's processes, if there is one.
        ``programs`` is the folder for the programs that a passed learner has compiled, if they are to be kept.
        """
        examiner = self._examiner(target)
        result = Examination(
            status="gone", message="", metrics=None, training_s=None, answering_s=0.0, background_s=0.0, questions=0
        )
        deadline = started + budget_s
        channel: Channel | None = None
        learner: Learner | None = None
        try:
            channel = self._accept(deadline)
            if channel.receive(deadline) != {"ready": True}:
                raise ProtocolError("the first message was not serve()'s announcement that training is over")
            training_s = time.monotonic() - started
            result["training_s"] = training_s
            learner = Learner(channel, budget_s - training_s, CpuClock(**cpu_clock).read if cpu_clock else None)
            examiner.artifacts.clear()
            metrics = examiner.examine(learner, seed)
            result["metrics"] = {name: float(value) for name, value in metrics.items()}
            if examiner.artifacts:
                file = io.BytesIO()
                np.savez_compressed(file, **examiner.artifacts)  # type: ignore[arg-type]
                result["artifacts"] = base64.b64encode(file.getvalue()).decode()
            result["status"] = "ok"
            if programs is not None:
                channel.send({"programs": True}, time.monotonic() + 1.0)
                sent = channel.receive(time.monotonic() + _HANDOVER_S).get("programs")
                with contextlib.suppress(OSError):  # a full disk or a read-only home costs time, not the score
                    compiled.keep(Path(programs), sent if isinstance(sent, dict) else {})
        except LearnerGone as error:
            if result["metrics"] is None:
                result["message"] = str(error)
        except AnswerTooLate as error:
            if result["metrics"] is None:
                result["status"], result["message"] = "timeout", str(error)
        except ProtocolError as error:
            if result["metrics"] is None:
                result["status"], result["message"] = "protocol_error", str(error)
        finally:
            self._close_listener()
            self._leave(channel, passed=result["status"] == "ok")
        if learner is not None:
            result["answering_s"], result["background_s"] = learner.answering_s, learner.background_s
            result["questions"] = learner.questions
        return result

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

    def _accept(self, deadline: float) -> Channel:
        """The first connection; later ones are refused, because the socket is closed."""
        if self._listener is None:
            raise RuntimeError("examine was requested before prepare")
        self._listener.settimeout(_ACCEPT_POLL_S)
        while time.monotonic() < deadline:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                if self.aborted.is_set():
                    raise LearnerGone("the learner ended before it served a model") from None
                continue
            self._close_listener()
            return Channel(connection)
        raise AnswerTooLate("the compute budget was spent before training was over")

    def _leave(self, channel: Channel | None, *, passed: bool) -> None:
        """Close the connection of a learner now if it failed, and at the next exam if it passed.

        A learner that passed is killed while it waits, so that interpreter shutdown is not measured.
        """
        if self._passed is not None:
            self._passed.close()
        self._passed = channel if passed else None
        if channel is not None and not passed:
            channel.close()

    def _close_listener(self) -> None:
        if self._listener is not None:
            Path(self._listener.getsockname()).unlink(missing_ok=True)
            self._listener.close()
            self._listener = None


def main(arguments: list[str]) -> None:
    """Serve requests until the host closes the socket whose descriptor is given."""
    directory, descriptor = Path(arguments[0]), int(arguments[1])
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
