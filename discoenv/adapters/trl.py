"""TRL: environments for ``GRPOTrainer(environment_factory=…, reward_funcs=…)``.

::

    with SessionHost(scale="tiny") as host:
        trainer = GRPOTrainer(model, args=config, train_dataset=rows(host, 64), **trl_arguments(host))
        trainer.train()

Nothing here imports TRL: it takes any object with the right methods, and its own function for schemas needs
``transformers`` alone.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from discoenv.adapters.functions import as_method
from discoenv.adapters.session import Outcome, Session, SessionHost
from discoenv.errors import Inconclusive, ToolError
from discoenv.tools import TOOLS

#: What the prompt of a row says; the task's text is added to it when the rollout begins.
PROMPT: Final = "Discover a machine-learning algorithm. Use the tools, and submit at the end."


class _Environment:
    """One rollout at a time. Its public methods are ``reset`` and the tools, since TRL offers all of them to the model.

    Args:
        host: opens the episodes.
        seeds: gives the seeds of rows that have none.
    """

    def __init__(self, host: SessionHost, seeds: Callable[[], int]) -> None:
        self._host = host
        self._seeds = seeds
        self._session: Session | None = None
        self._failure: Inconclusive | None = None

    def reset(self, **row: Any) -> str | None:
        """Begin an episode: of the row's ``task`` (a name, or a mapping), with its ``seed``. Without, one is sampled.

        Args:
            row: the columns of the dataset.

        Returns:
            What the model should read.
        """
        if self._session is not None:
            self._session.close()
            self._session = None
        self._failure = None
        seed = self._seeds() if row.get("seed") is None else int(row["seed"])
        try:
            self._session = self._host.open(row.get("task") or f"train-{seed}", seed=seed)
        except Inconclusive as error:  # an episode without a reward
            self._failure = error
            return f"The environment is not available: {error}"
        self._session.played_by("trl", {})
        return self._session.introduction

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> str:
        if self._session is None:
            raise ToolError("there is no episode")
        try:
            result = await self._session.acall(name, arguments)
        except Inconclusive as error:
            self._failure = error
            raise
        if not (result.ok or result.stepped):
            raise ToolError(result.text)
        return result.text

    async def _reward(self) -> Outcome | None:
        if self._session is None or self._failure is not None:
            return None
        try:
            return await self._session.areward()
        except Inconclusive as error:
            self._failure = error
            return None


DiscoenvEnvironment = type(
    "DiscoenvEnvironment",
    (_Environment,),
    {
        **{tool.name: as_method(tool, "DiscoenvEnvironment", _Environment._call) for tool in TOOLS},
        "__doc__": _Environment.__doc__,
    },
)


async def discoenv_reward(environments: list[Any], **_: Any) -> list[float | None]:
    """The reward of each rollout, once: a reward function for TRL.

    If the agent has not submitted, its best run is submitted. None, which TRL leaves out of its means, is the reward of
    an episode at which the machine failed.
    """
    outcomes = [await environment._reward() for environment in environments]
    return [None if outcome is None else outcome.reward for outcome in outcomes]


def trl_arguments(host: SessionHost, *, first_seed: int = 0) -> dict[str, Any]:
    """``environment_factory`` and ``reward_funcs`` of ``GRPOTrainer``.

    Args:
        host: opens the episodes; close it after the training.
        first_seed: seed of the first row that has none; the next one has the next, and so on.
    """
    numbers, lock = itertools.count(first_seed), threading.Lock()

    def seed() -> int:
        with lock:
            return next(numbers)

    return {"environment_factory": lambda: DiscoenvEnvironment(host, seed), "reward_funcs": [discoenv_reward]}


def rows(host: SessionHost, count: int, *, split: str = "train", first: int = 0) -> list[dict[str, Any]]:
    """Rows of a training set, for ``datasets.Dataset.from_list``: ``prompt``, ``task`` and ``seed``."""
    entries = host.tasks(split, count, first=first)
    return [
        {"prompt": [{"role": "user", "content": PROMPT}], "task": entry.name, "seed": entry.seed} for entry in entries
    ]
