"""What rewards are made of: a registry of functions from the scores of a side to one number.

``performance`` rewards the score itself, by one of the :data:`TRANSFORMS` of normalised scores. ``time``, ``energy``,
``memory`` and ``golf`` reward a low cost among solutions whose score passes a threshold, compared with the cost of the
baseline, measured on the same machine.

Installed packages declare further ones by entry points of the group ``discoenv.objectives``
(:mod:`discoenv.machine.entry_points`), which name functions with the decorator :func:`register`.

Importing this is cheap, because help texts and workspaces name objectives: NumPy is imported by what computes a reward.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from discoenv import arguments
from discoenv.errors import RewardFailed, UnknownName
from discoenv.machine import entry_points
from discoenv.text import printable, shown

if TYPE_CHECKING:
    from discoenv.exams.result import ExamResult
    from discoenv.scoring.baselines import Baseline
    from discoenv.scoring.scores import Score
    from discoenv.tasks.task import Task

#: What an exam is worth to ``performance``, given its normalised score; see :func:`ordered` and :func:`worth`.
Transform = Literal["ordered", "linear"]
TRANSFORMS: Final[tuple[Transform, ...]] = get_args(Transform)
#: What an exam that failed is worth in :func:`ordered`: less than any that was passed through to its end.
FAILED: Final = -1.0
#: Normalised scores are clipped to this range by ``linear``, so that one dataset cannot decide alone.
CLIP = (-1.0, 10.0)
#: Ratios of costs are clipped to this range.
RATIO_CLIP = (0.0, 100.0)
#: Scores below this are worth the same in :func:`ordered`, because floating-point numbers end at −1 there.
_LOWEST: Final = -1e15


def ordered(normalised: float) -> float:
    """What an exam that was passed is worth: n/(1 − n) below the floor, n up to the baseline, 1 + ln n above it.

    It keeps the order of scores, has no corner at 0 and none at 1, and lies above :data:`FAILED` for every number, so
    that no module gains anything by failing on purpose, and no exam outweighs the others by exploding.

    Examples:
        >>> [round(ordered(n), 3) for n in (-1e6, -1.0, 0.0, 0.5, 1.0, 10.0)]
        [-1.0, -0.5, 0.0, 0.5, 1.0, 3.303]
    """
    if normalised < 0:
        bounded = max(normalised, _LOWEST)
        return bounded / (1 - bounded)
    return normalised if normalised <= 1 else 1 + math.log(min(normalised, sys.float_info.max))


def worth(normalised: Sequence[float], valid: Sequence[bool], transform: Transform) -> float:
    """What the exams of one dataset are worth.

    Args:
        normalised: score of each exam, n = (metric − floor) / (baseline − floor); that of a failed exam is not used by
            ``ordered``, and counts as it is for ``linear``.
        valid: whether each exam was passed through to its end, with a number for its metric.
        transform: ``ordered``: the mean over exams of :func:`ordered`, a failed one being worth −1. ``linear``: the
            mean of n, then clipped to [−1, 10]; failed exams are worth the floor there, and thus more than bad ones.

    Raises:
        ValueError: there is no such transform.
    """
    if transform == "ordered":
        each = [ordered(n) if ok else FAILED for n, ok in zip(normalised, valid, strict=True)]
        return math.fsum(each) / len(each)
    if transform == "linear":
        return min(max(math.fsum(normalised) / len(normalised), CLIP[0]), CLIP[1])
    raise ValueError(f"transform is {transform!r}; known are {', '.join(TRANSFORMS)}")


@dataclass(frozen=True)
class Reward:
    """A reward and what it was computed from, for ``info["reward_parts"]``."""

    value: float
    parts: Mapping[str, Any] = field(default_factory=dict)


#: (task, scores of a side's datasets, module texts by file name) -> reward. An episode is rewarded for its meta-test
#: side; a ``run`` reports what the meta-train side would be worth.
RewardFunction: TypeAlias = "Callable[[Task, Sequence[Score], Mapping[str, str]], Reward]"
#: The same, but the value of the reward alone will do.
SimpleRewardFunction: TypeAlias = "Callable[[Task, Sequence[Score], Mapping[str, str]], Reward | float]"


@dataclass(frozen=True)
class Objective:
    """A registered objective.

    Attributes:
        name: what tasks call it.
        reward: computes the reward of an episode.
        description: one line about the reward.
        cost: what the agent should save, as a phrase for the task's description; empty: nothing.
        measured: whether it compares costs with the baseline's, measured on this machine.
        failure: what an episode counts as whose agent failed before it had a reward: the lowest reward that there is.
    """

    name: str
    reward: RewardFunction
    description: str = ""
    cost: str = ""
    measured: bool = False
    failure: float = 0.0


#: Entry points of this group name functions with the decorator :func:`register`.
GROUP = "discoenv.objectives"
_REGISTRY: dict[str, Objective] = {}


def register(
    name: str, *, description: str = "", cost: str = "", measured: bool = False, failure: float = 0.0
) -> Callable[[RewardFunction], RewardFunction]:
    """Register an objective under ``name``; use as a decorator. An existing name is replaced.

    Args:
        name: what tasks call it.
        description: one line about the reward; default: the first line of the function's docstring.
        cost: what the agent should save, in words, such as ``peak memory of the training process``.
        measured: whether ``score.cost_entry``, this machine's own baseline, must be there for each dataset.
        failure: what an episode counts as whose agent failed before it had a reward.
    """

    def add(function: RewardFunction) -> RewardFunction:
        line = description or (function.__doc__ or "").strip().partition("\n")[0]
        _REGISTRY[name] = Objective(name, function, line, cost, measured, failure)
        return function

    return add


def get(name: str) -> Objective:
    """The objective called ``name``.

    Raises:
        UnknownName: there is none; the message suggests one.
        EntryPointError: an installed package declares it, but it cannot be imported or does not register that name.
    """
    if name not in _REGISTRY and name in entry_points.find(GROUP):
        extension = entry_points.find(GROUP)[name]
        extension.load()
        if name not in _REGISTRY:
            raise extension.error(f"does not register the objective {name!r} when it is imported")
    if name not in _REGISTRY:
        raise UnknownName("objective", name, names())
    return _REGISTRY[name]


def names() -> list[str]:
    """Names of all objectives, those of installed packages included; nothing is imported."""
    return sorted({*_REGISTRY, *entry_points.find(GROUP)})


def compute(function: SimpleRewardFunction, task: Task, scores: Sequence[Score], modules: Mapping[str, str]) -> Reward:
    """What a reward function makes of the scores of a side: its :class:`Reward`, or one of the number it returned.

    Raises:
        RewardFailed: it raised, or returned something else, or a reward that is not finite.
    """
    name = function_name(function)
    try:
        returned: Any = function(task, scores, modules)
        parts = dict(returned.parts) if isinstance(returned, Reward) else {}
    except Exception as error:  # the user's own code
        reason = printable(f"{type(error).__name__}: {error}")
        raise RewardFailed(f"the reward function {name} raised {reason}") from error
    value = arguments.as_number(returned.value if isinstance(returned, Reward) else returned)
    if value is None:
        raise RewardFailed(f"the reward function {name} returned {shown(returned)}; a reward is a finite number")
    return Reward(value, parts)


def function_name(function: Any) -> str:
    """A function as ``package.module:name``, another object that can be called by its type."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def passes(score: Score, baseline_scale: float) -> bool:
    """Whether a dataset's score reaches floor + baseline_scale · (baseline − floor) in the metric's direction.

    False if an exam failed, or if its metric is not a number.
    """
    return score.ok and all(score.valid) and score.normalised >= baseline_scale


@register("performance", failure=FAILED)
def performance(task: Task, scores: Sequence[Score], modules: Mapping[str, str]) -> Reward:
    """Mean over meta-test datasets of what exams are worth: failed −1 < floor 0 < baseline 1 < better 1 + ln n."""
    outcomes = {score.dataset: score.outcome for score in scores}
    parts = {
        "objective": "performance",
        "transform": scores[0].transform,
        "outcomes": outcomes,
        "valid": {score.dataset: score.valid_share for score in scores},
    }
    return Reward(math.fsum(outcomes.values()) / len(outcomes), parts)


@register("time", cost="seconds of training and answering", measured=True)
def time(task: Task, scores: Sequence[Score], modules: Mapping[str, str]) -> Reward:
    """Seconds of training and answering per exam, beside the baseline's."""

    def seconds(result: ExamResult) -> float:
        return math.inf if result.seconds is None else result.seconds

    return _cost_ratio("time", "s", task, scores, lambda score: _mean(score, seconds), lambda entry: entry.seconds.mean)


@register("energy", cost="energy drawn while training and answering", measured=True)
def energy(task: Task, scores: Sequence[Score], modules: Mapping[str, str]) -> Reward:
    """Joules per exam, beside the baseline's by the same method."""
    return _cost_ratio(
        "energy",
        "J",
        task,
        scores,
        lambda score: _mean(score, lambda result: result.energy.joules),
        lambda entry: entry.joules.mean,
    )


@register("memory", cost="peak memory of the training process and its children", measured=True)
def memory(task: Task, scores: Sequence[Score], modules: Mapping[str, str]) -> Reward:
    """Peak memory of the learner's processes, scratch files and GPU memory included, beside the baseline's."""
    return _cost_ratio(
        "memory",
        "bytes",
        task,
        scores,
        lambda score: _mean(score, lambda result: float(result.total_memory_bytes)),
        lambda entry: entry.peak_memory_bytes.mean,
    )


@register("golf", cost="bytes of the compressed syntax trees of the files that you may edit")
def golf(task: Task, scores: Sequence[Score], modules: Mapping[str, str]) -> Reward:
    """Size of all editable modules, beside that of their base implementations.

    The size of a module is that of its compressed syntax tree, see :func:`discoenv.module_code.size`.
    """
    from discoenv import module_code

    size = float(sum(map(module_code.size, modules.values())))
    return _cost_ratio(
        "golf",
        "bytes",
        task,
        scores,
        lambda score: size,
        lambda entry: float(sum(entry.code_bytes[name] for name in modules)),
    )


def _cost_ratio(
    name: str,
    unit: str,
    task: Task,
    scores: Sequence[Score],
    cost: Callable[[Score], float],
    baseline_cost: Callable[[Baseline], float],
) -> Reward:
    """0 if any dataset fails :func:`passes`; else the geometric mean of baseline cost / cost, each in [0, 100]."""
    import numpy as np

    parts: dict[str, Any] = {"objective": name, "unit": unit, "baseline_scale": task.baseline_scale}
    for key in ("passes", "threshold", "cost", "baseline_cost", "ratio"):
        parts[key] = {}
    for score in scores:
        entry = score.cost_entry or score.entry
        spent, reference = cost(score), baseline_cost(entry)
        span = score.entry.baseline.mean - score.entry.floor.mean
        parts["passes"][score.dataset] = passes(score, task.baseline_scale)
        parts["threshold"][score.dataset] = score.entry.floor.mean + task.baseline_scale * span
        parts["cost"][score.dataset] = spent
        parts["baseline_cost"][score.dataset] = reference
        parts["ratio"][score.dataset] = float(np.clip(reference / max(spent, 1e-12), *RATIO_CLIP))
    if not all(parts["passes"].values()):
        return Reward(0.0, parts)
    ratios = np.array(list(parts["ratio"].values()))
    value = float(np.exp(np.mean(np.log(np.maximum(ratios, 1e-12)))))
    return Reward(value, parts)


def _mean(score: Score, cost: Callable[[ExamResult], float]) -> float:
    import numpy as np

    return float(np.mean([cost(result) for result in score.results]))
