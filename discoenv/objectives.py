"""What an episode's reward is made of: a registry of functions from meta-test scores to one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from discoenv.exams.scores import DatasetScore
from discoenv.tasks.config import TaskConfig
from discoenv.tasks.domain import UnknownName

#: Normalised scores are clipped to this range before they are averaged, so that one dataset cannot decide alone.
CLIP = (-1.0, 10.0)


@dataclass(frozen=True)
class Reward:
    """A reward and what it was computed from, for ``info["reward"]``."""

    value: float
    parts: Mapping[str, Any] = field(default_factory=dict)


#: (task, scores of the meta-test datasets, module texts by file name) -> reward.
RewardFunction = Callable[[TaskConfig, Sequence[DatasetScore], Mapping[str, str]], Reward]

_REGISTRY: dict[str, RewardFunction] = {}


def register(name: str) -> Callable[[RewardFunction], RewardFunction]:
    """Register an objective under ``name``; use as a decorator. An existing name is replaced."""

    def add(function: RewardFunction) -> RewardFunction:
        _REGISTRY[name] = function
        return function

    return add


def get(name: str) -> RewardFunction:
    """The objective called ``name``.

    Raises:
        UnknownName: there is none; the message suggests one.
    """
    if name not in _REGISTRY:
        raise UnknownName("objective", name, names())
    return _REGISTRY[name]


def names() -> list[str]:
    """Names of all objectives."""
    return sorted(_REGISTRY)


@register("performance")
def performance(task: TaskConfig, scores: Sequence[DatasetScore], modules: Mapping[str, str]) -> Reward:
    """Mean over meta-test datasets of the normalised score n_d, each clipped to [−1, 10]."""
    clipped = {score.dataset: float(np.clip(score.normalised, *CLIP)) for score in scores}
    return Reward(float(np.mean(list(clipped.values()))), {"objective": "performance", "clipped": clipped})
