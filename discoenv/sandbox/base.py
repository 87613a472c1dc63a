"""What a sandbox is: the interface that every provider implements, and the typed records that cross it.

A sandbox starts one untrusted command with a private view of the file system, bounded resources and no
network, and gives back a :class:`Running` handle. It knows nothing of tasks, exams or scores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

from discoenv.errors import SandboxUnavailable
from discoenv.sandbox.cpu_clock import CpuClock

#: Why a command ended. ``exited``: by itself (see ``exit_code``); ``wall_time``, ``memory`` and ``processes``: it
#: was stopped at that limit; ``machine_memory``: the kernel killed a process of it because memory ran out elsewhere, on
#: the machine or in a group around it; ``killed``: :meth:`Running.kill` was called.
EndReason = Literal["exited", "wall_time", "memory", "machine_memory", "processes", "killed"]


@dataclass(frozen=True)
class Limits:
    """Resource bounds of one command.

    Attributes:
        wall_s: seconds from the start until the whole process tree is killed.
        memory_bytes: resident memory of the tree, scratch space included where the provider can.
        processes: processes and threads alive at once.
        scratch_bytes: size of the private ``/tmp``.
        output_bytes: bytes kept of each of stdout and stderr (the last ones); the rest is read and dropped.
        file_bytes: size of the largest single file that may be written.
        cpus: CPU cores; also the default number of threads of numerical libraries.
        cores: numbers of the only cores to run on; empty: any.
    """

    wall_s: float = 600.0
    memory_bytes: int = 8 << 30
    processes: int = 512
    scratch_bytes: int = 1 << 30
    output_bytes: int = 64 << 10
    file_bytes: int = 1 << 30
    cpus: int = 2
    cores: tuple[int, ...] = ()


@dataclass(frozen=True)
class Mount:
    """A host file or directory made visible at ``target`` (absolute path) inside the sandbox."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Command:
    """What to run.

    Attributes:
        argv: program and arguments. ``argv[0] == "python"`` means the interpreter that the sandbox offers.
        cwd: absolute directory inside the sandbox.
        mounts: what the command sees besides the system and the interpreter's packages.
        env: the environment variables, on top of a minimal set; nothing is inherited from the host.
        hidden_packages: paths relative to site-packages that must not be visible, such as ``statsmodels/datasets``,
            because they contain held-out data. ``discoenv`` itself is always hidden.
        family: the group of packages that the command needs (the domain's pip extra: ``sklearn``, ``jax``, …);
            providers with images choose one by it, others offer the host's packages.
        preload: modules of the interpreter's packages that are imported before ``argv`` runs, a Python program in a
            file: they must not start threads or touch a device. Providers may keep a process that has imported them and
            fork it; what a provider does not support it ignores.
        env_after_preload: names in ``env`` that those imports do not depend on, and that differ between commands.
        gpus: UUIDs of the GPUs that the command may use, as leased from :class:`discoenv.machine.gpus.Broker`.
        python: the interpreter that ``argv[0] == "python"`` means, with the packages that it finds; None: the sandbox's
            own choice. Providers with images cannot offer another one.
        image: the image that the command runs in, with the packages that it holds; empty: the sandbox's own choice.
            Only container engines can offer another one, see :meth:`Sandbox.require_image`.
    """

    argv: tuple[str, ...]
    cwd: str
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    hidden_packages: tuple[str, ...] = ()
    family: str = ""
    preload: tuple[str, ...] = ()
    env_after_preload: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    python: Path | None = None
    image: str = ""

    def with_gpus(self, uuids: Sequence[str], environment: Mapping[str, str]) -> Command:
        """The same command, allowed to use these GPUs, with further environment variables."""
        return replace(self, gpus=tuple(uuids), env={**self.env, **environment})


@dataclass(frozen=True)
class Usage:
    """What a command consumed, whole tree. ``method`` says how memory was measured: ``cgroup`` or ``sampled``."""

    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    method: Literal["cgroup", "sampled"]


@dataclass(frozen=True)
class Outcome:
    """How a command ended. ``exit_code`` is negative for a signal, None if the tree was killed by us."""

    reason: EndReason
    exit_code: int | None
    stdout: str
    stderr: str
    usage: Usage


@dataclass(frozen=True)
class Check:
    """One line of ``discoenv doctor``: whether a provider works here, and if not, what to type."""

    name: str
    works: bool
    detail: str
    fix: str = ""


class Running(ABC):
    """A started command. Always end it with :meth:`kill` or :meth:`wait`; both are safe to call again."""

    @property
    @abstractmethod
    def started(self) -> float:
        """``time.monotonic()`` at the start of the command, in seconds."""

    def cpu_clock(self) -> CpuClock | None:
        """Where the tree's CPU seconds can be read while it runs; None if only the outcome reports them."""
        return None

    def last_line(self) -> str:
        """The last line with text that the command has written so far, to its standard output if there is one there.

        Empty if it has written nothing, or if the provider shows output only at the end.
        """
        return ""

    @abstractmethod
    def poll(self) -> bool:
        """Whether the command is still running (also enforces the limits that need watching)."""

    @abstractmethod
    def wait(self, timeout_s: float | None = None) -> Outcome:
        """Block until the command ends or its limits end it.

        Raises:
            TimeoutError: ``timeout_s`` passed first; the command goes on.
        """

    @abstractmethod
    def kill(self) -> Outcome:
        """Kill the whole process tree with SIGKILL, wait until it is gone, and return how it ended."""


class Sandbox(ABC):
    """A provider. ``name`` is what users write in ``sandbox=``; ``isolated`` is False only for ``process``.

    ``own_packages``: commands find the packages of an image, whatever the host has.
    """

    name: ClassVar[str]
    isolated: ClassVar[bool] = True
    own_packages: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def check(cls) -> Check:
        """Try the provider on this machine (really starting something small) and report. Never raises."""

    @abstractmethod
    def start(self, command: Command, limits: Limits) -> Running:
        """Start ``command`` and return at once.

        Raises:
            SandboxError: the sandbox could not be set up.
        """

    def require_image(self, image: str) -> None:
        """Raise :class:`SandboxUnavailable` if commands cannot run in an image of that name. Empty: in any sandbox.

        Raises:
            SandboxUnavailable: the provider runs no images, no engine answers, it has no such image, or the image has
                no interpreter that starts.
        """
        if image:
            raise SandboxUnavailable(
                f"a pack of domains names the image {image}, which the {self.name} sandbox cannot run: use "
                "sandbox='docker' or sandbox='podman'"
            )

    def run(self, command: Command, limits: Limits) -> Outcome:
        """Start ``command`` and wait for its end; if the waiting is interrupted, kill it."""
        running = self.start(command, limits)
        try:
            return running.wait()
        finally:
            running.kill()

    def close(self) -> None:  # noqa: B027 (most providers hold nothing)
        """Kill what still runs and release what is held. Safe to call again."""
