"""Exams on GPUs, with a fake NVML and a sandbox that pretends to have them: leases, meters and what is compared."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from discoenv.env import DiscoGenEnv
from discoenv.episodes.evaluation import Evaluation
from discoenv.errors import InfraError, SandboxError, SandboxUnavailable
from discoenv.exams.host import Host
from discoenv.exams.spec import ExamSpec
from discoenv.machine import devices
from discoenv.machine import gpus as gpu_module
from discoenv.machine.cores import Cores
from discoenv.machine.energy import EnergyMeter
from discoenv.machine.gpu_meter import GpuMeter
from discoenv.sandbox import get_sandbox
from discoenv.sandbox.base import Check, Command, Limits, Outcome, Running, Sandbox
from discoenv.scoring import baselines
from discoenv.tasks.domain import Domain
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Setting, Task
from tests.conftest import each_exam
from tests.episodes.test_evaluation import WatchedSandbox
from tests.machine.fake_nvml import FakeNvml

GPU = "GPU-0000"


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeNvml:
    """One GPU, whose leases no other test sees."""
    fake = FakeNvml(1)
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpu_module, "default_folder", lambda: tmp_path / "locks")
    return fake


class PretendingSandbox(Sandbox):
    """A real sandbox whose learners "use" the fake GPU: as many bytes and joules as their modules say they do."""

    name: ClassVar[str] = "pretending"

    def __init__(self, nvml: FakeNvml) -> None:
        self._nvml = nvml
        self._real = get_sandbox("auto")
        self.commands: list[Command] = []
        self.holders: list[list[int]] = []

    @classmethod
    def check(cls) -> Check:
        return Check(cls.name, works=True, detail="")

    def start(self, command: Command, limits: Limits) -> Running:
        self.commands.append(command)
        self.holders.append(gpu_module.held(gpu_module.default_folder()).get(GPU, []))
        sources = "".join(path.read_text() for path in sorted(command.mounts[0].source.glob("discovered/*.py")))
        wanted = {name: int(value) for name, value in re.findall(r"# gpu (\w+) (\d+)", sources)}
        for uuid in command.gpus:
            self._nvml.used[uuid] = self._nvml.used.get(uuid, 0) + wanted.get("bytes", 0)
        running = self._real.start(Command(**{**vars(command), "gpus": ()}), limits)
        return PretendingRunning(running, self._nvml, command.gpus, wanted)

    def close(self) -> None:
        self._real.close()


class PretendingRunning(Running):
    """Gives the memory back, and counts the energy, when it is killed."""

    def __init__(self, real: Running, nvml: FakeNvml, uuids: tuple[str, ...], wanted: dict[str, int]) -> None:
        self._real, self._nvml, self._uuids, self._wanted = real, nvml, uuids, wanted

    @property
    def started(self) -> float:
        return self._real.started

    def poll(self) -> bool:
        return self._real.poll()

    def wait(self, timeout_s: float | None = None) -> Outcome:
        return self._real.wait(timeout_s)

    def kill(self) -> Outcome:
        for uuid in self._uuids:
            self._nvml.used[uuid] -= self._wanted.get("bytes", 0)
            self._nvml.joules[uuid] = self._nvml.joules.get(uuid, 0.0) + self._wanted.get("joules", 0)
        self._uuids = ()
        return self._real.kill()


@pytest.fixture
def sandbox(nvml: FakeNvml) -> Iterator[PretendingSandbox]:
    pretending = PretendingSandbox(nvml)
    yield pretending
    pretending.close()


# ---- what is chosen


def test_auto_takes_a_gpu_at_full_scale_if_there_is_one(nvml: FakeNvml) -> None:
    assert devices.choose("auto").name == "Fake 80GB"
    assert devices.choose("auto", prefer_gpu=False) is devices.CPU
    assert devices.choose("cpu") is devices.CPU
    domain = get_domain("GreenhouseGasPrediction")
    dataset = domain.datasets[0]
    assert [domain.wants_gpu(dataset, scale) for scale in ("tiny", "small", "full")] == [False, False, True]


def test_without_a_gpu_auto_takes_the_processor_and_gpu_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(0))
    assert devices.choose("auto") is devices.CPU
    with pytest.raises(SandboxUnavailable, match="no GPU"):
        devices.choose("gpu")
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(0, broken=True))
    with pytest.raises(SandboxUnavailable, match="Driver Not Loaded"):
        DiscoGenEnv(device="gpu")


def test_unknown_devices_and_no_sharers_are_refused() -> None:
    with pytest.raises(ValueError, match="'tpu'"):
        devices.choose("tpu")
    with pytest.raises(ValueError, match="gpu_sharers"):
        devices.choose("auto", sharers=0)


# ---- meters


def test_peak_memory_is_what_came_on_top_of_what_was_held(nvml: FakeNvml) -> None:
    nvml.used[GPU] = 3 << 30
    meter = GpuMeter(GPU)
    meter.start()
    nvml.used[GPU] = 8 << 30
    while meter._peak < 8 << 30:
        pass
    nvml.used[GPU] = 4 << 30
    assert meter.stop() == 5 << 30
    assert meter.stop() == 5 << 30


def test_the_drivers_energy_counter_is_preferred_to_sampled_power(nvml: FakeNvml) -> None:
    nvml.joules[GPU], nvml.watts[GPU] = 100.0, 1e6
    meter = EnergyMeter(GpuMeter(GPU), counters=[])
    meter.start()
    nvml.joules[GPU] = 350.0
    energy = meter.stop(cpu_s=1.0)
    meter.stop_gpu()
    assert energy.method == "estimate+nvml"
    assert energy.joules == pytest.approx(250.0 + 10.0)


def test_without_a_counter_power_is_summed_up(nvml: FakeNvml) -> None:
    nvml.counts_energy = False
    nvml.watts[GPU] = 200.0
    gpu = GpuMeter(GPU)
    meter = EnergyMeter(gpu, counters=[])
    meter.start()
    begin = gpu.joules()
    while gpu.joules() < begin + 10.0:  # a twentieth of a second at 200 W
        pass
    energy = meter.stop(cpu_s=0.0)
    assert energy.method == "estimate+nvml-power"
    assert energy.joules >= 10.0
    assert energy.uncertainty == 0.5
    meter.stop_gpu()


def test_an_unknown_device_cannot_be_measured(nvml: FakeNvml) -> None:
    with pytest.raises(SandboxError, match="NVML says Not Found"):
        GpuMeter("GPU-9999")


# ---- exams


def test_an_exam_holds_a_gpu_as_long_as_its_learner_runs(
    toy: Domain, sandbox: PretendingSandbox, task: Task, tmp_path: Path
) -> None:
    from discoenv.tasks.workspace import materialise

    workspace = materialise(task.model_copy(update={"start": "base"}), tmp_path / "workspace")
    with Host(sandbox, device="gpu") as host:
        result = host.run(workspace, ExamSpec(Setting(toy, "default", "Line", "tiny"), 1, 60.0))
    command = sandbox.commands[0]
    assert (result.status, result.device) == ("ok", "Fake 80GB")
    assert command.gpus == (GPU,)
    assert command.env["CUDA_VISIBLE_DEVICES"] == GPU
    assert command.env["JAX_PLATFORMS"] == "cuda,cpu"
    assert "XLA_PYTHON_CLIENT_PREALLOCATE" not in command.env
    assert len(sandbox.holders[0]) == 1
    assert gpu_module.held(gpu_module.default_folder())[GPU] == []


def test_a_gpu_that_stays_taken_is_no_score_and_closing_ends_the_wait(
    toy: Domain, sandbox: PretendingSandbox, task: Task, tmp_path: Path
) -> None:
    import threading

    from discoenv.tasks.workspace import materialise

    workspace = materialise(task.model_copy(update={"start": "base"}), tmp_path / "workspace")
    host = Host(sandbox, device="gpu", exams_at_once=Cores(1, tmp_path / "cores"))
    broker = host.device(True).broker
    assert broker is not None
    with broker.lease():
        closer = threading.Timer(0.3, host.close)
        closer.start()
        with pytest.raises(InfraError, match="cancelled while it waited for a GPU"):
            host.run(workspace, ExamSpec(Setting(toy, "default", "Line", "tiny"), 1, 60.0))
        closer.join()
    assert sandbox.commands == []


@pytest.mark.parametrize(("objective", "what"), [("memory", "bytes"), ("energy", "joules")])
def test_a_module_that_wastes_the_gpu_pays_for_it(
    objective: str, what: str, toy: Domain, sandbox: PretendingSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rewards: list[float] = []
    amounts = {"bytes": (0, 2 << 30), "joules": (0, 5000)}[what]
    task = {
        "domain": "Toy",
        "modules": ("model",),
        "meta_train": ("Line",),
        "meta_test": ("Wave",),
        "start": "base",
        "scale": "tiny",
        "objective": objective,
        "test_seeds": 1,
        "baseline_scale": 0.5,
    }
    for amount in amounts:
        env = DiscoGenEnv(task=task, sandbox=sandbox, device="gpu", runs_dir=None)
        observation, _ = env.reset(seed=1)
        source = observation["files"]["model.py"] + f"\n# gpu {what} {amount}\n"
        edit = {"path": "model.py", "content": source}
        _, reward, _, _, info = env.step({"edits": [edit], "command": "submit"})
        env.close()
        assert info["device"] == "Fake 80GB"
        record = info["meta_test"]["Wave"]
        assert each_exam(record, "status") == ["ok"], each_exam(record, "message")
        rewards.append(float(reward))
        if what == "bytes":
            assert each_exam(record, "peak_gpu_memory_bytes") == [amount]
        else:
            assert record["exams"][0]["joules"] >= amount
            assert "nvml" in record["exams"][0]["energy_method"]
    assert rewards[0] > 2 * rewards[1] > 0
    assert all(command.env["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false" for command in sandbox.commands)
    # The baseline's costs were measured on the GPU too, and are kept apart from the processor's.
    assert baselines.local_path(toy, "Fake 80GB").is_file()
    assert not baselines.local_path(toy).exists()


def test_exams_share_a_gpu_only_while_no_costs_are_measured(nvml: FakeNvml) -> None:
    device = devices.choose("gpu", sharers=2)
    answers = itertools.cycle([False])
    with device.lease(alone=False, give_up=lambda: next(answers)) as first:
        assert first is not None
        assert not first.exclusive
        with device.lease(alone=False, give_up=lambda: True) as second:
            assert second is not None
            assert second.gpu == first.gpu
        with pytest.raises(SandboxError), device.lease(alone=True, give_up=lambda: True):
            pass


def test_as_many_exams_run_at_once_as_may_share_the_gpus(
    task: Task, sandbox: PretendingSandbox, good: dict[str, str], tmp_path: Path
) -> None:
    several = task.model_copy(update={"meta_train": ("Line", "Steps", "Noise"), "train_seeds": 2})
    watched = WatchedSandbox(sandbox, together=2)
    cores = Cores(3, tmp_path / "slots", pin=True)
    with Host(watched, device="gpu", exams_at_once=cores, gpu_sharers=2) as host:
        evaluation = Evaluation(several, host, seed=1, budget_scale=3.0)
        scores = evaluation.examine(good, "meta_train")
        evaluation.close()
    assert [result.status for score in scores for result in score.results] == ["ok"] * 6
    assert watched.most == 2
    assert {limits.cores for limits in watched.limits} == {()}
