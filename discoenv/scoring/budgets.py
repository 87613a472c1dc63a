"""Compute budgets: as much as the base modules need, several times, and an allowance for start and compilation."""

from __future__ import annotations

import math
from typing import Final

from discoenv.machine import packages, speed
from discoenv.scoring.baselines import Baseline
from discoenv.tasks.task import Setting

#: CPU seconds that importing a package may take, without compiled bytecode, and compiling a first program with it, on
#: the machine that measured the shipped baselines.
_START_S: Final = {
    "numpy": 2.0,
    "scipy": 1.0,
    "scikit-learn": 3.0,
    "statsmodels": 3.0,
    "torch": 10.0,
    "jax": 12.0,
    "flax": 4.0,
    "optax": 2.0,
    "gymnax": 4.0,
    "brax": 6.0,
    "craftax": 6.0,
}
#: An exam of several trainings starts a learner for each.
_STAGES: Final = 4.0


def budget_s(setting: Setting, entry: Baseline, local: Baseline | None, *, scale: float, on_gpu: bool = False) -> float:
    """The compute budget of an exam, in seconds: CPU seconds, or wall time on a GPU.

    Args:
        setting: what is examined.
        entry: the baseline that scores are normalised by; what it took counts unless there is a local one.
        local: the baseline as measured on this machine.
        scale: how many times what the base modules need may be spent.
        on_gpu: whether the exam is on a GPU.
    """
    slowness = speed.slowness()
    work = local.work_s if local is not None else entry.work_s * (max(1.0, slowness) if on_gpu else slowness)
    exact = max(0.01, start_s(setting) * slowness + scale * work)
    return max(setting.domain.specification.limits.minimum_budget_s, _rounded_up(exact))


def start_s(setting: Setting) -> float:
    """The allowance for start and compilation, in seconds on the machine that measured the shipped baselines."""
    specification = setting.domain.specification
    if specification.limits.start_s is not None:
        return specification.limits.start_s
    names = {*packages.names(specification.requirements), *specification.datasets[setting.dataset].packages}
    once = max(1.0, sum(_START_S.get(name, 0.0) for name in names))
    return once * (_STAGES if specification.exam.kind == "staged" else 1.0)


def _rounded_up(seconds: float) -> float:
    """To two digits that count."""
    step = 10.0 ** (math.floor(math.log10(seconds)) - 1)
    return round(math.ceil(seconds / step - 1e-9) * step, 6)
