"""How many exams a dataset needs so that its score is known well enough: what ``"auto"`` means for numbers of seeds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from discoenv.scoring import baselines
from discoenv.tasks.task import Setting, Side, Task

#: Standard error of a dataset's normalised score that is aimed at.
STANDARD_ERROR: Final = 0.15
#: Exams per dataset at most.
MOST: Final = 5
#: Seconds that the exams of one dataset may take in a step, by the seconds of its baseline.
STEP_S: Final = 600.0


def recommended(setting: Setting, device: str = "cpu") -> int:
    """The least number of exams whose mean normalised score has a standard error of at most 0.15, within a step's
    budget.

    The spread of one exam is taken from the baseline's values over seeds. With one value it is not known: the number is
    1.

    Args:
        setting: the dataset, at a backend and a scale.
        device: what learners train on.

    Returns:
        1 to 5; less than the error asks for where more would take longer than 600 s.

    Raises:
        NoBaseline: the dataset has not been calibrated.
    """
    entry = baselines.entry(setting, device)
    if len(entry.baseline.values) < 2:
        return 1
    spread = entry.baseline.std / entry.scale(setting.metric.sign)
    wanted = math.ceil(min((spread / STANDARD_ERROR) ** 2, MOST))
    affordable = math.floor(STEP_S / entry.seconds.mean) if entry.seconds.mean > 0 else MOST
    return max(1, min(wanted, affordable, MOST))


def of_side(task: Task, side: Side, device_of: Callable[[Setting], str] = lambda setting: "cpu") -> int:
    """The number that all datasets of a side have: the largest that is recommended for one of them.

    Args:
        task: the task.
        side: which side.
        device_of: what learners of a setting train on.

    Raises:
        NoBaseline: a dataset has not been calibrated.
    """
    settings = [task.setting(dataset) for dataset in getattr(task, side)]
    return max(recommended(setting, device_of(setting)) for setting in settings)
