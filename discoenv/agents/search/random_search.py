"""An agent without a language model: random changes of the base modules, keeping what scores better.

It is the floor for agents that read and think: hill climbing on the meta-train score over the changes of
:mod:`discoenv.agents.search.mutations`. It works on any domain that has base modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from discoenv.agents.loop import edits
from discoenv.agents.search.mutations import Mutation, NothingToMutate, mutate
from discoenv.episodes.record import best_run
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules

_ATTEMPTS = 100


@dataclass(frozen=True)
class Trial:
    """Modules that were run.

    Attributes:
        changes: what was changed to get them.
        score: mean normalised meta-train score; −∞ if there is none.
        reward: what the task's objective makes of the meta-train scores: for costs, 0 below the threshold.
        full: it was run on all meta-train datasets.
    """

    modules: dict[str, str]
    changes: tuple[str, ...]
    score: float
    reward: float
    full: bool = True


class RandomSearch:
    """Runs the base modules, then random changes of the best so far; submits the best.

    Args:
        task: the task, as ``info["task"]`` holds it.
        seed: of the changes.
        changes: mean number of places that one candidate changes; at least 1.

    Attributes:
        trials: what was run, in order.
    """

    def __init__(self, task: Task | Mapping[str, Any], *, seed: int = 0, changes: float = 1.5) -> None:
        if changes < 1:
            raise ValueError(f"changes is {changes}; a candidate that changes nothing is none")
        self._task = Task.parse(dict(task) if isinstance(task, Mapping) else task)
        self._configuration = self._task.resolve().config(self._task.meta_train[0], self._task.scale)
        self._rng = np.random.default_rng(seed)
        self._changes = changes
        self._seen: set[tuple[str, ...]] = set()
        self._running: Mutation | None = None
        self.trials: list[Trial] = []

    def act(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
        """The next action, given the latest observation and info; the first call starts an episode."""
        if self._running is not None:
            score, reward = (float(info.get(key, -np.inf)) for key in ("score", "meta_train_reward"))
            self.trials.append(Trial(self._running.modules, self._running.changes, score, reward))
            self._running = None
        if observation["steps_left"] > 1:
            self._running = self._next()
        if self._running is None:
            modules = self.best.modules if self.trials else base_modules(self._task)
            return {"edits": edits(modules), "command": "submit"}
        return {"edits": edits(self._running.modules), "command": "run"}

    def describe(self, action: Mapping[str, Any], files: Mapping[str, str]) -> tuple[str, list[dict[str, str]]]:
        """For people: a title of the latest action, and its changes of the best modules so far."""
        if action["command"] == "submit":
            return f"submit candidate {self.trials.index(self.best) + 1 if self.trials else 0}", []
        if not self.trials:
            return "candidate 1: the base modules", []
        changed = [edit for edit in action["edits"] if files[edit["path"]] != edit["content"]]
        return f"candidate {len(self.trials) + 1}: a change of the best", changed

    @property
    def best(self) -> Trial:
        """The best trial so far; see :func:`discoenv.episodes.record.best_run`."""
        best = best_run(self.trials)
        assert best is not None
        return best

    def _next(self) -> Mutation | None:
        """Modules that were not run yet; None if no change leads to any."""
        if not self.trials:
            return self._remembered(Mutation(base_modules(self._task), ()))
        for _ in range(_ATTEMPTS):
            count = int(self._rng.geometric(1 / self._changes))
            try:
                mutation = mutate(self.best.modules, self._rng, changes=count, configuration=self._configuration)
            except NothingToMutate:
                return None
            if tuple(mutation.modules.values()) not in self._seen:
                return self._remembered(mutation)
        return None

    def _remembered(self, mutation: Mutation) -> Mutation:
        self._seen.add(tuple(mutation.modules.values()))
        return mutation
