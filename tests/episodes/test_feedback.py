"""The texts that an agent reads."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from discoenv.episodes import feedback
from discoenv.exams.output import last_lines
from discoenv.scoring import baselines
from discoenv.scoring.scores import Score, Scoring, score
from discoenv.tasks.domain import Domain
from discoenv.tasks.task import Setting, Task
from tests.objectives.test_costs import result


def passed(toy: Domain, dataset: str) -> Score:
    """A score of one exam of a dataset of the toy domain."""
    setting = Setting(toy, "default", dataset, "tiny")
    exam = result(0.5, dataset=dataset, metrics={"r2": 0.5, "mse": 1.0})
    return score(setting.metric, baselines.entry(setting), [exam])


def test_a_metric_that_all_datasets_share_is_in_the_head_of_the_table(toy: Domain) -> None:
    text = feedback.report([passed(toy, "Line"), passed(toy, "Wave")], title="Scores")
    assert "| dataset | r2 | normalised |" in text
    assert "| Line | 0.5 |" in text


def test_metrics_that_differ_are_named_in_each_row(toy: Domain) -> None:
    other = passed(toy, "Wave")
    other = replace(other, entry=other.entry.model_copy(update={"metric": "mse"}))
    text = feedback.report([passed(toy, "Line"), other], title="Scores")
    assert "| dataset | metric | normalised |" in text
    assert "| Line | r2 0.5 |" in text
    assert "| Wave | mse 0.5 |" in text


def test_seconds_are_said_to_be_left_only_if_they_are_limited() -> None:
    assert feedback.left(3, None) == "3 actions left."
    assert feedback.left(3, 12.4) == "3 actions left. 12 s of compute left."
    assert feedback.left(0, -1.0) == "0 actions left. 0 s of compute left."


def test_what_is_measured_besides_the_metric_is_shown(toy: Domain) -> None:
    setting = Setting(toy, "default", "Line", "tiny")
    exams = [result(0.5, metrics={"r2": 0.5, "mse": mse}) for mse in (1.0, 3.0)]
    failed = replace(exams[0], status="error", metrics=None)
    text = feedback.report([score(setting.metric, baselines.entry(setting), [*exams, failed])], title="Scores")
    assert "Also measured:" in text
    assert "* A: mse 2\n" in text


def test_output_is_cut_at_the_end_of_a_line(toy: Domain) -> None:
    setting = Setting(toy, "default", "Line", "tiny")
    lines = [f"epoch {number:4} loss {1 / (number + 1):.6f}" for number in range(500)]
    exam = replace(result(0.5), stdout="\n".join(lines), status="error", metrics=None, traceback="\n".join(lines))
    text = feedback.report([score(setting.metric, baselines.entry(setting), [exam])], title="Scores")
    shown = [line for line in text.splitlines() if "loss" in line]
    assert 50 < len(shown) < 200
    assert set(shown) <= set(lines)
    assert text.count("[…]\n") == 2


def test_last_lines_are_whole_where_they_can_be() -> None:
    assert last_lines("a\nbc\n", 6) == "a\nbc\n"
    assert last_lines("abc\ndef\nghi", 7) == "[…]\ndef\nghi"
    assert last_lines("abc\ndef\nghi", 5) == "[…]\nghi"
    assert last_lines("abcdef", 3) == "[…]\ndef"
    assert last_lines("abcdef\n", 3) == "[…]\nef\n"


def test_scores_are_explained_with_floor_baseline_and_threshold_as_numbers(toy: Domain, task: Task) -> None:
    entries = {name: baselines.entry(Setting(toy, "default", name, "tiny")) for name in ("Line", "Wave")}
    line = entries["Line"]
    text = feedback.scoring(task, entries, Scoring())
    assert f"| Line | r2 | {line.floor.mean:.4g} | {line.baseline.mean:.4g} |\n" in text
    for part in ("a failed exam (a crash, a timeout, an answer that is not valid) −1", "n/(1 − n)", "1 + ln n"):
        assert part in text
    assert "Wave" not in text, "it is hidden"
    assert "threshold" not in text
    costs = task.model_copy(update={"objective": "time", "baseline_scale": 0.5})
    threshold = (line.floor.mean + line.baseline.mean) / 2
    text = feedback.scoring(costs, entries, Scoring())
    assert "| dataset | metric | floor (0) | baseline (1) | threshold |" in text
    assert f"| {line.baseline.mean:.4g} | {threshold:.4g} |" in text
    assert "then the reward is 0, the lowest" in text
    assert "each clipped to [−1, 10]" in feedback.scoring(task, entries, Scoring(transform="linear"))
    assert "scores exactly 1" in feedback.scoring(task, entries, Scoring(reference="paired"))


def test_every_row_has_its_noise_of_its_own_exams_or_of_the_baseline(toy: Domain) -> None:
    single = passed(toy, "Line")
    entry = single.entry
    expected = entry.baseline.std / (entry.baseline.mean - entry.floor.mean)
    assert single.noise == single.spread == pytest.approx(expected)
    assert f"| {single.normalised:.3f} ± {expected:.2g} |" in feedback.report([single], title="Scores")
    setting = Setting(toy, "default", "Line", "tiny")
    several = score(setting.metric, entry, [result(0.5, metrics={"r2": value}) for value in (0.4, 0.6)])
    assert several.noise == several.standard_error != single.noise
    failed = score(setting.metric, entry, [result(0.5, metrics=None, status="error")])
    assert failed.noise is None
    assert "| failed (" in feedback.report([failed], title="Scores")
    paired = score(setting.metric, entry, [result(0.5, metrics={"r2": 0.5})], references=[0.4])
    assert paired.noise == pytest.approx(expected * math.sqrt(2))
    assert "The baseline in the same exams: A 0.4.\n" in feedback.report([paired], title="Scores")
    assert "in the same exams" not in feedback.report([single], title="Scores")


def test_how_many_exams_of_a_dataset_failed_is_said(toy: Domain) -> None:
    setting = Setting(toy, "default", "Line", "tiny")
    exams = [result(0.5, metrics={"r2": 0.5}), result(0.5, metrics=None, status="timeout", message="too slow")]
    text = feedback.report([score(setting.metric, baselines.entry(setting), exams)], title="Scores")
    assert "(1 of 2 exams failed)" in text


def test_the_table_shows_how_much_of_the_budget_was_spent_and_what_the_baseline_needs(toy: Domain) -> None:
    score = passed(toy, "Line")
    exams = tuple(replace(score.results[0], spent_s=spent, budget_s=45.0) for spent in (20.0, 40.0))
    entry = score.entry.model_copy(update={"cpu_s": score.entry.seconds.model_copy(update={"mean": 9.0})})
    text = feedback.report([replace(score, results=exams, entry=entry)], title="Scores")
    assert "| seconds of budget |" in text
    assert "| 30 of 45 s; baseline 9 s |" in text


def introduction(toy: Domain, costs: list[float]) -> str:
    task = Task(domain="Toy", modules=("model",), meta_train=("Line",), meta_test=("Wave",), scale="tiny")
    return feedback.introduction(
        task, max_steps=3, budgets={"Line": 12.0}, hidden_costs=costs, max_file_bytes=100, compute_budget_s=None
    )


def test_the_task_says_what_the_hidden_datasets_cost_without_their_names(toy: Domain) -> None:
    assert "* Line: 12 s\n" in introduction(toy, [2.0])
    assert "On the hidden datasets the baseline costs 2 times what it costs on these" in introduction(toy, [2.0])
    assert "the baseline costs between 0.7 and 3.2 times" in introduction(toy, [3.21, 0.66, 1.0])
    assert "hidden datasets the baseline" not in introduction(toy, [])
    assert "Wave" not in introduction(toy, [2.0])
