"""How noisy rewards are: of the base modules and of better ones, against the shipped baseline and against a paired one.

What ``discoenv study noise`` does. Each exam is held once, and scored in both ways.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from discoenv import objectives
from discoenv.episodes.evaluation import Evaluation
from discoenv.exams.host import Host
from discoenv.exams.spec import Progress
from discoenv.scoring.scores import REFERENCES, Reference, Score, Scoring, score
from discoenv.tasks.domain import Domain
from discoenv.tasks.quick import quick_task
from discoenv.tasks.specification import Scale
from discoenv.tasks.task import Task
from discoenv.tasks.workspace import base_modules

#: What the base modules are called in the table.
BASE: Final = "base"
#: Exams of a study end after this multiple of the baseline's seconds; nothing is to fail for lack of time.
_BUDGET_SCALE: Final = 20.0


@dataclass(frozen=True)
class Noise:
    """Rewards of the same modules over episodes.

    Attributes:
        modules: ``base``, or the name of a candidate.
        reference: what their scores were compared with.
        rewards: of each episode, with the transform ``ordered``.
        seconds: running time of learners per episode, mean in seconds: of the modules, and with a paired reference of
            the base modules, too, as where no result was kept.
        failures: exams that failed.
    """

    modules: str
    reference: Reference
    rewards: tuple[float, ...]
    seconds: float
    failures: int

    @property
    def mean(self) -> float:
        """Mean of the rewards."""
        return float(np.mean(self.rewards))

    @property
    def std(self) -> float:
        """Standard deviation of the rewards over episodes (n − 1)."""
        return float(np.std(self.rewards, ddof=1))


def study_task(domain: Domain, *, scale: Scale, datasets: Sequence[str] = (), test_seeds: int = 1) -> Task:
    """A task with all modules of a domain, which start as the base ones.

    Args:
        domain: the domain.
        scale: of the exams.
        datasets: meta-test datasets; none: that of the domain's quick task.
        test_seeds: exams per dataset and episode.

    Raises:
        TaskError, UnknownName: a dataset is not there, or no other one is left for the meta-train side.
    """
    task = quick_task(domain, scale=scale, start="base", modules=tuple(domain.modules), test_seeds=test_seeds)
    if datasets:
        others = [name for name in (*task.meta_train, *domain.datasets) if name not in datasets]
        task = Task.parse(
            {**task.model_dump(), "meta_test": tuple(datasets), "meta_train": tuple(others[:1])}, "the study's task"
        )
    task.resolve()
    return task


def measure(
    host: Host,
    task: Task,
    *,
    episodes: int,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> list[Noise]:
    """Rewards of the base modules and of the domain's candidates in the same episodes, scored in both ways.

    Args:
        host: where exams run.
        task: what is played; see :func:`study_task`.
        episodes: number of episodes, with the seeds 0, 1, …; at least 2.
        on_progress: called at the start and the end of each exam.

    Returns:
        For each module set one entry per reference, ``shipped`` first.

    Raises:
        ValueError: there are fewer than two episodes.
        InfraError: the machine failed, or the base modules did.
    """
    if episodes < 2:
        raise ValueError(f"episodes is {episodes}; a spread needs at least 2")
    base = base_modules(task)
    sets = {BASE: base} | {
        name: {file: modules.get(file, text) for file, text in base.items()}
        for name, modules in task.resolve().candidates().items()
    }
    scores: dict[str, list[list[Score]]] = {name: [] for name in sets}
    for seed in range(episodes):
        evaluation = Evaluation(
            task,
            host,
            seed=seed,
            budget_scale=_BUDGET_SCALE,
            scoring=Scoring(reference="paired"),
            on_progress=on_progress,
        )
        with contextlib.closing(evaluation):
            for name, modules in sets.items():
                scores[name].append(evaluation.examine(modules, "meta_test"))
    seconds = {name: _seconds(found) for name, found in scores.items()}
    return [
        Noise(
            name,
            reference,
            tuple(_reward(task, found, sets[name], reference) for found in scores[name]),
            seconds[name] + (seconds[BASE] if reference == "paired" and name != BASE else 0.0),
            sum(not ok for found in scores[name] for each in found for ok in each.valid),
        )
        for name in sets
        for reference in REFERENCES
    ]


def table(found: Sequence[Noise]) -> str:
    """What was measured, as a Markdown table."""
    lines = [
        "| modules | reference | mean reward | std over episodes | seconds per episode | failed exams |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.modules} | {each.reference} | {each.mean:.3f} | {each.std:.3f} | {each.seconds:.1f} "
        f"| {each.failures} |"
        for each in found
    ]
    return "\n".join(lines) + "\n"


def _seconds(episodes: Sequence[Sequence[Score]]) -> float:
    return float(np.mean([sum(result.wall_s for each in scores for result in each.results) for scores in episodes]))


def _reward(task: Task, scores: Sequence[Score], modules: Mapping[str, str], reference: Reference) -> float:
    domain = task.resolve()
    if reference == "shipped":
        scores = [score(domain.metric(each.dataset), each.entry, each.results) for each in scores]
    return objectives.compute(objectives.get("performance").reward, task, scores, modules).value
