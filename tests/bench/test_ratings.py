"""Ratings against references worked out by hand, and whether they recover the strengths that made the games."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize

from discoenv.bench import ratings
from discoenv.bench.ratings import BASELINE, Games, PlayerScore, bradley_terry, elo, games


def test_who_scores_higher_takes_the_point_and_equals_share_it() -> None:
    table = games(
        [PlayerScore("a", "t", "d", 0.5), PlayerScore("b", "t", "d", 0.3), PlayerScore("c", "t", "d", 0.3)],
        baseline=None,
    )
    assert table.players == ("a", "b", "c")
    assert table.points[0].tolist() == [[0, 1, 1], [0, 0, 0.5], [0, 0.5, 0]]
    assert table.played[0].tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


def test_the_baseline_plays_on_every_dataset_with_a_score_of_one() -> None:
    table = games([PlayerScore("a", "t", "d", 1.2), PlayerScore("a", "t", "e", 0.9), PlayerScore("a", "t", "f", 1.0)])
    assert table.players == ("a", BASELINE)
    assert table.points[0].tolist() == [[0, 1.5], [1.5, 0]]
    assert table.played[0].tolist() == [[0, 3], [3, 0]]


def test_seeds_of_a_dataset_are_one_game_of_mean_points() -> None:
    results = [PlayerScore("a", "t", "d", score) for score in (0.1, 0.5, 0.9)] + [PlayerScore("b", "t", "d", 0.5)]
    table = games(results, baseline=None)
    assert table.points[0, 0, 1] == pytest.approx((0 + 0.5 + 1) / 3)
    assert table.played[0, 0, 1] == 1


def test_a_failure_loses_to_any_valid_score_and_ties_with_a_failure() -> None:
    results = [
        PlayerScore("a", "t", "d", -0.9),
        PlayerScore("b", "t", "d", 0.0, valid=False),
        PlayerScore("c", "t", "d", 0, False),
    ]
    table = games(results, baseline=None)
    assert table.points[0].tolist() == [[0, 1, 1], [0, 0, 0.5], [0, 0.5, 0]]


def test_players_only_meet_where_both_have_results() -> None:
    table = games([PlayerScore("a", "s", "d", 1.0), PlayerScore("b", "t", "d", 2.0)], baseline=None)
    assert table.tasks == ("s", "t")
    assert not table.played.any()


def test_a_name_that_is_the_baselines_and_a_score_that_is_no_number_are_refused() -> None:
    with pytest.raises(ValueError, match="rename it"):
        games([PlayerScore(BASELINE, "t", "d", 1.0)])
    with pytest.raises(ValueError, match="not finite"):
        games([PlayerScore("a", "t", "d", math.nan)])


def test_two_players_ratings_are_the_log_odds_of_their_points() -> None:
    # 7 of 10 points and one drawn game: 7.5 to 3.5.
    table = Games(("a", "b"), ("t",), np.array([[[0, 7.0], [3.0, 0]]]), np.array([[[0, 10.0], [10.0, 0]]]))
    difference = 400 * math.log10(7.5 / 3.5)
    for found, within in ((bradley_terry(table), 1e-6), (elo(table), 3.0)):
        assert found["a"].value - found["b"].value == pytest.approx(difference, abs=within)
        assert found["a"].value + found["b"].value == pytest.approx(2000)


def test_bradley_terry_maximises_the_likelihood() -> None:
    generator = np.random.default_rng(4)
    played = np.triu(generator.integers(1, 12, size=(4, 4)), 1).astype(float)
    points = np.triu(generator.uniform(size=(4, 4)), 1) * played
    points += np.tril((played - points).T, -1)
    played += played.T

    def minus_log_likelihood(free: np.ndarray) -> float:
        strengths = np.append(free, -free.sum())
        return float((points * np.logaddexp(0, strengths[None, :] - strengths[:, None])).sum())

    best = optimize.minimize(minus_log_likelihood, np.zeros(3), tol=1e-12).x
    found = ratings.fit_bradley_terry(points[None], played[None])[0]
    expected = 1000 + 400 / math.log(10) * np.append(best, -best.sum())
    assert found == pytest.approx(expected, abs=0.01)


def test_ratings_stay_finite_for_a_player_who_wins_everything() -> None:
    results = [
        PlayerScore(player, f"t{number}", "d", score) for number in range(9) for player, score in (("a", 2), ("b", 0))
    ]
    # 9 points and a drawn game: 9.5 to 0.5
    found = bradley_terry(games(results, baseline=None))
    assert found["a"].value - found["b"].value == pytest.approx(400 * math.log10(19))


def test_there_are_no_intervals_for_fewer_than_five_tasks() -> None:
    results = [PlayerScore("a", f"t{number}", "d", number) for number in range(4)]
    for rate in (bradley_terry, elo):
        assert rate(games(results))["a"].low is None
        more = rate(games([*results, PlayerScore("a", "t4", "d", 0.0)]))["a"]
        assert more.low is not None and more.high is not None and more.low < more.value < more.high


def test_a_player_of_few_tasks_has_no_interval() -> None:
    results = [PlayerScore("a", f"t{number}", "d", number % 3) for number in range(8)] + [
        PlayerScore("b", "t0", "d", 2.0)
    ]
    for rate in (bradley_terry, elo):
        found = rate(games(results))
        assert found["a"].low is not None
        assert found["b"].low is None


def test_the_same_seed_gives_the_same_ratings() -> None:
    table = simulated(np.random.default_rng(0), tasks=8)
    assert bradley_terry(table, seed=3) == bradley_terry(table, seed=3)
    assert elo(table, seed=3) == elo(table, seed=3)


STRENGTHS = {"a": 1110.0, "b": 1020.0, "c": 900.0, BASELINE: 970.0}


def simulated(generator: np.random.Generator, tasks: int) -> Games:
    """Games of players with known strengths on two datasets per task.

    A player's score is its strength plus Gumbel noise, so that of each two players one wins with Elo's probability,
    while the games on one dataset depend on one another, as real ones do. Scores are shifted so that the baseline's
    is 1.
    """
    results = []
    for task in range(tasks):
        for dataset in ("p", "q"):
            scores = {name: strength / ratings.SCALE + generator.gumbel() for name, strength in STRENGTHS.items()}
            baseline = scores.pop(BASELINE)
            results += [PlayerScore(name, str(task), dataset, 1 + score - baseline) for name, score in scores.items()]
    return games(results)


@pytest.mark.parametrize("tasks", [12, 40])
def test_bradley_terry_recovers_known_strengths(tasks: int) -> None:
    covered = []
    for seed in range(200):
        found = bradley_terry(simulated(np.random.default_rng(seed), tasks), replicates=1000, seed=seed)
        covered.append([strength in found[name] for name, strength in STRENGTHS.items()])
    assert 0.93 <= np.mean(covered) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [12, 40])
def test_elo_recovers_known_strengths(tasks: int) -> None:
    covered = []
    for seed in range(200):
        found = elo(simulated(np.random.default_rng(seed), tasks), replicates=400, seed=seed)
        covered.append([strength in found[name] for name, strength in STRENGTHS.items()])
    assert 0.93 <= np.mean(covered) <= 0.98


def test_elo_agrees_with_bradley_terry() -> None:
    for seed in range(5):
        table = simulated(np.random.default_rng(seed), tasks=15)
        one, other = bradley_terry(table), elo(table)
        for name, estimate in one.items():
            assert other[name].value == pytest.approx(estimate.value, abs=5)
