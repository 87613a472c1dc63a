"""Leases of GPUs: which one a command may use, held by a file lock that the kernel frees when its owner dies.

Devices are known by UUID, because numbers mean different devices to different programs (Docker's ``--gpus 1`` is always
GPU 0). Leases hold between the processes of one machine that share the folder of locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import itertools
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from discoenv.errors import NoGpuFree, SandboxError, SandboxUnavailable
from discoenv.machine import forks
from discoenv.machine.locks import machine_folder, say_if_long, shared_folder, try_lock, unlock
from discoenv.machine.owner import owner_tag

_POLL_S = 0.02
_JAX_FRACTION: Final = 0.9  # of a GPU's memory; the rest is the driver's and the libraries'
_counter = itertools.count()


@dataclass(frozen=True)
class Gpu:
    """A device that can be leased: a whole GPU, or an instance of one (MIG).

    Attributes:
        uuid: ``GPU-…`` or ``MIG-…``.
        name: the product's name.
        memory_bytes: its memory.
        minor: number of its node, ``/dev/nvidia<minor>``.
        parent: for an instance, UUID of the GPU that it is part of; else empty.
    """

    uuid: str
    name: str
    memory_bytes: int
    minor: int
    parent: str = ""


def gpus(nvml: Any = None) -> list[Gpu]:
    """The devices of this machine that this process may use, in NVML's order; GPUs in MIG mode stand as instances.

    ``CUDA_VISIBLE_DEVICES``, which a cluster's scheduler sets, is heeded: numbers in NVML's order, or UUIDs (also
    their beginnings).

    Args:
        nvml: a module like ``pynvml``, for tests.

    Raises:
        SandboxUnavailable: NVML is not installed, or there is no driver.
    """
    nvml = nvml or pynvml()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise SandboxUnavailable(f"no GPU can be used: NVML says {error}") from error
    try:
        found = []
        for index in range(nvml.nvmlDeviceGetCount()):
            found.append(list(_devices(nvml, nvml.nvmlDeviceGetHandleByIndex(index))))
    except nvml.NVMLError as error:
        raise SandboxError(f"the GPUs could not be listed: NVML says {error}") from error
    finally:
        nvml.nvmlShutdown()
    return _allowed(found, os.environ.get("CUDA_VISIBLE_DEVICES"))


def pynvml() -> Any:
    """The module ``pynvml``.

    Raises:
        SandboxUnavailable: it is not installed.
    """
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        raise SandboxUnavailable("NVML's Python package is not installed: pip install 'discoenv[gpu]'") from None


def _devices(nvml: Any, handle: Any) -> Iterator[Gpu]:
    """The GPU, or, in MIG mode, its instances."""
    uuid, name = _text(nvml.nvmlDeviceGetUUID(handle)), _text(nvml.nvmlDeviceGetName(handle))
    minor = int(nvml.nvmlDeviceGetMinorNumber(handle))
    try:
        split = bool(nvml.nvmlDeviceGetMigMode(handle)[0])
    except nvml.NVMLError:  # not supported
        split = False
    if not split:
        yield Gpu(uuid, name, int(nvml.nvmlDeviceGetMemoryInfo(handle).total), minor)
        return
    for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            part = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
        except nvml.NVMLError:  # this place is empty
            continue
        memory = int(nvml.nvmlDeviceGetMemoryInfo(part).total)
        yield Gpu(_text(nvml.nvmlDeviceGetUUID(part)), name, memory, minor, parent=uuid)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _allowed(found: list[list[Gpu]], visible: str | None) -> list[Gpu]:
    every = [gpu for parts in found for gpu in parts]
    if visible is None:
        return every
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in visible.split(",")):
        if entry.isdigit() and int(entry) < len(found):
            matches = found[int(entry)]
        elif entry and not entry.lstrip("-").isdigit():
            matches = [gpu for gpu in every if gpu.uuid.startswith(entry) or gpu.parent.startswith(entry)]
        else:
            break  # CUDA, too, ignores an invalid entry and all that follow
        chosen += [gpu for gpu in matches if gpu not in chosen]
    return chosen


class Lease:
    """A device that is ours until :meth:`release`, or until this process dies. A context manager.

    Children made by ``fork`` alone share it; programs that are started do not.
    """

    def __init__(self, gpu: Gpu, sharers: int, descriptors: list[int]) -> None:
        self.gpu = gpu
        self._sharers = sharers
        self._descriptors = descriptors

    @property
    def exclusive(self) -> bool:
        """Whether the device is not shared."""
        return self._sharers == 1

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a command that uses the device; JAX takes its share of the memory and no more."""
        return {
            "CUDA_VISIBLE_DEVICES": self.gpu.uuid,
            "JAX_PLATFORMS": "cuda,cpu",
            "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{_JAX_FRACTION / self._sharers:.3f}",
        }

    def release(self) -> None:
        """Let the next one have it. Safe to call again."""
        while self._descriptors:
            unlock(self._descriptors.pop())

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


class Broker:
    """Leases devices, first come, first served, among all processes that use the same folder.

    Args:
        devices: what may be leased; default: :func:`gpus`.
        folder: where the locks are; default: one for all users of this machine.
    """

    def __init__(self, devices: list[Gpu] | None = None, folder: Path | None = None) -> None:
        self.devices = gpus() if devices is None else devices
        self._folder = folder or default_folder()
        for path in (self._folder, self._folder / "queue"):
            shared_folder(path)

    def lease(
        self, *, timeout_s: float = 3600.0, sharers: int = 1, give_up: Callable[[], bool] = lambda: False
    ) -> Lease:
        """Wait for a device and take it.

        Args:
            timeout_s: how long to wait.
            give_up: asked again and again while waiting; True ends the wait.
            sharers: 1 for a device that is not shared, as measuring time, energy or memory needs; n to
                share one with up to n − 1 others who ask for the same.

        Raises:
            NoGpuFree: none became free in time, or before ``give_up``.
            SandboxUnavailable: there are no devices.
        """
        if not self.devices:
            raise SandboxUnavailable("this machine has no GPU that may be used (see CUDA_VISIBLE_DEVICES)")
        since = time.monotonic()
        with self._in_queue() as ticket:
            while True:
                if self._is_first(ticket):
                    for gpu in self.devices:
                        if (descriptors := self._take(gpu, sharers)) is not None:
                            return Lease(gpu, sharers, descriptors)
                if give_up():
                    raise NoGpuFree("the exam was cancelled while it waited for a GPU")
                if time.monotonic() - since >= timeout_s:
                    names = ", ".join(gpu.uuid for gpu in self.devices)
                    raise NoGpuFree(f"no GPU became free within {timeout_s:g} s; leased: {names} (see `discoenv ps`)")
                say_if_long(since, "an exam waits for a GPU: all are leased (see `discoenv ps`)")
                time.sleep(_POLL_S)

    def _take(self, gpu: Gpu, sharers: int) -> list[int] | None:
        """Descriptors that hold the locks, or None. An exclusive lease holds the device's lock alone."""
        device = try_lock(self._folder / _file_name(gpu.uuid), fcntl.LOCK_EX if sharers == 1 else fcntl.LOCK_SH)
        if device is None:
            return None
        if sharers == 1:
            return [device]
        for number in range(sharers):
            place = try_lock(self._folder / f"{_file_name(gpu.uuid)}.{number}-of-{sharers}", fcntl.LOCK_EX)
            if place is not None and not self._shared_otherwise(gpu, sharers):
                return [place, device]
            if place is not None:
                unlock(place)
                break
        unlock(device)
        return None

    def _shared_otherwise(self, gpu: Gpu, sharers: int) -> bool:
        """Whether others share the device among a different number: the memory fractions would not add up."""
        for path in self._folder.glob(f"{_file_name(gpu.uuid)}.*-of-*"):
            if not path.name.endswith(f"-of-{sharers}"):
                lock = try_lock(path, fcntl.LOCK_EX)
                if lock is None:
                    return True
                unlock(lock)
        return False

    @contextlib.contextmanager
    def _in_queue(self) -> Iterator[Path]:
        """Stand in line: a locked file whose name sorts by time of arrival, since CLOCK_MONOTONIC is the machine's."""
        name = f"{time.monotonic_ns():020d}-{owner_tag()}-{next(_counter)}"
        coming, ticket = self._folder / "queue" / f".{name}", self._folder / "queue" / name
        descriptor = forks.keep(os.open(coming, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            coming.rename(ticket)  # never seen without its lock
            yield ticket
        finally:
            for path in (coming, ticket):
                with contextlib.suppress(OSError):
                    path.unlink()
            forks.release(descriptor)

    def _is_first(self, own: Path) -> bool:
        for ticket in sorted(path for path in own.parent.iterdir() if not path.name.startswith(".")):
            if ticket == own:
                return True
            with contextlib.suppress(FileNotFoundError):
                lock = try_lock(ticket, fcntl.LOCK_SH, create=False)
                if lock is None:
                    return False
                unlock(lock)  # its owner is dead
                with contextlib.suppress(OSError):  # another user's: passed over again next time
                    ticket.unlink()
        return True


def default_folder() -> Path:
    """One folder of locks for all users of this machine."""
    return machine_folder("discoenv-gpus")


def held(folder: Path | None = None) -> dict[str, list[int]]:
    """Pids that hold each device that was ever leased, by the UUID that its lock file is named after."""
    locks = _flocks()
    found: dict[str, list[int]] = {}
    for path in sorted((folder or default_folder()).glob("*.lock")):
        with contextlib.suppress(OSError):
            found[path.stem] = sorted(locks.get(path.stat().st_ino, set()))
    return found


def device_nodes(uuids: tuple[str, ...], nvml: Any = None) -> list[Path]:
    """What a program that uses these devices opens below ``/dev``; for sandboxes that make their own ``/dev``.

    Raises:
        SandboxError: there is no device of that UUID.
    """
    known = {gpu.uuid: gpu for gpu in gpus(nvml)}
    for uuid in uuids:
        if uuid not in known:
            raise SandboxError(f"there is no GPU {uuid} here: {', '.join(known) or 'none at all'}")
    nodes = [Path("/dev/nvidiactl"), Path("/dev/nvidia-uvm"), Path("/dev/nvidia-uvm-tools")]
    nodes += [Path(f"/dev/nvidia{minor}") for minor in sorted({known[uuid].minor for uuid in uuids})]
    if any(known[uuid].parent for uuid in uuids):
        nodes.append(Path("/dev/nvidia-caps"))
    return nodes


def _file_name(uuid: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "_", uuid) + ".lock"


def _flocks() -> dict[int, set[int]]:
    """Pids that hold whole-file locks, by inode."""
    found: dict[int, set[int]] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if len(fields) > 5 and fields[1] == "FLOCK":
                found.setdefault(int(fields[5].rpartition(":")[2]), set()).add(int(fields[4]))
    return found
