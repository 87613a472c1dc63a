"""Scores a folder of modules on the meta-test datasets of a task: what a verifier of another framework runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gymnasium.utils import seeding

from discoenv import objectives
from discoenv.episodes.action import Edit, apply_edits
from discoenv.episodes.episode import EpisodeLimits
from discoenv.episodes.evaluation import Evaluation
from discoenv.errors import ActionError, RunError
from discoenv.exams.host import Host
from discoenv.exams.spec import Progress
from discoenv.scoring.scores import Scoring
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import initial_modules


@dataclass(frozen=True)
class FolderScore:
    """What the modules of a folder are worth.

    Attributes:
        reward: as an episode that submits them with the same seed and secret is rewarded.
        normalised: score by dataset.
        valid: share of the exams that were passed through to their end, from 0 to 1.
        isolated: whether the sandbox kept the modules from the examiner.
        refused: modules that could not be taken, and why; they count as they were at the start.
    """

    reward: float
    normalised: Mapping[str, float]
    valid: float
    isolated: bool
    refused: Mapping[str, str]

    def numbers(self) -> dict[str, float]:
        """It as a flat object of finite numbers, the form that Harbor reads."""
        mean = sum(self.normalised.values()) / len(self.normalised)
        each = {f"normalised/{dataset}": score for dataset, score in self.normalised.items()}
        return {"reward": self.reward, "score": mean, "valid": self.valid, "isolated": float(self.isolated), **each}


def modules_of(folder: Path, task: Task) -> tuple[dict[str, str], dict[str, str]]:
    """The task's modules as a folder has them: text by file name, and why others than these were refused.

    What is missing, not UTF-8, too long, or imports what modules may not import, stays as it was at the start.

    Raises:
        RunError: there is no such folder.
    """
    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder; it must hold the modules of the task, such as model.py")
    modules, refused = initial_modules(task), {}
    importable = task.resolve().importable
    for name in list(modules):
        path = folder / name
        try:
            if path.is_symlink() or not path.is_file():
                raise ActionError("there is no such file" if not path.is_symlink() else "it is a link")
            limit = EpisodeLimits.max_file_bytes
            with path.open("rb") as file:
                text = file.read(limit + 1).decode("utf-8")
            modules = apply_edits(modules, [Edit(name, content=text)], limit, importable)
        except (ActionError, UnicodeDecodeError) as error:
            refused[name] = str(error)
    return modules, refused


def score_folder(
    folder: Path,
    task: Task,
    host: Host,
    *,
    seed: int = 0,
    scoring: Scoring = Scoring(),  # noqa: B008 - it cannot be changed
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> FolderScore:
    """Train and examine the modules of a folder on the meta-test datasets of a task.

    Args:
        folder: holds a file per editable module.
        task: the task.
        host: where exams run; with its secret, ``seed`` fixes the held-out data.
        seed: as of :meth:`discoenv.env.DiscoGenEnv.reset`.
        scoring: what scores are compared with, and what they are worth.
        on_progress: called at the start and the end of each exam.

    Raises:
        RunError: there is no such folder.
        InfraError: the machine failed: no score.
        MissingHere: this machine lacks what the task needs.
    """
    modules, refused = modules_of(folder, task)
    objective = objectives.get(task.objective)
    evaluation = Evaluation(
        task,
        host,
        seed=int(seeding.np_random(seed)[0].integers(2**63)),
        budget_scale=EpisodeLimits.budget_scale,
        costs=objective.measured,
        scoring=scoring,
        on_progress=on_progress,
    )
    with contextlib.closing(evaluation):
        scores = evaluation.examine(modules, "meta_test")
    results = [result for score in scores for result in score.results]
    return FolderScore(
        reward=objectives.compute(objective.reward, task, scores, modules).value,
        normalised={score.dataset: score.normalised for score in scores},
        valid=sum(result.status == "ok" for result in results) / len(results),
        isolated=host.sandbox.isolated,
        refused=refused,
    )
