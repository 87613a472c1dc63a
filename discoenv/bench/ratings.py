"""Ratings from pairwise games: Bradley–Terry's and Elo's, with bootstrap intervals over tasks.

Players are agents, and the fixed baseline. On each dataset of a task each two players play one game; who scores higher
has 1 point, a tie is half a point for each (:func:`games` says how seeds come in). Both ratings live on Elo's scale: a
player ``d`` points above another is expected to take 1 / (1 + 10^(−d / 400)) of their games' points, and the mean
rating of all players is 1000, so ratings compare players within one table and not between tables.

Ties count as half a win for each player, rather than by a model of ties such as Davidson's (1970). Elo's scale is
defined by expected points with half a point for a tie, so both ratings estimate the same quantity; Davidson's model
takes a tie as a sign that two players are equally strong, whereas most ties here are between two solutions that both
failed, or that both are the baseline; and the intervals come from resampled tasks and not from a likelihood, so they
hold whatever makes ties.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from discoenv.bench.intervals import MINIMUM_BLOCKS, Estimate, Floats, Integers, percentile, resample

#: Name of the player that the base modules are rated as.
BASELINE = "baseline (fixed)"
#: Mean rating of all players.
MEAN = 1000.0
#: Points of Elo's scale per unit of log-odds.
SCALE = 400 / math.log(10)
#: Normalised scores closer than this are equal.
TIE = 1e-9
#: Elo's K: points won or lost per game at most.
K = 4.0
#: Elo plays through all tasks, in random order, as often as gives each player this many games.
_ELO_GAMES = 3000
_ELO_ORDERS = 64
_NEWTON_STEPS = 50


@dataclass(frozen=True)
class PlayerScore:
    """What one run of one player scored on one dataset of a task.

    Attributes:
        player: name of the agent.
        task, dataset: where.
        score: normalised, the more the better.
        valid: whether the solution was scored at all; one that failed loses to each that did not.
    """

    player: str
    task: str
    dataset: str
    score: float
    valid: bool = True


@dataclass(frozen=True)
class Games:
    """All games of a table.

    Attributes:
        players: names, the baseline included; n of them.
        tasks: names of the T tasks.
        points: float64[T, n, n], points of the player in the row against the player in the column.
        played: float64[T, n, n], symmetric: how many games they played.
    """

    players: tuple[str, ...]
    tasks: tuple[str, ...]
    points: Floats
    played: Floats


def games(results: Sequence[PlayerScore], *, baseline: float | None = 1.0, tie: float = TIE) -> Games:
    """Pair up results.

    On each dataset of a task each two players that have results there play one game, however many seeds they have: its
    points are the mean over all pairs of a seed of one with a seed of the other.

    Args:
        results: in any order.
        baseline: normalised score of the player ``BASELINE``, who has a result wherever anyone has; None leaves it out.
        tie: scores that differ by no more than this are equal. So are two that failed.

    Raises:
        ValueError: an agent has the baseline's name, or a valid score is not a finite number.
    """
    runs: dict[tuple[str, str], dict[str, list[float]]] = {}
    for result in results:
        if result.player == BASELINE and baseline is not None:
            raise ValueError(f"an agent is called {BASELINE!r}, the name of the fixed baseline; rename it")
        if result.valid and not math.isfinite(result.score):
            raise ValueError(f"{result.player}, {result.task}, {result.dataset}: score {result.score} is not finite")
        scores = runs.setdefault((result.task, result.dataset), {})
        scores.setdefault(result.player, []).append(result.score if result.valid else -math.inf)
    players = sorted({result.player for result in results}) + ([] if baseline is None else [BASELINE])
    tasks = sorted({task for task, _ in runs})
    row = {name: index for index, name in enumerate(players)}
    block = {name: index for index, name in enumerate(tasks)}
    points = np.zeros((len(tasks), len(players), len(players)))
    played = np.zeros_like(points)
    for (task, _), scores in runs.items():
        present: Mapping[str, Sequence[float]] = scores if baseline is None else {**scores, BASELINE: [baseline]}
        for one, ones in present.items():
            for other, others in present.items():
                if one != other:
                    points[block[task], row[one], row[other]] += _points(np.array(ones), np.array(others), tie)
                    played[block[task], row[one], row[other]] += 1
    return Games(tuple(players), tuple(tasks), points, played)


def _points(ones: Floats, others: Floats, tie: float) -> float:
    """Mean points of ``ones`` over all pairs with ``others``; minus infinity is a failure."""
    one, other = ones[:, None], others[None, :]
    with np.errstate(invalid="ignore"):  # the difference of two failures
        equal = (one == other) | (np.abs(one - other) <= tie)
    return float(np.mean(np.where(equal, 0.5, one > other)))


def bradley_terry(
    table: Games, *, replicates: int = 5000, seed: int = 0, confidence: float = 0.95
) -> dict[str, Estimate]:
    """Bradley–Terry ratings (Bradley & Terry 1952), by maximum likelihood.

    Each two players have one drawn game added to theirs (which is Jeffreys' prior where there are two players), so that
    ratings stay finite for a player who won or lost everything, and exist for players who never met.

    Intervals: whole tasks are resampled; there are none for fewer than ``MINIMUM_BLOCKS`` tasks.
    """
    draws = _drawn_games(len(table.players))
    value = fit_bradley_terry((table.points.sum(axis=0) + draws / 2)[None], (table.played.sum(axis=0) + draws)[None])[0]
    if len(table.tasks) < MINIMUM_BLOCKS:
        return _estimates(table, value, None, confidence)
    counts = _counts(resample(len(table.tasks), replicates, np.random.default_rng(seed)))
    points = np.tensordot(counts, table.points, 1) + draws / 2
    played = np.tensordot(counts, table.played, 1) + draws
    return _estimates(table, value, fit_bradley_terry(points, played), confidence)


def fit_bradley_terry(points: Floats, played: Floats) -> Floats:
    """Maximum likelihood for a batch of tables, by Newton's method.

    Args:
        points: float64[batch, n, n], points of the row's player against the column's, half a point for a tie.
        played: float64[batch, n, n], symmetric, games between them. Zero on the diagonal.

    Returns:
        Ratings on Elo's scale, float64[batch, n].
    """
    batch, count, _ = points.shape
    strengths = np.zeros((batch, count))
    diagonal = np.arange(count)
    for _ in range(_NEWTON_STEPS):
        expected = 1 / (1 + np.exp(strengths[:, None, :] - strengths[:, :, None]))
        gradient = (points - played * expected).sum(axis=2)
        information = -played * expected * (1 - expected)
        information[:, diagonal, diagonal] = -information.sum(axis=2)
        # Strengths are determined up to a constant: adding 1 to all entries makes their sum stay zero.
        step = np.linalg.solve(information + 1.0, gradient[..., None])[..., 0]
        strengths = strengths + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-10:
            break
    ratings: Floats = MEAN + SCALE * (strengths - strengths.mean(axis=1, keepdims=True))
    return ratings


def elo(table: Games, *, replicates: int = 1000, seed: int = 0, confidence: float = 0.95) -> dict[str, Estimate]:
    """Elo ratings (Elo 1978): after each task, every player gains K · (points − expected points) of its games there.

    Elo's ratings depend on the order of games and forget old ones, which suits players that change. For players that do
    not, tasks are played through in random orders, several times, and ratings are averaged over the second half of the
    way; the point estimate is the mean over many such ways. So they are close to :func:`bradley_terry`, which is to be
    preferred and needs neither orders nor K. As there, each two players have one drawn game added.

    Intervals: whole tasks are resampled, each sample in one random order; none for fewer than ``MINIMUM_BLOCKS`` tasks.
    """
    generator = np.random.default_rng(seed)
    count = len(table.tasks)
    value = play_elo(table, np.tile(np.arange(count), (_ELO_ORDERS, 1)), generator).mean(axis=0)
    if count < MINIMUM_BLOCKS:
        return _estimates(table, value, None, confidence)
    return _estimates(table, value, play_elo(table, resample(count, replicates, generator), generator), confidence)


def play_elo(table: Games, samples: Integers, generator: np.random.Generator) -> Floats:
    """Elo ratings after several passes through samples of tasks.

    Args:
        table: the games.
        samples: int[batch, tasks drawn], indices of tasks.
        generator: source of the orders.

    Returns:
        Ratings averaged over the second half of the way, float64[batch, n].
    """
    players = len(table.players)
    draws = _drawn_games(players)[None]
    points = np.concatenate([table.points, draws / 2])
    played = np.concatenate([table.played, draws])
    batch = len(samples)
    rounds = np.concatenate([samples, np.full((batch, 1), len(table.tasks))], axis=1)
    won = points.sum(axis=2)
    passes = 2 * math.ceil(_ELO_GAMES / max(played.sum() / players, 1) / 2)
    ratings = np.full((batch, players), MEAN)
    total = np.zeros_like(ratings)
    for number in range(passes):
        for task in generator.permuted(rounds, axis=1).T:
            expected = 1 / (1 + np.exp((ratings[:, None, :] - ratings[:, :, None]) / SCALE))
            ratings = ratings + K * (won[task] - (played[task] * expected).sum(axis=2))
            if 2 * number >= passes:
                total += ratings
    averages: Floats = total / (rounds.shape[1] * passes / 2)
    return averages


def _drawn_games(players: int) -> Floats:
    return np.ones((players, players)) - np.eye(players)


def _counts(samples: Integers) -> Floats:
    """How often each block is in each sample, float64[replicates, blocks]."""
    replicates, blocks = samples.shape
    flat = np.bincount((samples + blocks * np.arange(replicates)[:, None]).ravel(), minlength=replicates * blocks)
    return flat.reshape(replicates, blocks).astype(np.float64)


def _estimates(table: Games, value: Floats, found: Floats | None, confidence: float) -> dict[str, Estimate]:
    count = len(table.tasks)
    if found is None:
        return {name: Estimate(float(rating), n=count) for name, rating in zip(table.players, value, strict=True)}
    low, high = percentile(found, blocks=count, freedom=count - 1, confidence=confidence)
    played = (table.played.sum(axis=2) > 0).sum(axis=0)  # a player of few tasks is known no better for the others' many
    return {
        name: Estimate(float(value[index]), float(low[index]), float(high[index]), count, "tasks")
        if played[index] >= MINIMUM_BLOCKS
        else Estimate(float(value[index]), n=int(played[index]))
        for index, name in enumerate(table.players)
    }
