"""From exam results to scores: one per dataset, over its seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from discoenv import arguments, objectives
from discoenv.exams.result import ExamResult
from discoenv.scoring.baselines import Baseline
from discoenv.tasks.specification import Metric

#: What 1 is on the normalised scale: ``shipped``: the mean of the base modules over the seeds that the domain was
#: calibrated with; ``paired``: the base modules in the same exam, with its seed and data. Floor and span are shipped.
Reference = Literal["shipped", "paired"]
REFERENCES: Final[tuple[Reference, ...]] = get_args(Reference)


@dataclass(frozen=True)
class Scoring:
    """How scores are made of results, and rewards of scores.

    Attributes:
        reference: what scores are compared with, see :data:`Reference`.
        transform: what an exam is worth to the objective ``performance``, see :func:`discoenv.objectives.worth`.

    Raises:
        ArgumentError: a value is not known.
    """

    reference: Reference = "shipped"
    transform: objectives.Transform = "ordered"

    def __post_init__(self) -> None:
        arguments.choice("reference", self.reference, REFERENCES)
        arguments.choice("transform", self.transform, objectives.TRANSFORMS)


@dataclass(frozen=True)
class Score:
    """The exams of one dataset.

    Attributes:
        dataset: its id.
        results: one exam per seed.
        values: the metric per exam, in its own unit; the floor's mean where the exam failed, or where the metric is not
            finite.
        normalised: mean of ``each``.
        standard_error: of ``normalised``; None for a single seed.
        entry: the floor and baseline that were used.
        cost_entry: the baseline as measured on this machine, for objectives that compare costs.
        each: per exam (value − floor) / (baseline − floor), see :meth:`Baseline.normalised`; with a paired reference
            :meth:`Baseline.paired`. 0 where the exam failed.
        valid: per exam whether it was passed through to its end with a finite metric.
        references: per exam the metric of the base modules with the same seed, in its own unit; None where none is
            compared with.
        transform: what the exams are worth, see :attr:`outcome`.
        spread: standard deviation over seeds of the score of one exam, as the base modules show it; None if they were
            measured with one seed. Twice the variance with a paired reference, as if it had nothing in common.
    """

    dataset: str
    results: tuple[ExamResult, ...]
    values: tuple[float, ...]
    normalised: float
    standard_error: float | None
    entry: Baseline
    cost_entry: Baseline | None = None
    each: tuple[float, ...] = ()
    valid: tuple[bool, ...] = ()
    references: tuple[float | None, ...] = ()
    transform: objectives.Transform = "ordered"
    spread: float | None = None

    @property
    def ok(self) -> bool:
        """Whether every exam was passed through to its end."""
        return all(result.status == "ok" for result in self.results)

    @property
    def metric(self) -> float:
        """Mean of ``values``, in the metric's own unit."""
        return float(np.mean(self.values))

    @property
    def outcome(self) -> float:
        """What the exams are worth to ``performance``: see :func:`discoenv.objectives.worth`."""
        if not self.each:
            return objectives.worth([self.normalised], [True], self.transform)
        return objectives.worth(self.each, self.valid, self.transform)

    @property
    def worths(self) -> tuple[float, ...]:
        """What each exam is worth alone."""
        pairs = zip(self.each, self.valid, strict=True)
        return tuple(objectives.worth([normalised], [ok], self.transform) for normalised, ok in pairs)

    @property
    def noise(self) -> float | None:
        """Standard error of ``normalised``: of the exams if there are two or more, else from :attr:`spread`.

        None if neither is known, or if no exam was passed: a failure is no measurement.
        """
        if not any(self.valid):
            return None
        return self.spread if self.standard_error is None else self.standard_error

    @property
    def valid_share(self) -> float:
        """Share of the exams that were passed through to their end with a finite metric."""
        return sum(self.valid) / len(self.valid) if self.valid else 1.0


def is_valid(metric: Metric, result: ExamResult) -> bool:
    """Whether an exam was passed through to its end with a finite metric."""
    return result.metrics is not None and math.isfinite(result.metrics[metric.name])


def score(
    metric: Metric,
    entry: Baseline,
    results: Sequence[ExamResult],
    cost_entry: Baseline | None = None,
    *,
    references: Sequence[float | None] | None = None,
    transform: objectives.Transform = "ordered",
) -> Score:
    """Score the exams of one dataset.

    A failed exam, or a metric that is not finite, counts as the floor in ``values`` and ``normalised``; what it is
    worth depends on ``transform``.

    Args:
        metric: what the dataset is scored by.
        entry: its floor and baseline.
        results: one per seed.
        cost_entry: the baseline as measured on this machine.
        references: per exam the metric of the base modules with the same seed; those of failed exams are not used.
            None: scores are compared with the shipped baseline.
        transform: what exams are worth.
    """
    valid = [is_valid(metric, result) for result in results]
    values = [
        result.metrics[metric.name] if ok and result.metrics is not None else entry.floor.mean
        for result, ok in zip(results, valid, strict=True)
    ]
    compared = list(references) if references is not None else [None] * len(values)
    each = [
        0.0
        if not ok
        else entry.normalised(value, metric.sign)
        if base is None
        else entry.paired(value, base, metric.sign)
        for value, ok, base in zip(values, valid, compared, strict=True)
    ]
    count = len(each)
    return Score(
        dataset=results[0].dataset,
        results=tuple(results),
        values=tuple(values),
        normalised=float(np.mean(each)),
        standard_error=float(np.std(each, ddof=1)) / math.sqrt(count) if count > 1 else None,
        entry=entry,
        cost_entry=cost_entry,
        each=tuple(each),
        valid=tuple(valid),
        references=tuple(compared) if references is not None else (),
        transform=transform,
        spread=_spread(entry, metric.sign, paired=references is not None),
    )


def _spread(entry: Baseline, sign: float, *, paired: bool) -> float | None:
    if len(entry.baseline.values) < 2:
        return None
    return entry.baseline.std / entry.scale(sign) * (math.sqrt(2) if paired else 1)
