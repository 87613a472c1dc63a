"""What ``run_main.py`` and ``discoenv exam`` print of an exam, with DiscoGen's names and units.

Under an objective that saves a cost, each metric has a target, and a key ``Exceeded Threshold For <metric>`` says if it
is met. DiscoGen's target is ``baseline_scale`` times the baseline; ours is that part of the way from the floor to the
baseline, which is the same for a metric to maximise whose floor is 0, and at ``baseline_scale`` 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from discoenv import module_code
from discoenv.exams.result import ExamResult
from discoenv.scoring import baselines
from discoenv.scoring.baselines import Baseline
from discoenv.tasks.task import Setting, TaskSide
from discoenv.tasks.workspace import DISCOVERED

_GIB: Final = 2.0**30
_JOULES_PER_KWH: Final = 3.6e6
#: Key of the total size of the files in ``discovered/``; DiscoGen puts it among the datasets.
GOLF: Final = "Code Golf Score (Bytes)"


@dataclass(frozen=True)
class _Cost:
    """One figure: its key, its value in an exam, and in a baseline."""

    key: str
    of_exam: Callable[[ExamResult], float]
    of_baseline: Callable[[Baseline], float]


_COSTS: Final = {
    "time": (_Cost("time_to_completion (s)", lambda result: result.seconds or 0.0, lambda entry: entry.seconds.mean),),
    "energy": (
        _Cost(
            "Energy (kWh)",
            lambda result: result.energy.joules / _JOULES_PER_KWH,
            lambda entry: entry.joules.mean / _JOULES_PER_KWH,
        ),
        _Cost("Energy (J)", lambda result: result.energy.joules, lambda entry: entry.joules.mean),
    ),
    "memory": (
        _Cost(
            "RAM (GB)",
            lambda result: result.peak_memory_bytes / _GIB,
            lambda entry: entry.peak_memory_bytes.mean / _GIB,
        ),
    ),
}


def row(task: TaskSide, setting: Setting, result: ExamResult, reference: Baseline | None = None) -> dict[str, Any]:
    """What is printed of an exam that was passed.

    Args:
        task: whose objective and ``baseline_scale`` count.
        setting: the dataset's.
        result: the exam.
        reference: the baseline as measured on this machine, whose costs are printed beside; None: it was not.

    Returns:
        The metrics, ``seconds``, and under an objective that saves a cost: for each metric ``Target For <metric>`` and
        ``Exceeded Threshold For <metric>``; the cost by DiscoGen's key (GB are of 2³⁰ bytes); and ``Baseline <key>``.

    Raises:
        NoBaseline: a target is needed, and the dataset has no baseline.
    """
    found: dict[str, Any] = {**(result.metrics or {}), "seconds": result.seconds}
    if task.objective == "performance":
        return found
    for metric, (floor, baseline) in baselines.bounds(setting, result.device).items():
        target = floor + task.baseline_scale * (baseline - floor)
        value = (result.metrics or {})[metric.name]
        found[f"Target For {metric.name}"] = target
        found[f"Exceeded Threshold For {metric.name}"] = metric.sign * value >= metric.sign * target
    for cost in _COSTS.get(task.objective, ()):
        found[cost.key] = cost.of_exam(result)
        if reference is not None:
            found[f"Baseline {cost.key}"] = cost.of_baseline(reference)
    if task.objective == "energy":
        found["Energy method"] = result.energy.method
    if task.objective == "memory" and result.peak_gpu_memory_bytes:
        found["GPU Memory (GB)"] = result.peak_gpu_memory_bytes / _GIB
    return found


def golf(workspace: Path) -> int:
    """Bytes of the files in ``discovered/``, as DiscoGen counts them."""
    return sum(path.stat().st_size for path in (workspace / DISCOVERED).rglob("*") if path.is_file())


def sizes(task: TaskSide, workspace: Path) -> Mapping[str, int]:
    """What the objective ``golf`` counts: the compressed syntax trees of the editable modules, and of their bases."""
    names = [f"{module}.py" for module in task.modules]
    domain = task.resolve()
    bases = [domain.module_text(module, backend=task.backend, start="base") for module in task.modules]
    return {
        "Size (Bytes)": sum(module_code.size((workspace / DISCOVERED / name).read_text("utf-8")) for name in names),
        "Baseline Size (Bytes)": sum(map(module_code.size, bases)),
    }
