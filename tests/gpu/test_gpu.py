"""Leases, meters and exams on the GPUs of this machine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from discoenv.errors import DiscoenvError, NoGpuFree
from discoenv.exams.host import Host
from discoenv.exams.result import ExamResult
from discoenv.exams.spec import ExamSpec
from discoenv.machine import packages
from discoenv.machine.gpu_meter import GpuMeter
from discoenv.machine.gpus import Broker, Gpu, gpus
from discoenv.scoring.rehearsal import rehearse
from discoenv.tasks.quick import quick_task
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Setting
from discoenv.tasks.workspace import materialise

#: Multiplies matrices on the first GPU for two seconds, and prints what it holds there.
BURN = """
import time, torch
values = torch.randn(4096, 4096, device="cuda")
end = time.monotonic() + 2
while time.monotonic() < end:
    values = (values @ values).clamp(-1, 1)
torch.cuda.synchronize()
print(torch.cuda.max_memory_allocated())
"""


def present() -> list[Gpu]:
    """The GPUs of this machine that may be used."""
    try:
        return gpus()
    except DiscoenvError:
        return []


pytestmark = [pytest.mark.gpu, pytest.mark.slow, pytest.mark.skipif(not present(), reason="this machine has no GPU")]


@pytest.fixture
def host() -> Iterator[Host]:
    with Host(device="gpu") as made:
        yield made


def examined(host: Host, domain: str, tmp_path: Path, *, seed: int = 3) -> ExamResult:
    """The quick task of a domain, trained on a GPU."""
    task = quick_task(get_domain(domain), start="base")
    workspace = materialise(task, tmp_path / f"workspace{seed}")
    spec = ExamSpec(task.setting(task.meta_train[0]), seed, 600.0, gpu=True, editable=())
    return host.run(workspace, spec, alone=True)


def test_another_process_waits_for_an_exclusive_lease(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from discoenv.machine.gpus import Broker, gpus\n"
        "lease = Broker(gpus()[:1], Path(sys.argv[1])).lease(); print('leased', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdin
        assert other.stdout.readline() == "leased\n"
        broker = Broker(present()[:1], tmp_path)
        with pytest.raises(NoGpuFree):
            broker.lease(timeout_s=0.2)
        other.stdin.close()
        other.wait(30)
    broker.lease(timeout_s=10).release()


def test_work_takes_energy_and_memory() -> None:
    pytest.importorskip("torch")
    device = present()[0]
    meter = GpuMeter(device.uuid)
    idle = meter.joules()
    time.sleep(2)
    idle = meter.joules() - idle
    before = meter.joules()
    meter.start()
    command = [sys.executable, "-c", BURN]
    done = subprocess.run(
        command, env={"CUDA_VISIBLE_DEVICES": device.uuid}, capture_output=True, text=True, check=True
    )
    peak = meter.stop()
    assert meter.joules() - before > idle
    assert peak > int(done.stdout)


@pytest.mark.parametrize(
    "domain", ["ComputerVisionClassification", "LanguageModelling", "NeuralCellularAutomata", "OnPolicyRL"]
)
def test_an_exam_trains_on_the_gpu(domain: str, host: Host, tmp_path: Path) -> None:
    missing = packages.missing(packages.names(get_domain(domain).specification.requirements))
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    result = examined(host, domain, tmp_path)
    assert result.status == "ok", f"{result.message}\n{result.traceback}"
    assert result.device == host.device(True).name
    assert result.peak_gpu_memory_bytes
    assert result.energy.joules > 0


def test_full_settings_start(host: Host) -> None:
    setting = Setting(get_domain("ComputerVisionClassification"), "default", "Digits", "full")
    found = rehearse(host, setting, budget_s=300)
    assert found.passed, found.result.message
