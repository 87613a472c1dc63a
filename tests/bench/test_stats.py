"""Statistics of cells against references worked out by hand, and the coverage of their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from discoenv.bench import intervals, stats
from discoenv.bench.cell import DatasetOutcome
from tests.bench.records import cell


def test_wilson_interval_of_8_in_10_is_the_textbook_one() -> None:
    # z = 1.96: centre (8 + z²/2) / (10 + z²) = 0.7167, half width z/(10 + z²) · sqrt(8 · 2 / 10 + z²/4) = 0.2266
    found = intervals.wilson(8, 10)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)


def test_wilson_interval_of_no_success_begins_at_zero_and_does_not_end_there() -> None:
    found = intervals.wilson(0, 10)
    assert found is not None
    assert found.low == pytest.approx(0, abs=1e-12)
    assert found.high == pytest.approx(0.2775, abs=1e-4)  # z² / (10 + z²)
    assert intervals.wilson(0, 0) is None


def test_wilson_intervals_cover_the_share() -> None:
    for share in (0.1, 0.5, 0.8):
        successes = np.random.default_rng(0).binomial(30, share, size=1000)
        found = {count: intervals.wilson(int(count), 30) for count in np.unique(successes)}
        covered = [share in estimate for count in successes if (estimate := found[count]) is not None]
        assert 0.93 <= np.mean(covered) <= 0.985


def test_levels_are_moved_out_to_those_of_student() -> None:
    # n = 5: t(0.025, 4) = -2.7764, times sqrt(5/4) is -3.1042, whose normal tail is 0.000954.
    assert intervals.expanded_level(5, 4) == pytest.approx(0.000954, abs=2e-6)
    assert intervals.expanded_level(10**6, 10**6) == pytest.approx(0.025, abs=1e-5)


def test_a_mean_of_few_values_has_students_interval() -> None:
    # mean 2, standard deviation 1, t(0.975, 2) = 4.3027: 2 ± 4.3027 / sqrt(3)
    found = intervals.mean([1, 2, 3], over="seeds")
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((2, -0.4842, 4.4842), abs=1e-3)


def test_there_is_no_interval_where_nothing_is_known_of_the_spread() -> None:
    for values in ([0.5], [0.5, 0.7]):
        found = intervals.mean(values, over="seeds")
        assert found is not None
        assert found.low is None
        assert 0.6 not in found
    assert intervals.mean([], over="seeds") is None


@pytest.mark.parametrize("count", [5, 8, 20])
def test_intervals_of_means_have_nominal_coverage(count: int) -> None:
    samples = np.random.default_rng(1).normal(1.0, 0.5, size=(500, count))
    found = [intervals.mean(sample, over="tasks", replicates=1000, seed=seed) for seed, sample in enumerate(samples)]
    assert 0.925 <= np.mean([estimate is not None and 1.0 in estimate for estimate in found]) <= 0.975


def test_interquartile_mean_leaves_out_a_quarter_at_each_end() -> None:
    assert stats.interquartile_mean(np.array([100.0, 1, 2, 3, 4, 5, 6, -50])) == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_optimality_gap_counts_what_is_better_than_the_baseline_as_the_baseline() -> None:
    assert stats.optimality_gap(np.array([0.5, 1.0, 3.0, 0.0])) == pytest.approx(1 - (0.5 + 1 + 1 + 0) / 4)


@pytest.mark.parametrize(("runs", "least"), [(3, 0.88), (4, 0.92), (8, 0.93)])
def test_pooled_statistics_have_nominal_coverage_over_seeds(runs: int, least: float) -> None:
    """Twelve tasks of different difficulty with a few seeds each, and what an endless number of seeds would give."""
    middles = np.linspace(0.2, 1.5, 12)[:, None]

    def pooled(scores: intervals.Floats) -> intervals.Floats:
        above = (scores > 1.0).mean(axis=-1)
        return np.stack([stats.interquartile_mean(scores), stats.optimality_gap(scores), above], axis=-1)

    truth = pooled(np.random.default_rng(0).normal(middles, 0.3, size=(12, 100_000)).ravel())
    covered = []
    for seed in range(500):
        scores = np.random.default_rng(1 + seed).normal(middles, 0.3, size=(12, runs))
        _, low, high, over = intervals.aggregate(list(scores), pooled, replicates=500, seed=seed)
        assert over == "seeds"
        assert low is not None and high is not None
        covered.append((low <= truth) & (truth <= high))
    assert np.all(np.mean(covered, axis=0) >= least)
    assert np.all(np.mean(covered, axis=0) <= 0.98)


def test_whole_tasks_are_resampled_where_tasks_have_single_runs() -> None:
    cells = [cell("a", score, task=f"t{number}") for number, score in enumerate([0.1, 0.4, 0.5, 0.8, 0.9])]
    found = stats.summary(cells, stats.interquartile_mean)
    assert found is not None
    assert found.value == pytest.approx((0.4 + 0.5 + 0.8) / 3)
    assert found.over == "tasks"
    assert found.low is not None and found.high is not None and 0.1 <= found.low < found.value < found.high <= 0.9
    few = stats.summary(cells[:4], stats.interquartile_mean)
    assert few is not None and few.low is None


def test_performance_profile_is_the_share_of_runs_above_each_threshold() -> None:
    cells = [cell("a", score, seed=seed) for seed, score in enumerate([0.2, 0.5, 0.9, 1.5])]
    found = stats.performance_profile(cells, np.array([0.0, 0.5, 1.0, 2.0]))
    assert found is not None
    assert found.share.tolist() == [1.0, 0.5, 0.25, 0.0]
    assert found.low is not None and found.high is not None
    assert np.all(found.low <= found.share) and np.all(found.share <= found.high)


def test_scores_are_averaged_over_seeds_first_so_that_tasks_weigh_the_same() -> None:
    cells = [cell("a", 1.0, task="x", seed=seed) for seed in range(4)] + [cell("a", 0.0, task="y")]
    found = stats.mean_score(cells)
    assert found is not None
    assert found.value == pytest.approx(0.5)


@pytest.mark.parametrize(("failure", "mean"), [(0.0, 0.6), (-1.0, 0.8 / 3)])
def test_a_failed_run_scores_the_lowest_reward(failure: float, mean: float) -> None:
    cells = [cell("a", 1.0, seed=0), cell("a", None, seed=1, failure=failure), cell("a", 0.8, seed=2)]
    assert stats.task_scores(cells)["task"].value == pytest.approx(mean)


def test_the_share_of_valid_exams_is_a_mean_over_datasets_and_runs() -> None:
    outcomes = {"p": DatasetOutcome(0, 1.0, True, 1.0), "q": DatasetOutcome(0, 0.5, False, 0.5)}
    found = stats.valid_exams([cell("a", 1.0, meta_test=outcomes), cell("a", None)])
    assert found is not None
    assert (found.value, found.n) == (0.75, 2)
    assert stats.valid_exams([cell("a", None)]) is None


def test_scores_of_a_side_are_clipped_as_rewards_are() -> None:
    outcomes = {"p": DatasetOutcome(0, 25.0, True), "q": DatasetOutcome(0, -4.0, True)}
    assert stats.side_score(cell("a", 1.0, meta_test=outcomes), "meta_test") == pytest.approx((10 - 1) / 2)
    assert stats.side_score(cell("a", None), "meta_test") is None


def test_until_success_keeps_the_first_successful_attempt_or_the_last_one() -> None:
    cells = [
        cell("a", 0.9, task="x", seed=2),
        cell("a", 0.5, task="x", seed=1),
        cell("a", None, task="x", seed=0),
        cell("a", None, task="y", seed=0),
        cell("a", None, task="y", seed=1),
        cell("a", 0.7, task="z", seed=0, modules=("model", "data_processing")),
    ]
    kept = stats.select(cells, "until_success")
    assert [(each.task, each.seed) for each in kept] == [("x", 1), ("y", 1)]
    rate = stats.success_rate(kept)
    assert rate is not None and rate.value == 0.5


def test_settings_go_by_the_number_of_editable_modules() -> None:
    single, both = cell("a", 1.0, modules=("model",)), cell("a", 1.0, modules=("model", "data_processing"))
    some = cell("a", 1.0, modules=("loss", "optim"), domain="OnPolicyRL")
    unknown = cell("a", 1.0, modules=("p", "q"), domain="not/here")
    cells = [single, both, some, unknown]
    assert stats.select(cells, "single") == [single]
    assert stats.select(cells, "all") == [both]
    assert stats.select(cells, "every") == cells


def test_generalisation_compares_runs_that_have_both_sides() -> None:
    cells = [
        cell("a", 0.6, task="x", train=1.0),
        cell("a", 0.4, task="y", train=0.6),
        cell("a", 9.0, task="z"),
        cell("a", None, task="w", train=5.0),
    ]
    found = stats.generalisation(cells)
    assert found is not None
    assert found.runs == 2
    assert (found.meta_train.value, found.meta_test.value, found.gap.value) == pytest.approx((0.8, 0.5, 0.3))
    assert stats.generalisation(cells[2:]) is None


def test_a_failed_agent_loses_on_each_dataset_that_others_were_scored_on() -> None:
    cells = [cell("a", 0.5, datasets=("p", "q"), train=0.9), cell("b", None)]
    test = stats.results(cells, "meta_test")
    assert [(each.player, each.dataset, each.valid) for each in sorted(test, key=lambda each: each.player)[:2]] == [
        ("a", "p", True),
        ("a", "q", True),
    ]
    assert sorted(each.dataset for each in test if each.player == "b" and not each.valid) == ["p", "q"]
    assert [each.valid for each in stats.results(cells, "meta_train") if each.player == "b"] == [False]


def test_an_episode_without_a_run_is_no_defeat_on_the_meta_train_side() -> None:
    assert stats.results([cell("a", 0.5)], "meta_train") == []


def test_tasks_that_reward_low_costs_are_compared_by_reward() -> None:
    found = stats.results([cell("a", 1.7, train=0.5, datasets=("p", "q"))], "meta_test", {"task": "time"})
    assert [(each.dataset, each.score) for each in found] == [("", 1.7)]
    assert stats.results([cell("a", 1.7, train=0.5)], "meta_train", {"task": "time"}) == []
