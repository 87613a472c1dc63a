"""Point estimates with confidence intervals: Wilson's for shares, bootstrap intervals for the rest.

Bootstrap intervals are *expanded percentile* intervals (Hesterberg 2015, "What Teachers Should Know About the
Bootstrap"): a percentile interval of n blocks is too narrow by the factor sqrt((n − 1) / n) and knows nothing of
Student's t, so its two levels are moved outwards until it would be Student's interval if the statistic were a mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

#: Resamples of fewer blocks than this say next to nothing about the tails: no bootstrap interval is given.
MINIMUM_BLOCKS = 5
#: Means of fewer values than this have Student's interval.
STUDENT_BELOW = 8


@dataclass(frozen=True)
class Estimate:
    """A number and its confidence interval.

    Attributes:
        value: the point estimate.
        low, high: ends of the interval; None where there is too little data for one.
        n: how many independent blocks (cells, seeds or tasks) it was made from.
        over: what these blocks are: what the interval allows for, in one word.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0
    over: str = ""

    def __contains__(self, number: float) -> bool:
        """Whether the interval covers ``number``; one that does not exist covers nothing."""
        return self.low is not None and self.high is not None and self.low <= number <= self.high


def wilson(successes: int, trials: int, *, confidence: float = 0.95) -> Estimate | None:
    """The share of successes with Wilson's score interval (Wilson 1927). None without a trial.

    Raises:
        ValueError: more successes than trials, or a negative number.
    """
    if not trials:
        return None
    found = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return Estimate(successes / trials, float(found.low), float(found.high), trials, "cells")


def expanded_level(blocks: float, freedom: float, confidence: float = 0.95) -> float:
    """Level of the lower end of an expanded percentile interval; the upper end's is one minus this.

    Args:
        blocks: how many blocks each resample draws, per stratum if there are strata. More than one.
        freedom: degrees of freedom of the variance: blocks minus strata.
        confidence: wanted coverage.
    """
    quantile = stats.t.ppf((1 - confidence) / 2, freedom) * math.sqrt(blocks / (blocks - 1))
    return float(stats.norm.cdf(quantile))


def percentile(replicates: Floats, *, blocks: float, freedom: float, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Both ends of the expanded percentile interval of float64[replicates, ...], each float64[...]."""
    level = expanded_level(blocks, freedom, confidence)
    # NumPy's default plotting positions lie too far inwards for levels near the ends of few replicates.
    low, high = np.quantile(replicates, [level, 1 - level], axis=0, method="weibull")
    return np.asarray(low), np.asarray(high)


def resample(blocks: int, replicates: int, generator: np.random.Generator) -> Integers:
    """Bootstrap samples of ``blocks`` blocks with replacement, int[replicates, blocks]."""
    return generator.integers(blocks, size=(replicates, blocks))


def mean(
    values: Sequence[float] | Floats,
    *,
    over: str,
    replicates: int = 5000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate | None:
    """The mean of independent values with its interval. None without a value.

    A bootstrap interval never leaves the range of the values, so that of three values covers no more than 75 % whatever
    its levels. Below ``STUDENT_BELOW`` values the interval is Student's; below three there is none, for Student's would
    be several times as wide as anything that is known about scores.

    Args:
        values: float[n].
        over: what the values are, for :attr:`Estimate.over`.
        replicates: how many bootstrap samples.
        seed: of the bootstrap.
        confidence: wanted coverage.
    """
    array = np.asarray(values, dtype=np.float64)
    count = array.size
    if count == 0:
        return None
    middle = float(array.mean())
    if count < 3:
        return Estimate(middle, n=count, over=over)
    if count < STUDENT_BELOW:
        half = float(stats.t.ppf((1 + confidence) / 2, count - 1) * array.std(ddof=1) / math.sqrt(count))
        return Estimate(middle, middle - half, middle + half, count, over)
    means = array[resample(count, replicates, np.random.default_rng(seed))].mean(axis=1)
    low, high = percentile(means, blocks=count, freedom=count - 1, confidence=confidence)
    return Estimate(middle, float(low), float(high), count, over)


def aggregate(
    strata: Sequence[Floats],
    statistic: Callable[[Floats], Floats],
    *,
    replicates: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[Floats, Floats | None, Floats | None, str]:
    """A statistic of pooled runs with its bootstrap interval.

    Runs are resampled within tasks (the stratified bootstrap of Agarwal et al. 2021) where every task has two or more:
    the interval then allows for the randomness of runs, not for the choice of tasks. Otherwise whole tasks are
    resampled, where there are ``MINIMUM_BLOCKS``; else there is no interval.

    Args:
        strata: for each task the scores of its runs. At least one task, and none of them empty.
        statistic: from pooled scores, float64[..., runs], to float64[...] or float64[..., k].
        replicates: how many bootstrap samples.
        seed: of the bootstrap.
        confidence: wanted coverage.

    Returns:
        (value, low, high, what was resampled: ``seeds``, ``tasks`` or nothing).
    """
    value = statistic(np.concatenate(list(strata)))
    counts = np.array([scores.size for scores in strata])
    generator = np.random.default_rng(seed)
    if counts.min() > 1:
        over, blocks, freedom = "seeds", counts.sum() / len(counts), float(counts.sum() - len(counts))
        draws = [scores[resample(scores.size, replicates, generator)] for scores in strata]
        found = statistic(np.concatenate(draws, axis=1))
    elif len(counts) >= MINIMUM_BLOCKS:
        over, blocks, freedom = "tasks", float(len(counts)), float(len(counts) - 1)
        rows = resample(len(counts), replicates, generator)
        # Tasks have unequal numbers of runs, so samples have unequal lengths.
        found = np.stack([statistic(np.concatenate([strata[task] for task in row])) for row in rows])
    else:
        return value, None, None, ""
    low, high = percentile(found, blocks=blocks, freedom=freedom, confidence=confidence)
    return value, low, high, over
