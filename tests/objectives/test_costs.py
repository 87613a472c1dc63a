"""Objectives that compare costs: thresholds in the metric's direction, and meters that see a waste."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from discoenv import module_code, objectives
from discoenv.env import DiscoGenEnv
from discoenv.errors import EntryPointError, UnknownName
from discoenv.exams.result import ExamResult
from discoenv.machine.energy import Energy, EnergyMeter, rapl_counters
from discoenv.scoring import budgets
from discoenv.scoring.baselines import Baseline, SeedValues
from discoenv.scoring.scores import Score, score
from discoenv.tasks.domain import Domain
from discoenv.tasks.specification import Metric
from discoenv.tasks.task import Task
from tests.conftest import Install

MAXIMISED = Metric(name="score", unit="", direction="max")
MINIMISED = Metric(name="score", unit="", direction="min")
#: Its size is its 500 bytes.
NOT_PYTHON = "(" * 500


def sample(value: float) -> SeedValues:
    return SeedValues(mean=value, std=0.0, values=[value])


def entry(floor: float, baseline: float, **costs: float) -> Baseline:
    return Baseline(
        domain_version=1,
        metric="score",
        floor=sample(floor),
        baseline=sample(baseline),
        seconds=sample(costs.get("seconds", 10.0)),
        peak_memory_bytes=sample(costs.get("memory", 1e9)),
        joules=sample(costs.get("joules", 100.0)),
        energy_method="estimate",
        code_bytes={"model.py": 1000, "other.py": 5000},
        seeds=[0],
        date="2026-01-01",
        hardware={},
        versions={},
    )


def result(value: float, **changes: Any) -> ExamResult:
    settings: dict[str, Any] = {
        "dataset": "A",
        "seed": 0,
        "status": "ok",
        "metrics": {"score": value},
        "seconds": 5.0,
        "training_s": 5.0,
        "answering_s": 0.0,
        "wall_s": 5.0,
        "cpu_s": 5.0,
        "peak_memory_bytes": 500_000_000,
        "memory_method": "cgroup",
        "energy": Energy(50.0, "estimate", 0.5),
        "budget_s": 60.0,
        "questions": 1,
    }
    return ExamResult(**(settings | changes))


def scored(metric: Metric, floor: float, baseline: float, value: float, **changes: Any) -> Score:
    reference = entry(floor, baseline)
    return score(metric, reference, [result(value, **changes)], reference)


def reward(
    objective: str, scores: list[Score], scale: float = 1.0, modules: Mapping[str, str] | None = None
) -> objectives.Reward:
    task = Task(
        domain="Toy",
        modules=("model",),
        meta_train=("B",),
        meta_test=("A",),
        objective=objective,
        baseline_scale=scale,
    )
    return objectives.get(objective).reward(task, scores, modules or {"model.py": NOT_PYTHON})


@pytest.mark.parametrize("objective", ["time", "energy", "memory", "golf"])
def test_half_the_cost_at_the_baselines_score_is_twice_the_reward(objective: str) -> None:
    outcome = reward(objective, [scored(MAXIMISED, 0.0, 1.0, 1.0)])
    assert outcome.value == pytest.approx(2.0)
    assert outcome.parts["passes"] == {"A": True}


def test_a_minimised_metric_far_above_its_threshold_fails() -> None:
    assert reward("time", [scored(MINIMISED, 100.0, 1.0, 1e9)]).value == 0.0
    assert reward("time", [scored(MINIMISED, 100.0, 1.0, 0.5)]).value > 0.0


def test_not_a_number_fails() -> None:
    assert reward("time", [scored(MAXIMISED, 0.0, 1.0, math.nan)]).value == 0.0


def test_a_failed_exam_fails_whatever_the_threshold() -> None:
    failed = scored(MAXIMISED, 0.0, 1.0, 1.0, status="error", metrics=None, seconds=None)
    assert reward("time", [failed], scale=0.001).value == 0.0
    assert reward("golf", [failed], scale=0.001).value == 0.0


def test_a_smaller_scale_is_easier_for_a_negative_baseline_too() -> None:
    almost = [scored(MAXIMISED, -400.0, -300.0, -310.0)]
    assert reward("time", almost, scale=1.0).value == 0.0
    assert reward("time", almost, scale=0.8).value > 0.0
    assert reward("time", almost, scale=0.8).parts["threshold"]["A"] == pytest.approx(-320.0)


def test_one_dataset_below_its_threshold_spoils_the_reward() -> None:
    scores = [scored(MAXIMISED, 0.0, 1.0, 1.0), scored(MAXIMISED, 0.0, 1.0, 0.9, dataset="C")]
    assert reward("time", scores).value == 0.0


def test_ratios_are_clipped() -> None:
    assert reward("time", [scored(MAXIMISED, 0.0, 1.0, 1.0, seconds=1e-9)]).value == pytest.approx(100.0)


def test_golf_counts_compressed_syntax_trees_of_the_editable_modules_only() -> None:
    scores = [scored(MAXIMISED, 0.0, 1.0, 1.0)]
    text = "def f(x):\n    return x + 1\n"
    outcome = reward("golf", scores, modules={"model.py": text})
    assert outcome.parts["cost"]["A"] == module_code.size(text)
    assert outcome.parts["baseline_cost"]["A"] == 1000


def test_a_user_can_add_an_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectives, "_REGISTRY", dict(objectives._REGISTRY))

    @objectives.register("questions")
    def fewest(task: Task, scores: Sequence[Score], modules: Mapping[str, str]) -> objectives.Reward:
        return objectives.Reward(float(scores[0].results[0].questions))

    assert "questions" in objectives.names()
    assert reward("questions", [scored(MAXIMISED, 0.0, 1.0, 1.0)]).value == 1.0


def test_an_installed_package_adds_an_objective(monkeypatch: pytest.MonkeyPatch, install: Install) -> None:
    monkeypatch.setattr(objectives, "_REGISTRY", dict(objectives._REGISTRY))
    points = {"brevity": "brevity_objective:brevity", "gone": "brevity_objective:nothing"}
    source = (
        "from discoenv import objectives\n\n@objectives.register('brevity', measured=True)\n"
        "def brevity(task, scores, modules):\n    return objectives.Reward(1 / len(modules))\n\nnothing = None\n"
    )
    install("brevity", {"discoenv.objectives": points}, files={"brevity_objective.py": source})
    assert {"brevity", "gone", "energy"} <= set(objectives.names())
    with pytest.raises(UnknownName, match="did you mean 'brevity'"):
        objectives.get("brevty")
    assert objectives.get("brevity").measured
    assert reward("brevity", [], modules={"a.py": "", "b.py": ""}).value == 0.5
    with pytest.raises(EntryPointError, match=r"brevity 1\.2 does not register the objective 'gone'"):
        objectives.get("gone")


def test_an_unknown_objective_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="did you mean 'energy'"):
        objectives.get("enery")


class TestEnergyMeter:
    def test_counters_are_read_before_and_after(self) -> None:
        readings = iter([0.0, 2.0, 10.0, 110.0])
        meter = EnergyMeter(counters=[("package-0", "rapl", lambda: next(readings))])
        meter.start()
        energy = meter.stop(cpu_s=7.0)
        assert energy.joules == pytest.approx(100.0)
        assert energy.method == "rapl"
        assert energy.idle_watts == pytest.approx(2.0 / 0.2)

    def test_a_gpu_without_a_processor_counter_adds_an_estimate(self) -> None:
        readings = iter([0.0, 0.0, 0.0, 50.0])
        meter = EnergyMeter(counters=[("GPU-1", "nvml", lambda: next(readings))])
        meter.start()
        energy = meter.stop(cpu_s=1.0)
        assert energy.method == "estimate+nvml"
        assert energy.joules == pytest.approx(60.0)
        assert energy.uncertainty == 0.5

    def test_without_counters_it_is_an_estimate_and_says_so(self) -> None:
        meter = EnergyMeter(counters=[])
        meter.start()
        assert meter.stop(cpu_s=3.0) == Energy(30.0, "estimate", 0.5)

    def test_rapl_packages_are_found_and_wrap_around_is_undone(self, tmp_path: Path) -> None:
        for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "max_energy_range_uj").write_text("1000000\n")
            (tmp_path / name / "energy_uj").write_text("900000\n")
        counters = rapl_counters(tmp_path)
        assert [name for name, _, _ in counters] == ["intel-rapl:0", "intel-rapl:1"]
        read = counters[0][2]
        (tmp_path / "intel-rapl:0" / "energy_uj").write_text("100000\n")
        assert read() == pytest.approx(1.1)


WASTE = {
    "time": "import time; time.sleep(3)\n",
    "memory": "waste = b'x' * (1 << 30)\n",
    "energy": "import time; end = time.process_time() + 3\nwhile time.process_time() < end: pass\n",
    "golf": "".join(f"def waste_{number}(x):\n    return x + {number}\n" for number in range(40)),
}


@pytest.fixture
def play(toy: Domain, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(budgets, "start_s", lambda setting: 30.0)  # what is wasted is within the budget
    made: list[DiscoGenEnv] = []

    def submit(objective: str, modules: Mapping[str, str]) -> tuple[float, dict[str, Any], str]:
        changed = task.model_copy(update={"objective": objective, "baseline_scale": 0.5})
        env = DiscoGenEnv(task=changed, runs_dir=tmp_path / "runs")
        made.append(env)
        env.reset(seed=1)
        edits = [{"path": name, "content": text} for name, text in modules.items()]
        observation, reward, *_, info = env.step({"edits": edits, "command": "submit"})
        return float(reward), info, observation["text"]

    yield submit
    for env in made:
        env.close()


@pytest.mark.parametrize("objective", list(WASTE))
def test_a_wasteful_module_is_ranked_below_a_frugal_one(objective: str, play: Any, good: dict[str, str]) -> None:
    frugal, info, text = play(objective, good)
    wasteful, _, _ = play(objective, good | {"model.py": WASTE[objective] + good["model.py"]})
    assert frugal > wasteful > 0
    assert info["reward_parts"]["objective"] == objective
    assert info["reward_parts"]["passes"] == {"Wave": True}
    assert f"Objective {objective}" in text


def test_costs_are_compared_with_this_machines_own_baseline(play: Any, good: dict[str, str], tmp_path: Path) -> None:
    _, info, _ = play("time", good)
    (written,) = (tmp_path / "cache" / "discoenv" / "baselines").glob("*/Toy.json")
    assert info["reward_parts"]["baseline_cost"]["Wave"] > 0
    assert '"sandbox"' in written.read_text()
