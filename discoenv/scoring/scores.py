"""From exam results to scores: one per dataset, over its seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from discoenv.exams.result import ExamResult
from discoenv.scoring.baselines import Baseline
from discoenv.tasks.specification import Metric


@dataclass(frozen=True)
class Score:
    """The exams of one dataset.

    Attributes:
        dataset: its id.
        results: one exam per seed.
        values: the metric per exam, in its own unit; the floor's mean where the exam failed, or where the metric is not
            finite.
        normalised: mean over seeds of (value − floor) / (baseline − floor), see :meth:`Baseline.normalised`.
        standard_error: of ``normalised``; None for a single seed.
        entry: the floor and baseline that were used.
        cost_entry: the baseline as measured on this machine, for objectives that compare costs.
    """

    dataset: str
    results: tuple[ExamResult, ...]
    values: tuple[float, ...]
    normalised: float
    standard_error: float | None
    entry: Baseline
    cost_entry: Baseline | None = None

    @property
    def ok(self) -> bool:
        """Whether every exam was passed through to its end."""
        return all(result.status == "ok" for result in self.results)

    @property
    def metric(self) -> float:
        """Mean of ``values``, in the metric's own unit."""
        return float(np.mean(self.values))


def score(metric: Metric, entry: Baseline, results: Sequence[ExamResult], cost_entry: Baseline | None = None) -> Score:
    """Score the exams of one dataset. A failed exam, or a metric that is not finite, counts as the floor."""
    values = []
    for result in results:
        value = result.metrics[metric.name] if result.metrics is not None else math.nan
        values.append(value if math.isfinite(value) else entry.floor.mean)
    normalised = [entry.normalised(value, metric.sign) for value in values]
    count = len(normalised)
    return Score(
        dataset=results[0].dataset,
        results=tuple(results),
        values=tuple(values),
        normalised=float(np.mean(normalised)),
        standard_error=float(np.std(normalised, ddof=1)) / math.sqrt(count) if count > 1 else None,
        entry=entry,
        cost_entry=cost_entry,
    )
