"""Is one run of an episode better than another? Differences in exams that both have had, with intervals, and races.

Two runs of an episode are examined with the same seeds and the same data, so they are compared exam by exam: what the
seed does to both falls out of the difference. Datasets are taken as they are, seeds as drawn by chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: What exams are worth (see :func:`discoenv.objectives.worth`), by dataset, then by the number of the exam.
Worths = Mapping[str, Mapping[int, float]]
#: ``alike``: an interval exists and holds 0, the difference is within noise; ``unknown``: there is no interval.
Verdict = Literal["better", "worse", "alike", "unknown"]

CONFIDENCE: Final = 0.95
#: Confidence of the looks of a race before the last one. All looks together call no more than 5 % of runs better that
#: are not: a share of (1 − 0.99)/2 at each look before the last, and of (1 − 0.95)/2 at that, and looks resemble each
#: other.
INTERIM_CONFIDENCE: Final = 0.99
#: A race is looked at from this number of seeds on: of two seeds, a spread says next to nothing.
FIRST_LOOK: Final = 2
#: A race ends if the chance that the seeds left decide it is less than this.
HOPELESS: Final = 0.2


@dataclass(frozen=True)
class Comparison:
    """How much more one run is worth than another, in the exams that both have had.

    Attributes:
        difference: mean over datasets of the mean over seeds of the differences; 0 without a common exam.
        low, high: ends of its interval; None where there is neither a second seed nor a known spread.
        probability: of the first run being better, given the differences and no earlier knowledge; None as above.
        exams: number of exams that both have had.
        datasets: where they have had them.
        confidence: of the interval.
        method: ``t``: Student's interval, from the spread of the differences; ``spread``: from the spread over seeds
            that baselines show, for a single seed of each dataset; empty: there is no interval.
    """

    difference: float
    low: float | None
    high: float | None
    probability: float | None
    exams: int
    datasets: tuple[str, ...]
    confidence: float = CONFIDENCE
    method: Literal["t", "spread", ""] = ""

    @property
    def verdict(self) -> Verdict:
        """What the interval says of the first run."""
        if self.low is None or self.high is None:
            return "unknown"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "alike"


def compare(
    first: Worths, second: Worths, *, spreads: Mapping[str, float] | None = None, confidence: float = CONFIDENCE
) -> Comparison:
    """Compare two runs in the exams that both have had.

    With two or more common seeds of a dataset, the interval is Student's with the degrees of freedom of Welch and
    Satterthwaite (Satterthwaite 1946, "An Approximate Distribution of Estimates of Variance Components"); a dataset
    with one common seed is given the pooled spread of the others. With one seed of each dataset, the spread of an
    exam's worth that ``spreads`` gives is taken, times √2 for a difference, as if the two runs had nothing in common.

    Args:
        first, second: what their exams are worth.
        spreads: standard deviation over seeds of what one exam is worth, by dataset; those not known are left out.
        confidence: wanted coverage of the interval.

    Example:
        >>> a = {"Line": {0: 0.9, 1: 1.1, 2: 1.0}}
        >>> b = {"Line": {0: 0.5, 1: 0.8, 2: 0.6}}
        >>> found = compare(a, b)
        >>> round(found.difference, 3), found.verdict
        (0.367, 'better')
    """
    differences = _differences(first, second)
    datasets, exams = tuple(differences), sum(each.size for each in differences.values())
    if not differences:
        return Comparison(0.0, None, None, None, 0, (), confidence)
    middle = float(np.mean([each.mean() for each in differences.values()]))
    found = _error(differences, spreads or {})
    if found is None:
        return Comparison(middle, None, None, None, exams, datasets, confidence)
    error, freedom = found
    method: Literal["t", "spread"] = "t" if math.isfinite(freedom) else "spread"
    if error == 0:
        probability = 0.5 if middle == 0 else float(middle > 0)
        return Comparison(middle, middle, middle, probability, exams, datasets, confidence, method)
    half = _quantile((1 + confidence) / 2, freedom) * error
    probability = _probability(middle / error, freedom)
    return Comparison(middle, middle - half, middle + half, probability, exams, datasets, confidence, method)


def _differences(first: Worths, second: Worths) -> dict[str, Floats]:
    """Differences in the exams that both have had, float64[exams] by dataset."""
    return {
        dataset: np.array([first[dataset][number] - second[dataset][number] for number in numbers])
        for dataset in first
        if (numbers := sorted(set(first[dataset]) & set(second.get(dataset, {}))))
    }


def _error(differences: Mapping[str, Floats], spreads: Mapping[str, float]) -> tuple[float, float] | None:
    """Standard error of the mean over datasets, and its degrees of freedom: infinite if the spread was known before."""
    several = {dataset: each for dataset, each in differences.items() if each.size > 1}
    count = len(differences)
    if not several:
        if any(not spreads.get(dataset) for dataset in differences):
            return None
        return math.sqrt(2 * math.fsum(spreads[dataset] ** 2 for dataset in differences)) / count, math.inf
    freedoms = {dataset: each.size - 1 for dataset, each in several.items()}
    variances = {dataset: float(each.var(ddof=1)) for dataset, each in several.items()}
    pooled = math.fsum(variances[name] * freedoms[name] for name in several) / sum(freedoms.values())
    singles = count - len(several)
    parts = [(variances[name] / several[name].size, freedoms[name]) for name in several]
    if singles:  # one estimate serves all of them
        parts.append((pooled * singles, sum(freedoms.values())))
    total = math.fsum(variance for variance, _ in parts)
    if total == 0:
        return 0.0, float(sum(freedoms.values()))
    freedom = 1 / math.fsum((variance / total) ** 2 / degrees for variance, degrees in parts)
    return math.sqrt(total) / count, freedom


@dataclass(frozen=True)
class Race:
    """How a race ended.

    Attributes:
        comparison: the last one; its confidence is that of the look that ended the race.
        seeds: seeds that were examined, per dataset.
        ended: ``decided``: one run is better; ``hopeless``: the seeds left would hardly have decided it; ``all``: there
            were no seeds left, and it is undecided; ``stopped``: it was to end.
    """

    comparison: Comparison
    seeds: int
    ended: Literal["decided", "hopeless", "all", "stopped"]


def race(
    examine: Callable[[int], tuple[Worths, Worths]],
    *,
    most: int,
    first: int = 1,
    spreads: Mapping[str, float] | None = None,
    go_on: Callable[[], bool] = lambda: True,
) -> Race:
    """Examine two runs with more and more seeds until it is decided which is better, or hardly will be.

    Before the last look, an interval of :data:`INTERIM_CONFIDENCE` decides, at the last look one of :data:`CONFIDENCE`
    (Haybittle 1971, Peto et al. 1976), and a race is hopeless below :data:`HOPELESS`: so it calls hardly more runs
    better that are not than the comparison with ``most`` seeds does, and seldom misses what that would find. A single
    seed decides nothing, unless there are no more.

    Args:
        examine: given a number of seeds, what the exams of both runs with these seeds are worth; known ones included.
        most: seeds at most.
        first: seeds to begin with.
        spreads: as for :func:`compare`; used where ``most`` is 1.
        go_on: asked before more seeds are examined; False stops the race.

    Raises:
        ValueError: ``most`` or ``first`` is not positive.
    """
    if first < 1 or most < 1:
        raise ValueError(f"a race needs at least 1 seed; most is {most}, first {first}")
    seeds = min(first, most)
    while True:
        one, other = examine(seeds)
        last = seeds >= most
        found = compare(one, other, spreads=spreads, confidence=CONFIDENCE if last else INTERIM_CONFIDENCE)
        if found.verdict in ("better", "worse") and (last or seeds >= FIRST_LOOK):
            return Race(found, seeds, "decided")
        if last:
            return Race(found, seeds, "all")
        if seeds >= FIRST_LOOK and outlook(one, other, seeds=seeds, most=most) < HOPELESS:
            return Race(found, seeds, "hopeless")
        if not go_on():
            return Race(found, seeds, "stopped")
        seeds += 1


def outlook(first: Worths, second: Worths, *, seeds: int, most: int) -> float:
    """The chance that a comparison of two runs with ``most`` seeds will call one of them better, given ``seeds`` of
    them.

    The seeds left are predicted to differ as those known do (Spiegelhalter, Freedman and Blackburn 1986, "Monitoring
    Clinical Trials: Conditional or Predictive Power?", with a flat prior). 1 if the known ones do not tell, because no
    dataset has two.

    Args:
        first, second: what their exams are worth, with ``seeds`` seeds of each dataset.
        seeds: number of seeds that both have had.
        most: number of seeds in the end.
    """
    differences = _differences(first, second)
    found = _error(differences, {})
    if found is None:
        return 1.0
    error, freedom = found
    middle = abs(float(np.mean([each.mean() for each in differences.values()])))
    if error == 0:
        return float(middle > 0)
    final_error, step = error * math.sqrt(seeds / most), error * math.sqrt(1 - seeds / most)
    final_freedom = freedom * (most - 1) / (seeds - 1)
    needed = _quantile((1 + CONFIDENCE) / 2, final_freedom) * final_error
    return _probability((middle - needed) / step, freedom) + _probability((-middle - needed) / step, freedom)


def _quantile(level: float, freedom: float) -> float:
    """Of Student's distribution; with infinitely many degrees of freedom of the normal one."""
    from scipy import special  # noqa: PLC0415 - takes longer to import than all else here

    return float(special.ndtri(level) if math.isinf(freedom) else special.stdtrit(freedom, level))


def _probability(value: float, freedom: float) -> float:
    """Of a smaller value in Student's distribution; with infinitely many degrees of freedom in the normal one."""
    from scipy import special  # noqa: PLC0415 - takes longer to import than all else here

    return float(special.ndtr(value) if math.isinf(freedom) else special.stdtr(freedom, value))
