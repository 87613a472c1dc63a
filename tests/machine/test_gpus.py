"""Leases of GPUs, on a fake NVML: no GPU is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from discoenv.errors import NoGpuFree, SandboxError, SandboxUnavailable
from discoenv.machine import locks
from discoenv.machine.gpus import Broker, device_nodes, gpus, held
from discoenv.sandbox import Command
from tests.machine.fake_nvml import FakeNvml

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    return Broker(gpus(FakeNvml(2)), tmp_path / "locks")


def test_devices_are_known_by_uuid_and_instances_stand_for_a_split_gpu() -> None:
    assert [gpu.uuid for gpu in gpus(FakeNvml(3, split=(1,)))] == ["GPU-0000", "MIG-0001-0", "MIG-0001-3", "GPU-0002"]
    assert [gpu.parent for gpu in gpus(FakeNvml(2, split=(1,)))] == ["", "GPU-0001", "GPU-0001"]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("1", ["GPU-0001"]),
        ("2,0", ["MIG-0002-0", "MIG-0002-3", "GPU-0000"]),
        ("GPU-0001", ["GPU-0001"]),
        ("MIG-0002-3", ["MIG-0002-3"]),
        ("0,-1,1", ["GPU-0000"]),
        ("", []),
    ],
)
def test_the_schedulers_choice_is_heeded(visible: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.uuid for gpu in gpus(FakeNvml(3, split=(2,)))] == expected


def test_no_driver_is_said_to_be_missing() -> None:
    with pytest.raises(SandboxUnavailable, match="Driver Not Loaded"):
        gpus(FakeNvml(0, broken=True))


def test_no_devices_are_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="no GPU"):
        Broker([], tmp_path).lease()


def test_leases_are_exclusive_and_end(broker: Broker, tmp_path: Path) -> None:
    first, second = broker.lease(), broker.lease()
    assert {first.gpu.uuid, second.gpu.uuid} == {"GPU-0000", "GPU-0001"}
    with pytest.raises(NoGpuFree, match="GPU-0000, GPU-0001"):
        broker.lease(timeout_s=0.1)
    assert held(tmp_path / "locks")["GPU-0000"] == [os.getpid()]
    first.release()
    first.release()
    with broker.lease(timeout_s=1) as third:
        assert third.gpu == first.gpu
    assert held(tmp_path / "locks")["GPU-0000"] == []
    second.release()


def test_a_long_wait_is_said_once(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks, "_LONG_S", 0.05)
    monkeypatch.setattr(locks, "_said", set())
    with broker.lease(), broker.lease():
        assert not caplog.messages
        for _ in range(2):
            with pytest.raises(NoGpuFree):
                broker.lease(timeout_s=0.3)
    assert caplog.messages == ["an exam waits for a GPU: all are leased (see `discoenv ps`)"]


def test_sharers_divide_the_memory_and_exclude_the_exclusive(tmp_path: Path) -> None:
    broker = Broker(gpus(FakeNvml(1)), tmp_path)
    leases = [broker.lease(sharers=3) for _ in range(3)]
    assert {lease.environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] for lease in leases} == {"0.300"}
    for sharers in (1, 2, 3):
        with pytest.raises(NoGpuFree):
            broker.lease(timeout_s=0.1, sharers=sharers)
    leases[0].release()
    for sharers in (1, 2):
        with pytest.raises(NoGpuFree):
            broker.lease(timeout_s=0.1, sharers=sharers)
    broker.lease(timeout_s=1, sharers=3).release()
    for lease in leases:
        lease.release()
    broker.lease(timeout_s=1).release()


def test_a_command_gets_the_device_and_keeps_its_variables(broker: Broker) -> None:
    command = Command(("python",), cwd="/", env={"JAX_PLATFORMS": "cpu", "MINE": "1"})
    with broker.lease() as lease:
        leased = command.with_gpus((lease.gpu.uuid,), lease.environment)
    assert leased.gpus == (lease.gpu.uuid,)
    assert leased.env["CUDA_VISIBLE_DEVICES"] == lease.gpu.uuid
    assert leased.env["MINE"] == "1"
    assert leased.env["JAX_PLATFORMS"] == "cuda,cpu"


def test_device_nodes_are_those_of_the_device_only() -> None:
    nodes = [str(node) for node in device_nodes(("GPU-0001",), FakeNvml(3))]
    assert [node for node in nodes if node.removeprefix("/dev/nvidia").isdigit()] == ["/dev/nvidia2"]
    assert Path("/dev/nvidia-caps") in device_nodes(("MIG-0000-3",), FakeNvml(1, split=(0,)))
    with pytest.raises(SandboxError, match="GPU-9"):
        device_nodes(("GPU-9",), FakeNvml(1))


CONTENDER = """
import os, sys, time
sys.path.insert(0, {repository!r})
from pathlib import Path
from discoenv.machine.gpus import Broker, gpus
from tests.machine.fake_nvml import FakeNvml
folder = Path({folder!r})
broker = Broker(gpus(FakeNvml(2)), folder / "locks")
for turn in range({turns}):
    with broker.lease(timeout_s=60) as lease:
        mark = folder / ("held-" + lease.gpu.uuid)
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))  # fails if someone else holds it
        time.sleep({hold})
        mark.unlink()
print("served", flush=True)
"""


def contender(folder: Path, *, turns: int, hold: float) -> subprocess.Popen[str]:
    source = CONTENDER.format(repository=str(REPOSITORY), folder=str(folder), turns=turns, hold=hold)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", source], text=True, **pipes)  # type: ignore[call-overload,no-any-return]


def test_eight_processes_contending_for_two_gpus_are_all_served_and_never_two_hold_one(tmp_path: Path) -> None:
    contenders = [contender(tmp_path, turns=4, hold=0.02) for _ in range(8)]
    for each in contenders:
        out, err = each.communicate(timeout=120)
        assert (out, err, each.returncode) == ("served\n", "", 0)
    assert list((tmp_path / "locks/queue").iterdir()) == []


def test_the_lease_of_a_killed_holder_is_free_and_so_is_the_place_in_the_queue(tmp_path: Path) -> None:
    holders = [contender(tmp_path, turns=1, hold=600) for _ in range(2)]
    while len(list(tmp_path.glob("held-*"))) < 2:
        assert all(each.poll() is None for each in holders)
        time.sleep(0.01)
    waiting = contender(tmp_path, turns=1, hold=600)
    while not list((tmp_path / "locks/queue").glob("[0-9]*")):
        time.sleep(0.01)
    broker = Broker(gpus(FakeNvml(2)), tmp_path / "locks")
    assert sorted(pid for pids in held(tmp_path / "locks").values() for pid in pids) == sorted(
        each.pid for each in holders
    )
    for each in (waiting, *holders):
        each.send_signal(signal.SIGKILL)
        each.communicate()
    leases = [broker.lease(timeout_s=5) for _ in range(2)]
    assert {lease.gpu.uuid for lease in leases} == {"GPU-0000", "GPU-0001"}
    for lease in leases:
        lease.release()
    assert list((tmp_path / "locks/queue").iterdir()) == []
