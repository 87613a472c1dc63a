"""Evolution within one episode: each ``run`` examines one individual of :mod:`discoenv.agents.search.islands`.

For many episodes at the same time, and runs that can be resumed, see :mod:`discoenv.agents.search.evolution`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from discoenv.agents.loop import edits
from discoenv.agents.search.islands import Individual, Islands
from discoenv.agents.search.operators import AstOperator, OperatorFailed, Parent
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules


class EvolvingAgent:
    """Runs the base modules, then generations of one child per island; submits the best.

    Args:
        task: the task.
        seed: of the search.
        changes: mean number of changes per child; at least 1.
        islands, island_size, migration_every: see :class:`discoenv.agents.search.islands.Islands`.
    """

    def __init__(
        self,
        task: Task,
        *,
        seed: int,
        changes: float = 1.5,
        islands: int = 2,
        island_size: int = 6,
        migration_every: int = 4,
    ) -> None:
        self._base = base_modules(task)
        self._operator = AstOperator(task, changes=changes)
        self._islands = Islands(islands, island_size, migration_every)
        self._rng = np.random.default_rng(seed)
        self._generation = 0
        self._born = [Individual(0, 0, 0, self._base)]
        self._waiting = list(self._born)
        self._running: Individual | None = None

    def act(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
        """The next action, given the latest observation and info; the first call starts an episode."""
        if self._running is not None:
            self._running.score, self._running.reward = info.get("score"), info.get("meta_train_reward")
            self._running = None
        may_run = observation["steps_left"] > 1
        if not self._waiting or not may_run:
            self._end_generation(breed=may_run)
        if not self._waiting or not may_run:
            best = self._islands.best
            return {"edits": edits(best.modules if best else self._base), "command": "submit"}
        self._running = self._waiting.pop(0)
        return {"edits": edits(self._running.modules), "command": "run"}

    def describe(self, action: Mapping[str, Any], files: Mapping[str, str]) -> tuple[str, list[dict[str, str]]]:
        """For people: a title of the latest action, and what it changes in ``files``."""
        changed = [edit for edit in action["edits"] if files[edit["path"]] != edit["content"]]
        running = self._running
        return (f"generation {running.generation}, individual {running.number}" if running else "submit"), changed

    def _end_generation(self, *, breed: bool) -> None:
        """Let the individuals of this generation join their islands, and make the next one."""
        self._islands.add_generation(self._generation, self._born)
        self._generation += 1
        self._born = self._children() if breed else []
        self._waiting = list(self._born)

    def _children(self) -> list[Individual]:
        """One child per island, as far as changes lead to any."""
        known = [each.modules for members in self._islands.members for each in members]
        children = []
        for island in range(len(self._islands.members)):
            number = 1 + (self._generation - 1) * len(self._islands.members) + island
            parents = [Parent(each.modules, each.score) for each in self._islands.parents(island, self._rng)]
            for _ in range(self._operator.attempts):
                try:
                    proposal = self._operator.propose(parents, self._rng, label=f"individual {number}")
                except OperatorFailed:
                    break
                if proposal.modules not in known:
                    known.append(proposal.modules)
                    children.append(Individual(number, self._generation, island, proposal.modules))
                    break
        return children
