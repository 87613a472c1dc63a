"""Statistics of a benchmark's cells: what its tables say, as numbers with confidence intervals.

Interquartile mean, optimality gap and performance profiles are those of Agarwal et al. 2021 ("Deep Reinforcement
Learning at the Edge of the Statistical Precipice"). A *run* is one episode: a cell. Its score is the reward, for which
0 is a trivial solution and 1 the baseline; an episode whose agent failed counts as the lowest reward, see ``failure``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import stats

from discoenv.bench.cell import CellResult, DatasetOutcome
from discoenv.bench.intervals import Estimate, Floats, aggregate, mean, wilson
from discoenv.bench.ratings import PlayerScore
from discoenv.errors import DomainError, UnknownName
from discoenv.objectives import CLIP
from discoenv.tasks.registry import get_domain
from discoenv.tasks.task import Side

TableSetting = Literal["single", "until_success", "all", "every"]
#: The settings of DiscoGen's tables, and all cells together.
SETTINGS: Final[dict[TableSetting, str]] = {
    "single": "Single",
    "until_success": "Single, until success",
    "all": "All",
    "every": "Every task",
}


def select(cells: Sequence[CellResult], setting: TableSetting) -> list[CellResult]:
    """The cells of a setting.

    * ``single``: tasks with exactly one editable module; every attempt (seed) counts.
    * ``until_success``: the same tasks, of which each agent keeps its first successful attempt in the order of seeds,
      or its last one if none was successful: as if it had been started again until something valid came out.
    * ``all``: tasks in which every module of the domain is editable.
    * ``every``: all cells, sampled tasks included.
    """
    if setting == "every":
        return list(cells)
    if setting == "all":
        return [cell for cell in cells if set(cell.modules) == _domain_modules(cell.domain)]
    single = [cell for cell in cells if len(cell.modules) == 1]
    return single if setting == "single" else _until_success(single)


def _until_success(cells: Sequence[CellResult]) -> list[CellResult]:
    attempts: dict[tuple[str, str], list[CellResult]] = {}
    for cell in cells:
        attempts.setdefault((cell.agent, cell.task), []).append(cell)
    kept = []
    for tried in attempts.values():
        ordered = sorted(tried, key=lambda cell: cell.seed)
        kept.append(next((cell for cell in ordered if cell.succeeded), ordered[-1]))
    return kept


def _domain_modules(name: str) -> set[str] | None:
    """All modules of a domain; None if it is not known here (a pack that is not loaded)."""
    try:
        return set(get_domain(name).modules)
    except (UnknownName, DomainError):
        return None


def by_agent(cells: Sequence[CellResult]) -> dict[str, list[CellResult]]:
    """Cells of each agent, agents by name."""
    agents: dict[str, list[CellResult]] = {}
    for cell in sorted(cells, key=lambda cell: cell.agent):
        agents.setdefault(cell.agent, []).append(cell)
    return agents


def success_rate(cells: Sequence[CellResult]) -> Estimate | None:
    """Share of the cells whose every meta-test exam was passed through to its end, with Wilson's interval.

    The interval takes cells as independent; seeds of one task are not quite, so it is a little too narrow with many
    seeds of few tasks. None without cells.
    """
    return wilson(sum(cell.succeeded for cell in cells), len(cells))


def valid_exams(cells: Sequence[CellResult]) -> Estimate | None:
    """Share of meta-test exams that were passed through to their end, mean over datasets and runs, without an interval.

    Runs whose agent failed have no exams, and are left out. None without any exam.
    """
    shares = [each.valid for cell in cells for each in cell.meta_test.values() if each.valid is not None]
    return Estimate(math.fsum(shares) / len(shares), n=len(shares)) if shares else None


def reward(cell: CellResult) -> float:
    """The score of a run: its reward; the lowest that its objective gives if the agent failed before it had one."""
    return cell.reward if cell.reward is not None and math.isfinite(cell.reward) else cell.failure


def side_score(cell: CellResult, side: Side) -> float | None:
    """Mean normalised score over the datasets of one side, each clipped to :data:`discoenv.objectives.CLIP`.

    None if there is no dataset: the agent failed, or (meta-train) submitted without a run.
    """
    outcomes: Mapping[str, DatasetOutcome] = getattr(cell, side)
    if not outcomes:
        return None
    return float(np.mean([np.clip(each.normalised, *CLIP) for each in outcomes.values()]))


def by_task(cells: Sequence[CellResult], score: Callable[[CellResult], float | None] = reward) -> dict[str, Floats]:
    """Scores of the runs of each task, float64[runs], tasks by name; those without a score are left out."""
    tasks: dict[str, list[float]] = {}
    for cell in sorted(cells, key=lambda cell: (cell.task, cell.seed)):
        value = score(cell)
        if value is not None:
            tasks.setdefault(cell.task, []).append(value)
    return {task: np.array(values) for task, values in tasks.items()}


def task_scores(cells: Sequence[CellResult]) -> dict[str, Estimate]:
    """Mean score of one agent on each task, with an interval over seeds."""
    found = {task: mean(values, over="seeds") for task, values in by_task(cells).items()}
    return {task: estimate for task, estimate in found.items() if estimate is not None}


def mean_score(cells: Sequence[CellResult], score: Callable[[CellResult], float | None] = reward) -> Estimate | None:
    """Mean over tasks of the mean score over seeds, with an interval over tasks. None without a score."""
    return mean([float(values.mean()) for values in by_task(cells, score).values()], over="tasks")


def interquartile_mean(scores: Floats) -> Floats:
    """Mean of the middle half of the pooled scores: the 25 % trimmed mean. float64[..., runs] → float64[...]."""
    return np.asarray(stats.trim_mean(scores, 0.25, axis=-1))


def optimality_gap(scores: Floats, target: float = 1.0) -> Floats:
    """How far scores fall short of ``target`` in the mean, better ones counting as ``target``.

    float64[..., runs] → float64[...]. With the default it is the distance to the baseline.
    """
    return np.asarray(target - np.minimum(scores, target).mean(axis=-1))


def summary(cells: Sequence[CellResult], statistic: Callable[[Floats], Floats]) -> Estimate | None:
    """A statistic of one agent's pooled runs, with the interval of :func:`~discoenv.bench.intervals.aggregate`."""
    strata = list(by_task(cells).values())
    if not strata:
        return None
    value, low, high, over = aggregate(strata, statistic)
    runs = sum(scores.size for scores in strata)
    if low is None or high is None:
        return Estimate(float(value), n=runs)
    return Estimate(float(value), float(low), float(high), runs, over)


@dataclass(frozen=True)
class Profile:
    """A performance profile (score distribution).

    Attributes:
        thresholds: normalised scores, float64[thresholds].
        share: of runs that score more than each threshold, float64[thresholds].
        low, high: pointwise intervals, float64[thresholds]; None where there is too little data.
    """

    thresholds: Floats
    share: Floats
    low: Floats | None
    high: Floats | None


def performance_profile(cells: Sequence[CellResult], thresholds: Floats) -> Profile | None:
    """Share of one agent's runs that score more than each threshold (Agarwal et al. 2021, equation 1)."""
    strata = list(by_task(cells).values())
    if not strata:
        return None
    share, low, high, _ = aggregate(
        strata, lambda scores: np.asarray((scores[..., None, :] > thresholds[:, None]).mean(axis=-1)), replicates=1000
    )
    return Profile(thresholds, share, low, high)


@dataclass(frozen=True)
class Generalisation:
    """Mean normalised scores of the same runs on both sides, and how much is lost between them.

    Attributes:
        meta_train, meta_test: means over tasks.
        gap: mean over tasks of meta-train minus meta-test; positive if scores do not carry over.
        runs: how many have both.
    """

    meta_train: Estimate
    meta_test: Estimate
    gap: Estimate
    runs: int


def generalisation(cells: Sequence[CellResult]) -> Generalisation | None:
    """How scores carry over from meta-train to meta-test datasets, from runs that have both. None without any."""
    both = [cell for cell in cells if cell.meta_train and cell.meta_test]

    def difference(cell: CellResult) -> float | None:
        train, test = side_score(cell, "meta_train"), side_score(cell, "meta_test")
        return None if train is None or test is None else train - test

    train = mean_score(both, lambda cell: side_score(cell, "meta_train"))
    test = mean_score(both, lambda cell: side_score(cell, "meta_test"))
    gap = mean_score(both, difference)
    if train is None or test is None or gap is None:
        return None
    return Generalisation(train, test, gap, len(both))


def results(cells: Sequence[CellResult], side: Side, objectives: Mapping[str, str] | None = None) -> list[PlayerScore]:
    """What players scored, for :func:`discoenv.bench.ratings.games`.

    An episode that failed is an invalid result on each dataset on which another had one. On a task that rewards low
    costs, agents are compared once per task by their reward, which is 1 for the baseline there too; such tasks have no
    meta-train games. An episode without a ``run`` has no meta-train result, which is no defeat.

    Args:
        cells: of any agents.
        side: which scores.
        objectives: objective of each task; those that are missing are ``performance``.
    """
    datasets: dict[str, set[str]] = {}
    for cell in cells:
        datasets.setdefault(cell.task, set()).update(getattr(cell, side))
    found = []
    for cell in cells:
        costs = (objectives or {}).get(cell.task, "performance") != "performance"
        outcomes: Mapping[str, DatasetOutcome] = getattr(cell, side)
        if costs:
            if side == "meta_test":
                found.append(PlayerScore(cell.agent, cell.task, "", reward(cell), cell.succeeded))
        elif outcomes:
            found += [
                PlayerScore(cell.agent, cell.task, name, each.normalised, each.ok) for name, each in outcomes.items()
            ]
        elif side == "meta_test" or cell.error:
            found += [PlayerScore(cell.agent, cell.task, name, 0.0, False) for name in datasets[cell.task] or {""}]
    return found
