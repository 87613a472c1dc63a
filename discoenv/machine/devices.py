"""Where learners train: on the processor, or on GPUs that are leased for one exam each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from discoenv.errors import SandboxUnavailable
from discoenv.machine.gpus import Broker, Lease, gpus

#: ``cpu``; ``gpu``: one GPU per exam; ``auto``: a GPU for what is meant for one, if this machine has one.
DeviceChoice = Literal["auto", "cpu", "gpu"]


@dataclass(frozen=True)
class Device:
    """What exams are trained on.

    Attributes:
        name: ``cpu``, or the GPU's product name; costs are compared between exams on devices of one name.
        broker: leases GPUs of that name; None for the processor.
        sharers: how many exams may share a GPU when nothing but the score is measured.
    """

    name: str = "cpu"
    broker: Broker | None = None
    sharers: int = 1

    @contextlib.contextmanager
    def lease(self, *, alone: bool, give_up: Callable[[], bool]) -> Iterator[Lease | None]:
        """Hold a GPU (None: there is none to hold) for one exam.

        Args:
            alone: do not share it, because time, energy or memory is measured.
            give_up: asked while waiting; True ends the wait with ``NoGpuFree``.
        """
        if self.broker is None:
            yield None
            return
        with self.broker.lease(sharers=1 if alone else self.sharers, give_up=give_up) as lease:
            yield lease


CPU = Device()


def has_gpu() -> bool:
    """Whether this machine has a GPU that we may use. Never raises."""
    try:
        return bool(gpus())
    except SandboxUnavailable:
        return False


def choose(choice: str, *, prefer_gpu: bool = True, sharers: int = 1) -> Device:
    """The device that a choice comes to on this machine.

    Args:
        choice: ``auto``, ``cpu`` or ``gpu``.
        prefer_gpu: whether ``auto`` should take a GPU.
        sharers: see :class:`Device`.

    Raises:
        SandboxUnavailable: ``gpu`` was asked for and there is none.
        ValueError: the choice is none of the three, or ``sharers`` is not positive.
    """
    if choice not in get_args(DeviceChoice):
        raise ValueError(f"device is {choice!r}; known are {', '.join(get_args(DeviceChoice))}")
    if sharers < 1:
        raise ValueError(f"gpu_sharers is {sharers}; at least one exam must be able to use a GPU")
    if choice == "cpu" or (choice == "auto" and not (prefer_gpu and has_gpu())):
        return CPU
    found = gpus()
    if not found:
        raise SandboxUnavailable("this machine has no GPU that may be used (see CUDA_VISIBLE_DEVICES): use device cpu")
    name = found[0].name  # where products are mixed, the first one's: costs on different ones cannot be compared
    return Device(name, Broker([gpu for gpu in found if gpu.name == name]), sharers)
