"""Measures of what a model knows: formulas on plain arrays.

Names are those of the literature: probability, ROUGE-L, truth ratio and model utility as Maini et al. 2024 (TOFU),
extraction strength as Carlini et al. 2021, Min-K% as Shi et al. 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


def probability(losses: Floats, marked: Bools) -> Floats:
    """Probability of the marked tokens, a token: the geometric mean, float64[N], of losses float64[N, L] in nats."""
    found: Floats = np.exp(-(losses * marked).sum(axis=1) / marked.sum(axis=1))
    return found


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the longest common subsequence."""
    before = [0] * (len(second) + 1)
    for one in first:
        row = [0]
        for place, other in enumerate(second):
            row.append(before[place] + 1 if one == other else max(before[place + 1], row[place]))
        before = row
    return before[-1]


def rouge_l(candidate: Sequence[int], reference: Sequence[int]) -> tuple[float, float, float]:
    """ROUGE-L (Lin 2004) of tokens: precision, recall and their harmonic mean F1; 0 where either side is empty."""
    common = common_length(candidate, reference)
    if common == 0:
        return 0.0, 0.0, 0.0
    precision, recall = common / len(candidate), common / len(reference)
    return precision, recall, 2 * precision * recall / (precision + recall)


def extraction_strength(right: Bools) -> float:
    """Share of a text at its end that the model recites, given what comes before.

    Args:
        right: bool[L], whether the likeliest token is the true one, at each place.

    Returns:
        1 − k / L for the least k from which on all are right.
    """
    wrong = np.flatnonzero(~right)
    return 1.0 - (int(wrong[-1]) + 1) / len(right) if len(wrong) else 1.0


def truth_ratio(right: Floats, wrong: Floats) -> Floats:
    """How likely wrong answers are beside the right one: mean of float64[N, K] over float64[N]; float64[N]."""
    ratio: Floats = wrong.mean(axis=1) / np.maximum(right, 1e-30)
    return ratio


def min_k(losses: Floats, lengths: Ints, share: float) -> Floats:
    """Mean log-probability of the least likely tokens of each text: higher for texts that were trained on.

    Args:
        losses: float64[N, L] in nats, of which the first ``lengths`` of each row count.
        lengths: int64[N].
        share: of the tokens; at least one is taken.
    """
    found = []
    for row, length in zip(losses, lengths, strict=True):
        largest = np.sort(row[:length])[::-1]
        found.append(-largest[: max(1, int(share * length))].mean())
    return np.array(found)


def auc(members: Floats, others: Floats) -> float:
    """Probability that a member scores higher than another one; half where they are equal."""
    order = np.sort(others)
    below = np.searchsorted(order, members, "left")
    not_above = np.searchsorted(order, members, "right")
    return float((below + not_above).mean() / (2 * len(others)))


def ks_statistic(first: Floats, second: Floats) -> float:
    """The largest distance between two empirical distribution functions (Kolmogorov and Smirnov)."""
    places = np.concatenate([first, second])
    shares = [np.searchsorted(np.sort(each), places, "right") / len(each) for each in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


def ks_p_value(first: Floats, second: Floats) -> float:
    """Probability of a statistic as large as this if both samples are of one distribution (exact, two-sided).

    All orders in which n and m values can come are as likely. An order is a path on a grid from (0, 0) to (n, m); the
    statistic is smaller where the path stays close to the diagonal, and the share of such paths is counted.
    """
    n, m = len(first), len(second)
    bound = round(ks_statistic(first, second) * n * m)  # whole: it is |i m − j n| for some i, j
    ones = np.abs(np.arange(m + 1) * n) < bound
    paths = np.cumprod(ones).astype(float)  # of row 0: a path that has left does not come back
    for i in range(1, n + 1):
        row = np.zeros(m + 1)
        left = 0.0
        for j in range(m + 1):
            # The share of all paths to (i, j) that stayed close; the part i / (i + j) of them came from (i - 1, j).
            left = ((i * paths[j] + j * left) / (i + j)) if abs(i * m - j * n) < bound else 0.0
            row[j] = left
        paths = row
    return float(min(1.0, max(0.0, 1.0 - paths[m])))


def harmonic_mean(values: Sequence[float]) -> float:
    """Harmonic mean of numbers that are not negative; 0 if one of them is."""
    if min(values) <= 0.0:
        return 0.0
    return len(values) / sum(1.0 / value for value in values)
