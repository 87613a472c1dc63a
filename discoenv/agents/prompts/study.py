"""A study: searches for a better prompt over several numbers of tasks, and tests of the prompts on held-out tasks."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discoenv.agents.llm import best_of_n, react
from discoenv.agents.prompts.episodes import Assignment, EpisodePlayer, Player
from discoenv.agents.prompts.optimise import Optimised, Reflector, most_episodes, optimise, require_gepa
from discoenv.machine import atomic
from discoenv.tasks.task import Task


@dataclass(frozen=True)
class StudySettings:
    """What defines a run; ``settings.json``.

    Attributes:
        agent: ``react`` or ``best_of_n``.
        model: the options that decide how the agent plays; fields of
            :class:`discoenv.agents.prompts.study_options.AgentModelOptions`.
        prompt: the first prompt.
        ks: numbers of training tasks, one search for each.
        training, held_out: tasks (as plain values) with the seeds of their episodes; a search takes the first k.
    """

    agent: str
    model: dict[str, Any]
    prompt: str
    ks: list[int]
    rounds: int
    minibatch: int
    max_steps: int
    seed: int
    training: list[dict[str, Any]]
    held_out: list[dict[str, Any]]

    def assignments(self, tasks: Sequence[dict[str, Any]]) -> list[Assignment]:
        """Tasks and seeds as objects."""
        return [Assignment(Task.parse(each["task"]), each["seed"]) for each in tasks]

    def budget(self) -> dict[str, int]:
        """The most that the run can spend: episodes, answers of models, tokens."""
        searches = [most_episodes(k, rounds=self.rounds, minibatch=self.minibatch) for k in self.ks]
        episodes = sum(searches) + len(self.held_out) * (1 + len(self.ks))
        reflections = self.rounds * len(self.ks)
        return {
            "episodes": episodes,
            "calls": episodes * self.model["max_calls"] + reflections,
            "tokens": episodes * self.model["max_tokens"] + reflections * self.model["context_tokens"],
        }

    def player(self) -> Player:
        """The function that plays an episode with a prompt."""
        if self.agent == "react":
            return react.play
        return functools.partial(best_of_n.play, samples=self.max_steps - 1)

    def save(self, directory: Path) -> None:
        """Write ``settings.json``."""
        atomic.write_text(directory / "settings.json", json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, directory: Path) -> StudySettings:
        """Read ``settings.json``.

        Raises:
            OSError, TypeError, ValueError: the folder is not a run of this program.
        """
        return cls(**json.loads((directory / "settings.json").read_text(encoding="utf-8")))


def run_study(
    directory: Path, settings: StudySettings, player: EpisodePlayer, reflector: Callable[[Path], Reflector]
) -> dict[str, Any]:
    """All searches, then the tests on held-out tasks.

    Args:
        directory: of the run.
        settings: what defines it.
        player: plays episodes.
        reflector: makes one for the folder of a search.

    Returns:
        The content of ``study.json``.

    Raises:
        PackageMissing: the package gepa is not installed.
        EpisodeSpoilt, BudgetSpent: as :func:`discoenv.agents.prompts.optimise.optimise`; call again to go on.
    """
    require_gepa()
    training, held_out = (settings.assignments(tasks) for tasks in (settings.training, settings.held_out))
    rows = [_row(0, Optimised(settings.prompt, math.nan, math.nan, [settings.prompt], []), held_out, player)]
    for k in settings.ks:
        folder = directory / f"k{k:02d}"
        found = optimise(
            folder,
            training[:k],
            player,
            reflector(folder),
            prompt=settings.prompt,
            rounds=settings.rounds,
            minibatch=settings.minibatch,
            seed=settings.seed,
        )
        rows.append(_row(k, found, held_out, player))
    study = {"budget": settings.budget(), "held_out_tasks": [each.task.task_id for each in held_out], "rows": rows}
    atomic.write_text(directory / "study.json", json.dumps(study, indent=1) + "\n")
    return study


def _row(k: int, found: Optimised, held_out: Sequence[Assignment], player: EpisodePlayer) -> dict[str, Any]:
    """One prompt's scores; k = 0 is the prompt that the searches began with."""
    rewards = [episode.reward for episode in player.play(held_out, found.prompt)]
    count = len(rewards)
    return {
        "k": k,
        "prompt": found.prompt,
        "training_score": None if k == 0 else found.score,
        "training_score_before": None if k == 0 else found.seed_score,
        "accepted": len(found.prompts) - 1,
        "held_out": rewards,
        "held_out_mean": float(np.mean(rewards)),
        "held_out_se": float(np.std(rewards, ddof=1) / math.sqrt(count)) if count > 1 else None,
    }
