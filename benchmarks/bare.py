"""A learner as a bare process: what exams are compared with.

It starts ``main.py`` in a new Python process each time, as DiscoGen's ``run_main.py`` does: no sandbox, nothing warm,
and no compilation cache, whatever the environment says.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from discoenv.exams import learner_environment
from discoenv.sandbox.base import Check, Command, Limits, Outcome, Running, Sandbox, Usage
from discoenv.sandbox.environment import minimal_environment

#: A process whose exam is over ends by itself, and its end belongs to its time; this bounds it.
_FAREWELL_S: Final = 10.0
#: The variables that describe an exam to its learner. Nothing else that an exam would give to a process is passed on.
_EXAM_VARIABLES: Final = ("EXAM_SOCKET", "EXAM_DATA", "EXAM_SEED")


class BareSandbox(Sandbox):
    """No sandbox: a cold child process, with as many threads as a learner has in one."""

    name: ClassVar[str] = "bare"
    isolated: ClassVar[bool] = False

    @classmethod
    def check(cls) -> Check:
        """It works everywhere."""
        return Check(cls.name, True, "a cold process, for comparison only")

    def start(self, command: Command, limits: Limits) -> Running:
        """Start the learner's program."""
        places = {mount.target: mount.source.resolve() for mount in command.mounts}
        exam = {name: _place(command.env[name], places) for name in _EXAM_VARIABLES if name in command.env}
        environment = environment_of_bare(limits) | exam
        argv = [_place(argument, places) for argument in command.argv[1:]]
        return BareProcess([sys.executable, *argv], _place(command.cwd, places), environment)


def environment_of_bare(limits: Limits) -> dict[str, str]:
    """This process's environment without caches of compiled programs, with a learner's numbers of threads."""
    inherited = {name: value for name, value in os.environ.items() if "CACHE" not in name}
    threads = {name: value for name, value in minimal_environment(limits).items() if name.endswith("_NUM_THREADS")}
    return inherited | threads | learner_environment.on_cpu()


class BareProcess(Running):
    """A child process and the session that it leads."""

    def __init__(self, argv: Sequence[str], cwd: str, environment: Mapping[str, str]) -> None:
        self._files = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115 - closed when the process has ended
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            argv, cwd=cwd, env=environment, stdout=self._files[0], stderr=self._files[1], start_new_session=True
        )
        self._killed = False
        self._outcome: Outcome | None = None
        self._waiting = threading.Thread(target=self._wait, daemon=True)
        self._waiting.start()

    @property
    def started(self) -> float:
        """``time.monotonic()`` before the process was started."""
        return self._started

    def poll(self) -> bool:
        """Whether it still runs."""
        return self._outcome is None

    def wait(self, timeout_s: float | None = None) -> Outcome:
        """Wait for its end."""
        self._waiting.join(timeout_s)
        if self._outcome is None:
            raise TimeoutError("the bare process goes on")
        return self._outcome

    def kill(self) -> Outcome:
        """Wait until it has ended by itself, as it does after its exam; kill it if it does not."""
        with contextlib.suppress(TimeoutError):
            self.wait(_FAREWELL_S)
        if self._outcome is None:
            self._killed = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return self.wait()

    def _wait(self) -> None:
        _, status, usage = os.wait4(self._process.pid, 0)
        wall_s = time.monotonic() - self._started
        self._process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
            file.close()
        self._outcome = Outcome(
            reason="killed" if self._killed else "exited",
            exit_code=None if self._killed else self._process.returncode,
            stdout=texts[0],
            stderr=texts[1],
            usage=Usage(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10, "sampled"),
        )


def _place(path: str, places: Mapping[str, Path]) -> str:
    """The real path of a path that the learner was given."""
    for target, source in places.items():
        if path == target or path.startswith(f"{target}/"):
            return f"{source}{path[len(target) :]}"
    return path
